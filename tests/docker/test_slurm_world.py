"""One verify over several nodes on a real Slurm 24.11: JAX on the CPU, by gloo between the networks of two containers;
and what becomes of the others where one node does not play its part."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gpucheck import reports
from gpucheck.facts import World
from gpucheck.model import Report
from tests.docker import slurm_cluster
from tests.docker.slurm_cluster import Cluster, by_node

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
FEW = (
    "--data synthetic --limit 64 --epochs 1 --batch-size 32 --no-control --timeout 80"  # a quarter of it for the others
)
SLEEPS = ("sh", "-c", "echo '{'; sleep 61.7")
WORLD = ("world.ranks-met", "world.all-reduce-exact", "world.every-rank-worked")
PROFILE = "driver_version=580.65.06\ncuda_version=13000\ncount=0\n"


@pytest.fixture(scope="module")
def jax(framework_python: Callable[[str], str]) -> str:
    return framework_python("jax-cpu")


@pytest.fixture(scope="module")
def shared_cluster(engine: DockerClient, base: str, fakenvml_folder: Path, jax: str) -> Iterator[Cluster]:
    where = subprocess.run(
        (jax, "-c", "import sys; print(sys.prefix, sys.base_prefix)"), capture_output=True, text=True
    )
    folders = [each for each in where.stdout.split() if each != "/usr"]  # the containers' own is Debian 12's, too
    with slurm_cluster.cluster(engine, base, fakenvml_folder, PROFILE, folders) as made:
        yield made


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Cluster:
    shared_cluster.heal()
    return shared_cluster


def verify(jax: str) -> str:
    return f"verify --framework jax --device cpu --python {jax} {FEW}"


def judged(text: str | None) -> Report:
    assert text
    return reports.of_bytes(text.encode(), "a node")


def test_two_nodes_train_as_one_and_a_drained_one_is_a_row(cluster: Cluster, jax: str) -> None:
    cluster.on("ctl", "scontrol update nodename=n2 state=drain reason=fan")
    words = f"--nodes n[1-3] --remote 'python3 -P -m gpucheck' -O folder=whole -O gpus=0 --command '{verify(jax)}'"
    run = f"python3 -P -m gpucheck fleet run --engine slurm --world {words} --format json --quiet"
    page = cluster.on("ctl", run, user=slurm_cluster.USER, check=False)
    assert "it is drained: fan" in page
    assert cluster.on("ctl", "ls -A whole").split() == ["n1.json", "n3.json", "nodes"]
    for place, node in enumerate(("n1", "n3")):
        report = judged(cluster.on("ctl", f"cat whole/{node}.json"))
        found = {each.rule: each.status for each in report.findings if each.rule.startswith("world.")}
        assert found == dict.fromkeys(WORLD, "pass"), page
        world = report.facts.known[World]
        assert isinstance(world, World)
        assert (world.hosts, world.node, world.backend) == (("n1", "n3"), place, "gloo")
        assert [rank.host for rank in world.ranks] == ["n1", "n3"]


def test_a_node_that_is_killed_in_the_middle(cluster: Cluster, jax: str) -> None:
    """Its row says so; the other one's report comes, and says that the world failed."""
    begun = "while ! pgrep -f 'part [w]orld'; do sleep 0.1; done"
    killing = f"({begun}; sleep 0.2; pkill -KILL -u {slurm_cluster.USER}) > /dev/null 2>&1 &"
    cluster.on("n2", killing)
    command = tuple(f"{verify(jax)} --format json".split())
    answers = by_node(cluster.ask(command=command, nodes=["n[1-2]"], world=True, options={"folder": "killed"}))
    assert answers["n2"]["why"] == "its task ended: Killed"
    report = judged(answers["n1"]["report"])
    wrong = [f"{each.rule}: {each.message}" for each in report.findings if each.status == "fail"]
    assert report.exit_code == 1
    assert wrong
    assert all("world" in each for each in wrong), wrong
    assert cluster.on("ctl", "ls -A killed").split() == ["n1.json", "nodes"]


