"""The world of several nodes: its numbers, its deadline, and two real workers, each in a network of its own."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucheck.payloads import world, world_network, world_process

PACKAGE = Path(__file__).parents[1] / "gpucheck"
RECIPES = {"jax": "jax-cpu", "tensorflow": "tensorflow-cpu", "pytorch": "pytorch-cpu"}
BACKENDS = {"jax": "gloo", "tensorflow": "ring", "pytorch": "gloo"}
PARAMETERS = 122_570
# A worker whose numbers are wrong by one, and that is gone when the training begins: no payload has such an option.
BROKEN = """
import os
from payloads import cifar10, world

numbers = world.numbers

def wrong_by_one(rank, count):
    mine = numbers(rank, count)
    mine[5] += 1
    return mine

world.numbers = wrong_by_one
cifar10.synthetic = lambda *_, **__: os.kill(os.getpid(), 9)
"""
# A worker that is a second later than the first with its report.
LATE = """
import time
from payloads import world

done = world.Told.done
world.Told.done = lambda *told: (time.sleep(1), done(*told))
"""
# A worker of which one rank fails in the training.
SICK = """
import os
from payloads import cifar10

def sick(*_, **__):
    raise RuntimeError("CUDA error: uncorrectable ECC error encountered")

if os.environ.get("RANK") == "3":
    cifar10.synthetic = sick
"""
# A framework that never comes back, with a child of its own. In the probe and the training it does nothing.
HANGING = """
import pathlib, subprocess, sys, time
from payloads import parts, program

def nothing(options, say):
    pass

def hang(options, say):
    if options.stem == "world":
        program = "import time; from payloads import parts; parts.bound(); print('here', flush=True); time.sleep(99)"
        child = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE)
        child.stdout.readline()
        say(f"child {child.pid}")
    time.sleep(99)

if __name__ == "__main__":
    sys.exit(program.main("json", nothing, nothing, world=hang))
