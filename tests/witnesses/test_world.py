"""world.json, whole and torn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gpucheck.host import CannotLook
from gpucheck.witnesses import world

RANK: dict[str, Any] = {"rank": 0, "node": 0, "host": "gpu-1", "device": "GPU:0", "uuid": None, "samples": 640,
                        "wrong": 0, "weights": "0" * 64}  # fmt: skip
REDUCED: dict[str, Any] = {"bytes": 4096, "times": 5, "seconds": 0.001, "wrong": 0}
WORLD: dict[str, Any] = {
    "framework_version": "2.13.0", "backend": "nccl", "hosts": ["gpu-1", "gpu-2"], "node": 0, "devices": 1,
    "refused": None, "ranks": [RANK, {**RANK, "rank": 1, "node": 1, "host": "gpu-2"}], "reductions": [REDUCED],
    "steps": 20, "batch_size": 32, "losses": [2.3, float("nan")],
}  # fmt: skip


def look(folder: Path, asked: str = "0@gpu-1,gpu-2:29400", **changes: object) -> Any:
    (folder / "asked.json").write_text(json.dumps({"devices": 1, "options": {"world": asked}}))
    (folder / "world.json").write_text(json.dumps({**WORLD, **changes}))
    return world.look(folder)


def test_a_world(tmp_path: Path) -> None:
    found = look(tmp_path)
    assert (found.hosts, found.node, found.devices, found.backend) == (("gpu-1", "gpu-2"), 0, 1, "nccl")
    assert [(rank.rank, rank.host, rank.uuid) for rank in found.ranks] == [(0, "gpu-1", None), (1, "gpu-2", None)]
    assert [(each.bytes, each.seconds) for each in found.reductions] == [(4096, 0.001)]
    assert found.losses == (2.3, None)


def test_nvml_is_asked_of_the_time_of_that_part(tmp_path: Path) -> None:
    assert look(tmp_path).unseen == "the run left no nvml.jsonl"
    gpu = {"index": 0, "utilization": 90, "memory_used": 9, "power_mw": 7, "energy_mj": 0, "sm_mhz": 3, "error": None,
           "processes": [{"pid": 7, "used_bytes": 5, "ours": True}]}  # fmt: skip
    samples = [{"t": 99.0 + second, "gpus": [gpu if second < 4 else {**gpu, "processes": []}]} for second in range(9)]
    tape = [{"gpus": [{"index": 0, "uuid": "GPU-a", "name": "H"}], "interval": 1}, {"follow": 98.0, "by": "cgroup"}]
    (tmp_path / "nvml.jsonl").write_text("".join(f"{json.dumps(line)}\n" for line in (*tape, *samples)))
    assert look(tmp_path).unseen == "the run left no run.json"
    part = {"name": "world", "began": 100.0, "seconds": 2.5}
    (tmp_path / "run.json").write_text(json.dumps({"parts": [{**part, "name": "train"}]}))
    assert look(tmp_path).unseen == "run.json tells of no such part"
    (tmp_path / "run.json").write_text(json.dumps({"parts": [part]}))
    found = look(tmp_path)
    assert (found.gpu_use.samples, found.gpu_use.gpus[0].ours_peak_bytes, found.unseen) == (3, 5, None)


def test_a_world_that_did_not_meet(tmp_path: Path) -> None:
    found = look(tmp_path, refused="x" * 1000, ranks=[], reductions=[], losses=[], steps=0)
    assert (len(found.refused), found.ranks) == (400, ())


@pytest.mark.parametrize(
    "changes",
    [{"ranks": [{**RANK, "weights": "sum"}]}, {"ranks": [{}]}, {"ranks": None},
     {"reductions": [{**REDUCED, "seconds": 0}]}, {"reductions": [{**REDUCED, "seconds": float("inf")}]},
     {"losses": ["low"]}, {"hosts": [1]}, {"node": True}, {"ranks": [{**RANK, "samples": -1}]},
     {"reductions": [{**REDUCED, "bytes": 10**400}]}, {"steps": 10**13}],
)  # fmt: skip
def test_a_torn_world_is_not_known(tmp_path: Path, changes: dict[str, Any]) -> None:
    with pytest.raises(CannotLook, match="world"):
        look(tmp_path, **changes)


@pytest.mark.parametrize(
    "changes", [{"hosts": ["gpu-1"]}, {"hosts": []}, {"node": 1}, {"node": -1}, {"devices": 10**12}, {"devices": 0}]
)
def test_the_run_does_not_say_which_world_was_asked_for(tmp_path: Path, changes: dict[str, Any]) -> None:
    """Or a node that trained alone would call itself all of them."""
    with pytest.raises(CannotLook, match="another world than was asked for"):
        look(tmp_path, **changes)


def test_what_was_asked_is_torn(tmp_path: Path) -> None:
    with pytest.raises(CannotLook, match="something else as world"):
        look(tmp_path, asked="auto")


def test_no_world_was_left(tmp_path: Path) -> None:
    with pytest.raises(CannotLook, match=r"no world\.json"):
        world.look(tmp_path)