def test_each_node_has_all_that_it_has_and_its_place(cluster: Cluster) -> None:
    told = ("sh", "-c", "echo $(hostname) $SLURM_NODEID $CUDA_VISIBLE_DEVICES $SLURM_CPUS_ON_NODE $*", "sh")
    answers = cluster.ask(program=told, nodes=["n3", "n1"], world=True, command=("verify",))
    assert {each["report"] for each in answers} == {
        f"n{n} {i} 0,1 2 verify --devices 2 --world auto\n" for i, n in ((0, 1), (1, 3))
    }


def test_a_lost_node_takes_no_other_along(cluster: Cluster) -> None:
    down = "scontrol update nodename=n2 state=down reason=burnt"
    cluster.on("ctl", f"(sleep 3; {down}) > /dev/null 2>&1 &")
    answers = by_node(
        cluster.ask(
            program=("sh", "-c", "sleep 5; echo done"), nodes=["n[1-3]"], world=True, options={"folder": "lost"}
        )
    )
    assert {answers[node]["report"] for node in ("n1", "n3")} == {"done\n"}
    assert answers["n2"]["report"] is None
    assert "its task ended" in str(answers["n2"]["why"]) or "Slurm lost" in str(answers["n2"]["why"])
    assert cluster.on("ctl", "ls -A lost").split() == ["n1.json", "n3.json", "nodes"]


def test_a_job_that_does_not_start_is_told_by_every_node(cluster: Cluster) -> None:
    cluster.on("ctl", "sbatch -w n2 -c 2 --output=/dev/null --wrap 'sleep 300'", user=slurm_cluster.USER)
    cluster.until("sinfo -h -N -o '%N %T'", "n2 allocated")
    left = cluster.ask(nodes=["n[1-2]"], world=True, options={"folder": "one"})
    assert {each["node"]: each["why"] for each in left} == {
        "n2": "it is allocated, and only idle nodes were asked for (busy waits for it)",
        "n1": "no other node is free to make a world with",
    }
    late = cluster.ask(nodes=["n[1-2]"], world=True, options={"folder": "late", "busy": "yes"}, deadline=2)
    assert {each["node"] for each in late} == {"n1", "n2"}
    assert all(str(each["why"]).startswith("its job did not start within 2 s: ") for each in late)
    cluster.on("ctl", f"scancel -u {slurm_cluster.USER}; ls -A | grep -qE 'one|late' && exit 1 || exit 0")


def test_an_interrupted_world_leaves_no_job_and_no_half_report(cluster: Cluster) -> None:
    asking = slurm_cluster.asking(program=SLEEPS, options={"folder": "ended"}, world=True, nodes=["n[1-3]"])
    cluster.on("ctl", f"{asking} > said 2>&1 & echo $! > pid", user=slurm_cluster.USER)
    cluster.until("ls -A ended | grep -vcE 'said|nodes|srun'", "3")
    cluster.on("ctl", "kill -TERM $(cat pid); while [ -e /proc/$(cat pid) ]; do sleep 0.1; done")
    assert cluster.on("ctl", "cat said; squeue -h -t pending,running; ls -A | grep ended || true") == ""


def test_what_is_no_world_is_told_before_anything_begins(cluster: Cluster) -> None:
    for asked, failure, tip in (
        ({"nodes": ["n1"]}, "a world has two nodes at least, and only n1 is meant", "--nodes"),
        ({}, "one job has one partition, and these nodes are of gpu, spare", "-O partition=gpu"),
        ({"nodes": ["n[1-2]"], "options": {"gpus": "x"}}, "'x' is no number of GPUs", "0 takes none"),
    ):
        (answer,) = cluster.ask(world=True, **asked)
        assert failure in json.dumps(answer), answer
        assert tip in str(answer["tip"])