"""


def test_a_world_as_it_is_asked_for() -> None:
    assert world.asked("1@gpu-1,gpu-2:29400") == (1, ("gpu-1", "gpu-2"), 29400)
    assert world.asked("0@10.0.0.1:80").first() == "10.0.0.1:80"
    assert world.asked("0@fd00::1,fd00::2:29400").first() == "[fd00::1]:29400"


@pytest.mark.parametrize(
    "text", ["", "gpu-1:1", "2@a,b:1", "0@a,,b:1", "0@a,b", "0@a:0", "0@a:65536", "-1@a:1", "0@a b:1"]
)
def test_what_is_no_world(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is not RANK@HOST"):
        world.asked(text)


@pytest.mark.parametrize("ranks", [1, 2, 48, 16_000])
def test_the_sum_of_all_ranks_is_exact_in_float32(ranks: int) -> None:
    """In whatever order: each partial sum is a whole number below 2**24."""
    exact = [sum((7919 * i + 104729 * r) % 1021 for r in range(ranks)) for i in (0, 1, 1020)]
    assert [int(value) for value in world.total(ranks)[[0, 1, 1020]]] == exact
    assert world.total(ranks).max() < 2**24


def test_each_wrong_element_is_counted() -> None:
    count = 3 * 1021 * 1024 + 7
    reduced = world.numbers(0, count) + world.numbers(1, count)
    assert world.wrong(reduced, world.total(2)) == 0
    reduced[[0, 1021 * 1024, count - 1]] += 1
    reduced[500] = np.nan
    assert world.wrong(reduced, world.total(2)) == 4
    assert world.wrong(-np.zeros(1021, np.float32), np.zeros(1021, np.float32)) == 1021  # equal, and other bits
    moved = np.roll(world.numbers(0, 1 << 18), 1 << 12)  # a chunk in the place of another
    assert world.wrong(moved, world.total(1)) > 0.99 * len(moved)


def test_what_a_framework_said_is_one_line_without_its_addresses() -> None:
    gloo = "[/__w/third_party/gloo/gloo/transport/tcp/pair.cc:553] Connection closed by peer [10.0.0.2]:3294. 🏖️"
    assert world.said(RuntimeError(gloo)) == "RuntimeError: Connection closed by peer [10.0.0.2]:3294. "
    graph = (
        'Graph execution error:\n\nDetected at node x defined at (most recent call last):\n  File "a.py"\nIt is aborted'
    )
    assert world.said(RuntimeError(graph)) == "RuntimeError: It is aborted"
    assert world.said(RuntimeError("at 0x7f44ad740634\nframe #0")) == "RuntimeError: at "
    assert world.said(TimeoutError()) == "TimeoutError: no word"
    assert len(world.said(RuntimeError("x" * 9999))) == 300


def test_the_way_to_the_nodes_is_past_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(world_network.NO_PROXY, "a.example")
    world_network.past_proxies(world.World(0, ("w0", "w1"), 29400))
    assert os.environ[world_network.NO_PROXY] == "a.example,w0,w1"


def test_the_interface_that_leads_to_the_others() -> None:
    assert world_network.interface(world.World(0, ("127.0.0.1", "127.0.0.2"), 29400)) == "lo"
    assert world_network.interface(world.World(0, ("localhost",), 29400)) is None
    assert world_network.interface(world.World(1, ("nowhere.invalid", "localhost"), 29400)) is None


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[Callable[..., tuple[subprocess.Popen[str], int]]]:
    """A function (seconds) that starts a payload whose world hangs: it, and the process that the world has started."""
    (tmp_path / "hanging.py").write_text(HANGING)
    started = []

    def start(seconds: int) -> tuple[subprocess.Popen[str], int]:
        command = [sys.executable, "-m", "hanging", "--out", str(tmp_path / "out"), "--device", "cpu"]
        child = subprocess.Popen(
            [*command, "--world", "0@localhost:29400", "--world-seconds", str(seconds)], text=True,
            env={**os.environ, "PYTHONPATH": f"{PACKAGE}{os.pathsep}{tmp_path}"}, stdout=subprocess.PIPE,
        )  # fmt: skip
        started.append(child)
        assert child.stdout is not None
        return child, int(child.stdout.readline().removeprefix("world: child "))

    yield start
    for child in started:
        child.kill()
        child.communicate()


def gone(pid: int) -> bool:
    """Within ten seconds. A process that only waits to be reaped is none."""
    for _ in range(100):
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def test_a_world_that_hangs_is_ended_and_the_other_parts_run(hanging: Any, tmp_path: Path) -> None:
    child, grandchild = hanging(1)
    out, _ = child.communicate(timeout=60)
    assert (child.returncode, out) == (1, "world: killed by signal 9\n")
    parts = json.loads((tmp_path / "out" / "run.json").read_text())["parts"]
    assert [(part["name"], part["exit_code"], part["signal"]) for part in parts] == [
        ("world", None, 9), ("probe-strict", 0, None), ("train", 0, None),
    ]  # fmt: skip
    assert gone(grandchild)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_nothing_of_a_world_outlives_the_payload(hanging: Any, number: signal.Signals) -> None:
    child, grandchild = hanging(60)
    child.send_signal(number)
    child.communicate(timeout=60)
    assert gone(grandchild)


def test_what_the_nodes_told_is_torn_where_their_sums_are(tmp_path: Path) -> None:
    """Then they have told something, and that is the report."""
    (tmp_path / "torn.py").write_text("""
import json
from payloads import world_process

if __name__ == "__main__":
    world_process.child("torn", "1", "gloo", lambda options, told: json.loads("{"))
