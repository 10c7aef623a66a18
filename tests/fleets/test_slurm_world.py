"""Which nodes are a world, and what srun's own words say of each: as a real 24.11 printed them, but for the lists."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from gpucheck.fleets import slurm_jobs, slurm_world
from gpucheck.fleets.runs import with_devices
from gpucheck.fleets.slurm_home import Begun
from gpucheck.fleets.slurm_nodes import Node
from gpucheck.model import Failure

SAID = """srun: warning: can't run 1 processes on 2 nodes, setting nnodes to 1
srun: error: n2: task 1: Killed
srun: error: n[3-4]: tasks 2-3: Exited with exit code 73
srun: error: n7: task 5: Exited with exit code 143
srun: error: Node failure on n6
srun: error: n5;reboot: task 4: Killed
srun: error: Timed out waiting for job step to complete
"""
EXPANDED = {"n2": "n2\n", "n[3-4]": "n3\nn4\n", "n6": "n6\n"}


def node(name: str, gpus: int, *partitions: str) -> Node:
    return Node(
        name=name, host=name, partitions=partitions, state="idle", gpus=gpus, features=frozenset(), reason="none"
    )  # fmt: skip


@pytest.mark.parametrize(("nodes", "gpus", "sentence"), [
    ((node("a", 8, "x"),), None, "a world has two nodes at least, and only a is meant"),
    ((node("a", 8, "x", "z"), node("b", 8, "y", "z"), node("c", 8, "x")), None, "these nodes are of x, y"),
    ((node("a", 8, "x"), node("b", 8, "x"), node("c", 4, "x")), None, "as many GPUs each, and c has 4, a has 8"),
    ((node("a", 8, "x", "z"), node("b", 8, "y", "z")), None, ""), ((node("a", 8, "x"), node("b", 4, "x")), 4, ""),
])  # fmt: skip
def test_which_nodes_are_a_world(nodes: Sequence[Node], gpus: int | None, sentence: str) -> None:
    if not sentence:
        slurm_world.check(nodes, gpus)
        return
    with pytest.raises(Failure, match=sentence) as failure:
        slurm_world.check(nodes, gpus)
    assert failure.value.tip


def test_what_srun_says_is_the_reason_of_each_node(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slurm_jobs, "ask", lambda argv: EXPANDED[argv[3]])
    begun = Begun(name="x", folder=tmp_path, at=time.monotonic(), deadline=1.0)
    assert slurm_world._reasons(begun, "7") == {}
    (tmp_path / ".srun.7").write_text(SAID)
    found = slurm_world._reasons(begun, "7")
    full = f"it cannot write {tmp_path}: is the folder shared with it, and not full?"
    ended = "its job ended, for Slurm lost n6 in the middle"
    assert found.pop(slurm_world.WORLD) == ended
    assert found == {
        "n2": "its task ended: Killed", "n3": full, "n4": full, "n6": "Slurm lost the node in the middle",
        "n7": "Slurm ended its task: the job was cancelled, or its time was over",
    }  # fmt: skip


VERIFY = ("verify", "--framework", "jax")


@pytest.mark.parametrize(("command", "gpus", "whole"), [
    (VERIFY, 8, (*VERIFY, "--devices", "8")), (VERIFY, 0, VERIFY),
    ((*VERIFY, "--devices", "8"), 8, (*VERIFY, "--devices", "8")),
    ((*VERIFY, "--devices=8"), 8, (*VERIFY, "--devices=8")),
    ((*VERIFY, "--device", "cpu"), 8, (*VERIFY, "--device", "cpu")),
    ((*VERIFY, "--device=cpu"), 2, (*VERIFY, "--device=cpu")),
])  # fmt: skip
def test_a_world_trains_on_all_that_its_nodes_give(command: tuple[str, ...], gpus: int, whole: tuple[str, ...]) -> None:
    assert with_devices(command, gpus) == whole


@pytest.mark.parametrize("words", [("--devices", "4"), ("--devices=4",), ("--devices",)])
def test_no_gpu_of_a_world_stands_idle(words: tuple[str, ...]) -> None:
    with pytest.raises(Failure, match=r"each node gives 8 GPUs, and --devices says 4?: some would stand idle"):
        with_devices((*VERIFY, *words), 8)
    with pytest.raises(Failure, match="only the node knows"):
        with_devices(VERIFY, None)
    assert with_devices((*VERIFY, *words), None) == (*VERIFY, *words)
