"""A run of a fleet on a real Slurm 24.11: four nodes, and in each test one of them is not as it should be."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from gpucheck import reports
from tests.conftest import flat
from tests.docker import slurm_cluster
from tests.docker.slurm_cluster import NODES, Cluster, by_node

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = [pytest.mark.docker, pytest.mark.timeout(300)]
PROFILES = Path(__file__).parents[1] / "fakenvml" / "profiles"
MACHINES = Path(__file__).parents[1] / "machines"
CONF, REREAD = "/etc/slurm/slurm.conf", "kill -HUP $(pidof slurmd)"
Hook = Callable[[str, str], None]
HALF = ("sh", "-c", "echo '{'; sleep 61.7")  # a gpucheck that has begun to write its report


@pytest.fixture(scope="module")
def shared_cluster(engine: DockerClient, base: str, fakenvml_folder: Path) -> Iterator[Cluster]:
    told = {**tomllib.loads((PROFILES / "h100x8.toml").read_text()), "count": 2}
    profile = "".join(f"{key}={value}\n" for key, value in flat(told))
    with slurm_cluster.cluster(engine, base, fakenvml_folder, profile) as made:
        yield made


@pytest.fixture
def cluster(shared_cluster: Cluster) -> Cluster:
    shared_cluster.heal()
    return shared_cluster


def test_each_node_sends_its_report_and_a_drained_one_its_reason(cluster: Cluster) -> None:
    assert "24.11" in cluster.on("ctl", "sinfo --version")
    cluster.on("ctl", "scontrol update nodename=n2 state=drain reason='fan | broken'")
    asked = cluster.ask(options={"folder": "/shared/whole"})
    answers = by_node(asked)
    assert len(asked) == 4
    assert set(answers) == set(NODES)
    assert answers["n2"]["why"] == "it is drained: fan | broken"
    assert answers["n2"]["report"] is None
    for node in ("n1", "n3", "n4"):
        text = answers[node]["report"]
        assert text, answers[node]
        report = reports.of_bytes(text.encode(), node)
        assert report.host == node
        assert text.count("NVIDIA H100 80GB HBM3") >= 2
        assert cluster.on("ctl", f"cat whole/{node}.json") == text
    assert cluster.on("ctl", "ls -A whole").split() == ["n1.json", "n3.json", "n4.json", "nodes"]
    again = cluster.ask(options={"folder": "/shared/whole"})
    assert again[0]["failure"] == "/shared/whole has the reports of an earlier run"
    command = "python3 -P -m gpucheck fleet run --engine slurm --nodes n[1-2] --remote 'python3 -P -m gpucheck'"
    page = cluster.on("ctl", f"{command} --option folder=page --format json", user=slurm_cluster.USER, check=False)
    assert "fan | broken" in page
    assert cluster.on("ctl", "ls -A page").split() == ["n1.json", "nodes"]


def test_each_job_takes_all_gpus_of_its_node_and_no_node_twice(cluster: Cluster) -> None:
    told = ("sh", "-c", "echo $(hostname) $CUDA_VISIBLE_DEVICES $SLURM_ARRAY_TASK_COUNT")
    answers = cluster.ask(program=told, nodes=["n[2-3]", "n1"])
    assert {each["report"] for each in answers} == {"n1 0,1 3\n", "n2 0,1 3\n", "n3 0,1 3\n"}
    limit = "$(scontrol show job $SLURM_JOB_ID | grep -om1 ArrayTaskThrottle=.)"
    told = ("sh", "-c", f"echo $(hostname) $CUDA_VISIBLE_DEVICES $SLURM_JOB_PARTITION {limit}")
    options = {"gpus": "1", "partition": "spare", "constraint": "h100", "folder": "one", "fanout": "1"}
    answers = cluster.ask(program=told, options=options)
    assert {each["report"] for each in answers} == {f"{node} 0 spare ArrayTaskThrottle=1\n" for node in ("n3", "n4")}


def test_a_busy_node_is_left_alone_unless_asked(cluster: Cluster) -> None:
    job = "sbatch --parsable -w n3 -c 2 --gres=gpu:2 --output=/dev/null --wrap 'sleep 300'"
    number = cluster.on("ctl", job, user=slurm_cluster.USER).strip()
    cluster.until("sinfo -h -N -o '%N %T'", "n3 allocated")
    told = ("sh", "-c", "echo $(hostname)")
    answers = by_node(cluster.ask(program=told, options={"folder": "idle"}))
    assert answers["n3"]["why"] == "it is allocated, and only idle nodes were asked for (busy waits for it)"
    assert answers["n4"]["report"] == "n4\n"
    late = by_node(cluster.ask(program=told, nodes=["n3"], options={"folder": "late", "busy": "yes"}, deadline=1))
    assert str(late["n3"]["why"]).startswith("its job did not start within ")
    assert cluster.on("ctl", "squeue -h -t pending,running -o %A").split() == [number]
    cluster.on("ctl", f"(sleep 1; scancel {number}) > /dev/null 2>&1 &")
    answers = by_node(cluster.ask(program=told, nodes=["n3"], options={"folder": "busy", "busy": "yes"}))
    assert answers["n3"]["report"] == "n3\n"


def test_gpucheck_fails_on_one_node(cluster: Cluster) -> None:
    """It ends with no report; it is not there; the folder cannot be written."""
    failing = "[ $(hostname) != n1 ] || { echo '{'; echo 'no space' >&2; exit 9; }; echo whole; exit 1"
    answers = by_node(cluster.ask(program=("sh", "-c", failing), options={"folder": "failing"}))
    assert answers["n1"]["why"] == "gpucheck ended with 9 and no report: no space"
    assert answers["n2"]["report"] == "whole\n"  # exit code 1: a report that tells of a fault
    answers = by_node(cluster.ask(program=("gpuchek",), nodes=["n1"], options={"folder": "absent"}))
    assert answers["n1"]["why"] == "gpucheck ended with 127 and no report: gpuchek: not found"
    answers = by_node(cluster.ask(program=("echo",), nodes=["n1"], options={"folder": "/home/somebody/own"}))
    assert answers["n1"]["why"] == "it cannot write /home/somebody/own: is the folder shared with it, and not full?"
    answers = by_node(cluster.ask(program=("echo",), nodes=["n1"], options={"folder": "/tmp"}))  # noqa: S108
    assert answers["n1"]["why"] == "its job ended and left no report in /tmp: is the folder shared with it?"


@pytest.mark.parametrize("number", ["INT", "TERM"])
def test_an_interrupted_run_leaves_no_job_and_no_half_report(cluster: Cluster, number: str) -> None:
    folder = f"ended-{number}"
    asking = slurm_cluster.asking(program=HALF, options={"folder": folder})
    cluster.on("ctl", f"{asking} > {folder}.said 2>&1 & echo $! > {folder}.pid", user=slurm_cluster.USER)
    cluster.until(f"ls -A {folder} | grep -vcE 'said|nodes'", "4")
    assert "gpucheck-" in cluster.on("ctl", "squeue -h -o %j")
    cluster.on("ctl", f"kill -{number} $(cat {folder}.pid); while [ -e /proc/$(cat {folder}.pid) ]; do sleep 0.1; done")
    assert cluster.on("ctl", f"cat {folder}.said; squeue -h -t pending,running; ls -A | grep {folder}") == (
        f"{folder}.pid\n{folder}.said\n"
    )
    for node in NODES:
        assert "61.7" not in cluster.on(node, "cat /proc/[0-9]*/cmdline | tr '\\0' ' '", check=False)


def test_the_nodes_of_a_reservation_are_free_for_its_own_runs(cluster: Cluster) -> None:
    cluster.on("ctl", f"scontrol create reservation=mine user={slurm_cluster.USER} nodes=n2 starttime=now duration=30")
    try:
        cluster.until("sinfo -h -N -n n2 -o %T", "reserved")
        told = ("sh", "-c", "echo $(hostname) $SLURM_JOB_RESERVATION")
        answers = by_node(cluster.ask(program=told, nodes=["n[1-2]"], options={"folder": "others"}))
        assert answers["n2"]["why"] == "it is reserved, and of no reservation that was asked for"
        assert answers["n1"]["report"] == "n1\n"
        (answer,) = cluster.ask(program=told, options={"folder": "own", "reservation": "mine"})
        assert (answer["node"], answer["report"]) == ("n2", "n2 mine\n")
    finally:
        cluster.on("ctl", "scontrol delete reservation=mine")


def test_what_does_not_exist_is_offered_by_its_nearest_name(cluster: Cluster) -> None:
    for asked, failure, tip in (
        ({"options": {"partition": "spar"}}, "there is no partition 'spar'", "perhaps spare"),
        ({"nodes": ["n[1-5]"]}, "there is no node 'n5'", "perhaps n4"),
        ({"nodes": ["--help"]}, "there is no node '--help'", "n1"),
        ({"nodes": ["n1"], "options": {"partition": "spare"}}, "n1 is not in partition spare", "sinfo"),
        ({"options": {"constraint": "h100&h200"}}, "there is no feature 'h200'", "h100"),
        ({"options": {"fanout": "0"}}, "'0' is no number of nodes", "1 or more"),
        ({"options": {"colour": "red"}}, "this engine has no option 'colour'", "partition"),
        ({"options": {"reservation": "none"}}, "there is no reservation 'none'", "no reservation at all"),
    ):
        (answer,) = cluster.ask(**asked)
        assert failure in str(answer["failure"]), answer
        assert tip in str(answer["tip"])
    cluster.on("ctl", "scontrol create reservation=theirs user=root nodes=n1 starttime=now duration=30")
    (answer,) = cluster.ask(options={"reservation": "theirs"})
    assert str(answer["failure"]).startswith("sbatch refused: "), answer
    assert "sbatch" in str(answer["tip"])
    cluster.on("ctl", "scontrol delete reservation=theirs")
    (answer,) = map(json.loads, cluster.on("ctl", f"PATH=/none /usr/bin/{slurm_cluster.asking()}").splitlines())
    assert answer == {"failure": "there is no sinfo here", "tip": "run it on a login node of the Slurm cluster"}


@pytest.fixture
def hook(cluster: Cluster) -> Iterator[Hook]:
    """A function that installs a hook of ours on a node, as its administrator does."""
    good = (MACHINES / "h100x8-healthy" / "recording.json").read_bytes()
    variables = "".join(f"export {name}={value}\n" for name, value in slurm_cluster.ENVIRONMENT.items())
    settings = f'{variables}GPUCHECK_NODE="--from /opt/now.json --failures 1 --clean 1"\n'
    for machine in cluster.machines.values():
        slurm_cluster.put(machine, {"/etc/gpucheck/hooks.env": settings.encode(), "/opt/now.json": good})
    placed: list[tuple[str, str]] = []

    def install(node: str, kind: str) -> None:
        cluster.on(node, f"python3 -P -m gpucheck fleet hooks {kind} --install")
        placed.append(
            (node, f"sed -i '/{kind}/d' {CONF}; {REREAD}; python3 -P -m gpucheck fleet hooks {kind} --uninstall")
        )
        if kind == "slurm-prolog":
            cluster.on(node, f"echo Prolog={slurm_cluster.HOOKS}/{kind} >> {CONF}; {REREAD}")

    yield install
    for node, undo in reversed(placed):
        cluster.on(node, undo)


def test_our_prolog_drains_a_node_and_our_health_check_brings_it_back(cluster: Cluster, hook: Hook) -> None:
    """What the hooks look at is a recorded machine: it loses a GPU, and has it again."""
    good, lost = ((MACHINES / name / "recording.json").read_bytes() for name in ("h100x8-healthy", "h100x8-gpu-lost"))
    slurm_cluster.put(cluster.machines["n2"], {"/opt/now.json": lost})
    for node in ("n1", "n2"):
        hook(node, "slurm-prolog")
    answers = by_node(cluster.ask(program=("echo", "a report"), nodes=["n[1-2]"], options={"folder": "prolog"}))
    assert answers["n1"]["report"], answers
    assert answers["n2"]["report"] is None
    assert "it is drained: gpucheck: nvml.all-gpus: GPU 3 of 8" in str(answers["n2"]["why"])
    cluster.on("ctl", "scontrol update nodename=n1 state=drain reason=mine")
    for node in ("n1", "n2"):
        slurm_cluster.put(cluster.machines[node], {"/opt/now.json": good})
        hook(node, "slurm-health")
    cluster.until("sinfo -h -N -n n2 -o %T", "idle")
    slurm_cluster.put(cluster.machines["n2"], {"/opt/now.json": lost})
    assert "gpucheck: nvml.all-gpus" in cluster.until("sinfo -h -N -n n2 -o '%T %E'", "drained")
    assert cluster.on("ctl", "sinfo -h -N -n n1 -o '%T %E'") == "drained mine\n"


def test_a_node_whose_slurmd_has_died_is_missing_and_the_others_are_not(cluster: Cluster) -> None:
    cluster.on("n4", "kill -9 $(pidof slurmd)")
    answers = by_node(cluster.ask(program=("echo", "a report"), deadline=5))
    assert answers["n1"]["report"] == answers["n3"]["report"] == "a report doctor --format json\n"
    assert answers["n4"]["report"] is None
    assert str(answers["n4"]["why"]).startswith("Slurm sent its job there, and it has not begun to work within 5 s")