""")
    done = subprocess.run(
        [sys.executable, "-m", "torn", "--out", tmp_path, "--device", "cpu", "--world", "0@localhost:29400"],
        env={**os.environ, "PYTHONPATH": f"{PACKAGE}{os.pathsep}{tmp_path}"}, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    refused = json.loads((tmp_path / "world.json").read_text())["refused"]
    assert refused.startswith("before the nodes met: JSONDecodeError: Expecting property name")


def test_a_payload_that_joins_no_world_says_so(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "payloads.xgboost", "--out", tmp_path, "--world", "0@localhost:29400"],
        env={**os.environ, "PYTHONPATH": str(PACKAGE)}, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert "xgboost joins no other nodes" in done.stderr


# --- real frameworks ---


@pytest.fixture(params=RECIPES)
def framework(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def python(framework: str, framework_python: Callable[[str], str], request: pytest.FixtureRequest) -> str:
    if framework == "tensorflow":
        return str(request.getfixturevalue("tensorflow_python"))
    return framework_python(RECIPES[framework])


@pytest.fixture
def networks() -> Iterator[list[str]]:
    """Two network namespaces on one bridge, in which w0 and w1 know one another.

    Each knows itself as 127.0.1.1, as Debian's /etc/hosts has it.
    """
    hub, *nodes = (f"gpucheck{os.getpid()}{name}" for name in ("hub", "w0", "w1"))
    made = [
        ["ip", "netns", "add", hub], ["ip", "-n", hub, "link", "add", "bridge", "type", "bridge"],
        ["ip", "-n", hub, "link", "set", "bridge", "up"],
    ]  # fmt: skip
    for number, node in enumerate(nodes):
        made += [
            ["ip", "netns", "add", node], ["ip", "-n", node, "link", "set", "lo", "up"],
            ["ip", "-n", hub, "link", "add", f"port{number}", "type", "veth", "peer", "name", "eth0", "netns", node],
            ["ip", "-n", hub, "link", "set", f"port{number}", "master", "bridge", "up"],
            ["ip", "-n", node, "addr", "add", f"10.77.0.{number + 1}/24", "dev", "eth0"],
            ["ip", "-n", node, "link", "set", "eth0", "up"],
        ]  # fmt: skip
    if os.geteuid() != 0 or shutil.which("ip") is None or shutil.which("unshare") is None:
        pytest.skip("needs root, unshare and ip: no two workers were joined")
    try:
        for command in made:
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode:
                pytest.skip(f"no network namespaces here, so no two workers were joined: {done.stderr.strip()}")
        for number, node in enumerate(nodes):
            hosts = Path("/etc/netns") / node / "hosts"  # ip netns exec puts it over /etc/hosts
            hosts.parent.mkdir(parents=True)
            hosts.write_text(f"127.0.0.1 localhost\n127.0.1.1 w{number}\n10.77.0.{2 - number} w{1 - number}\n")
        yield nodes
    finally:
        for node in (*nodes, hub):
            subprocess.run(["ip", "netns", "del", node], capture_output=True)
            shutil.rmtree(Path("/etc/netns") / node, ignore_errors=True)


def met(
    framework: str, python: str, networks: list[str], folder: Path, second: str = LATE, devices: int = 1
) -> list[Any]:
    """What the two nodes reported, with the exit code of each one's part; the second node begins with `second`."""
    (folder / "second").mkdir()
    (folder / "second" / "sitecustomize.py").write_text(second)
    children = []
    for node, network in enumerate(networks):
        out = folder / str(node)
        out.mkdir()
        command = [
            python, "-m", f"payloads.{framework}", "--out", str(out), "--device", "cpu", "--part", "world", "--stem",
            "world", "--world", f"{node}@w0,w1:29400", "--world-seconds", "60", "--devices", str(devices),
        ]  # fmt: skip
        path = [str(PACKAGE), *([str(folder / "second")] if node else [])]
        with (out / "world.err").open("wb") as err:
            children.append(subprocess.Popen(
                ["ip", "netns", "exec", network, "unshare", "--uts", "sh", "-c", f'hostname w{node}; exec "$@"', "sh",
                 *command],
                env={**os.environ, "PYTHONPATH": os.pathsep.join(path), "http_proxy": "http://127.0.0.1:9"},
                stdout=subprocess.DEVNULL, stderr=err,
            ))  # fmt: skip
    codes = [child.wait(150) for child in children]
    reports = [folder / str(node) / "world.json" for node in (0, 1)]
    return [
        (code, json.loads(told.read_text()) if told.exists() else None)
        for code, told in zip(codes, reports, strict=True)
    ]


@pytest.mark.tensorflow
@pytest.mark.timeout(600)
def test_two_nodes_that_know_themselves_by_a_loopback_address(
    framework: str, python: str, networks: list[str], tmp_path: Path
) -> None:
    told = met(framework, python, networks, tmp_path)
    assert [code for code, _ in told] == [0, 0], (tmp_path / "0" / "world.err").read_text()
    for node, (_, report) in enumerate(told):
        assert (report["refused"], report["backend"], report["node"]) == (None, BACKENDS[framework], node)
        assert (report["hosts"], report["devices"], report["steps"], report["batch_size"]) == (["w0", "w1"], 1, 20, 32)
        assert [(rank["rank"], rank["node"], rank["host"], rank["device"]) for rank in report["ranks"]] == [
            (0, 0, "w0", "CPU:0"), (1, 1, "w1", "CPU:0"),
        ]  # fmt: skip
        assert [(rank["samples"], rank["wrong"], rank["uuid"]) for rank in report["ranks"]] == [(640, 0, None)] * 2
        assert [(row["bytes"], row["times"], row["wrong"]) for row in report["reductions"]] == [
            (4096, 5, 0), (1 << 20, 5, 0), (16 << 20, 5, 0),
        ]  # fmt: skip
        assert all(row["seconds"] > 0 for row in report["reductions"])
        assert len(report["losses"]) == 20
        assert report["losses"][-1] < report["losses"][0]
    digests = {rank["weights"] for _, report in told for rank in report["ranks"]}
    assert len(digests) == 1
    assert {path.name for path in (tmp_path / "0").iterdir()} == {"world.err", "world.json"}
    assert told[0][1]["losses"] == pytest.approx(told[1][1]["losses"])


@pytest.mark.tensorflow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("framework", ["jax", "pytorch"])
def test_a_node_that_adds_wrong_numbers_and_dies_is_seen_by_the_other(
    framework: str, python: str, networks: list[str], tmp_path: Path
) -> None:
    (code, report), (died, none) = met(framework, python, networks, tmp_path, BROKEN)
    assert (code, bool(died), none) == (0, True, None)
    assert report["refused"].startswith("in the training: ")
    assert "Connection closed by peer" in report["refused"]
    assert (report["ranks"], report["losses"]) == ([], [])
    assert [row["wrong"] for row in report["reductions"]] == [6, 6, 6]  # one element, each of six times


@pytest.mark.tensorflow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("framework", ["pytorch"])
def test_every_node_tells_the_rank_that_failed_and_not_what_that_did_to_the_others(
    framework: str, python: str, networks: list[str], tmp_path: Path
) -> None:
    for code, report in met(framework, python, networks, tmp_path, SICK, devices=2):
        said = "in the training: RuntimeError: CUDA error: uncorrectable ECC error encountered (rank 3 on w1)"
        assert (code, report["refused"], report["ranks"]) == (0, said, [])


@pytest.mark.tensorflow
@pytest.mark.timeout(600)
def test_a_name_that_leads_nowhere_is_said(framework: str, python: str, tmp_path: Path) -> None:
    """And the part ends well: it has reported."""
    command = [python, "-m", f"payloads.{framework}", "--out", str(tmp_path), "--device", "cpu", "--part", "world"]
    done = subprocess.run(
        [*command, "--stem", "world", "--world", "0@localhost,nowhere.invalid:29400", "--world-seconds", "1"],
        env={**os.environ, "PYTHONPATH": str(PACKAGE)}, capture_output=True, text=True, timeout=150,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "world.json").read_text())
    assert report["refused"].startswith("before the nodes met: OSError: nowhere.invalid has no address here: ")
    assert (report["ranks"], report["reductions"], report["hosts"]) == ([], [], ["localhost", "nowhere.invalid"])


def test_the_last_words_of_a_library_that_ends_its_process(tmp_path: Path) -> None:
    """XLA's, of jaxlib 0.10.2; without a status it is a crash like any other."""
    stream = tmp_path / "world.err"
    stream.write_text(
        "F1126 05:03:13.031668   21570 client.h:80] Terminating process because the JAX distributed service detected "
        "fatal errors. absl::Status: DEADLINE_EXCEEDED: Deadline Exceeded\n\nRPC: /x\n*** Check failure stack trace: *"
    )
    assert world_process._last_words(stream) == "DEADLINE_EXCEEDED: Deadline Exceeded"
    stream.write_text("F1126 05:03:13.031668   21570 core.cc:80] Check failed: a == b\n")
    assert world_process._last_words(stream) is None
