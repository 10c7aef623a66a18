"""The runs in tests/runs: each is read whole, and the derived ones are what derive.py makes of the recorded one."""

from __future__ import annotations

import gzip
import subprocess
import sys
from pathlib import Path

import pytest

from gpucheck import compat
from gpucheck.facts import Placement, Run, Training
from gpucheck.host import CannotLook
from gpucheck.witnesses import WITNESSES

RUNS = Path(__file__).parents[1] / "runs"
DERIVED = sorted(path.name for path in RUNS.glob("derived-*"))
EVERY = sorted(path.parent.name for path in RUNS.glob("*/evidence"))
HEAVY = {op for op, _ in compat.load().shown_ops(["tensorflow"])}


def placement(name: str) -> Placement:
    found: Placement = WITNESSES[Placement](RUNS / name / "evidence")
    return found


def heavy_devices(name: str) -> set[str]:
    ops = [op for op in placement(name).ops if op.op in HEAVY]
    assert not ops or {op.op for op in ops} == HEAVY
    return {op.device for op in ops}


def content(folder: Path) -> dict[str, bytes]:
    """The files without their compression, which differs between versions of zlib."""
    files = {path.name: path.read_bytes() for path in folder.iterdir()}
    return {name: gzip.decompress(data) if name.endswith(".gz") else data for name, data in files.items()}


def test_the_derived_runs_are_up_to_date(tmp_path: Path) -> None:
    subprocess.run([sys.executable, str(RUNS / "derive.py"), str(tmp_path)], check=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == DERIVED
    for name in DERIVED:
        assert content(tmp_path / name / "evidence") == content(RUNS / name / "evidence"), f"run {RUNS / 'derive.py'}"


@pytest.mark.parametrize("name", EVERY)
def test_every_line_of_every_run_is_read(name: str) -> None:
    assert placement(name).unread == 0


def test_the_recorded_run_on_the_cpu() -> None:
    found = placement("tensorflow-cpu")
    assert (found.strict, found.refused, found.gpu_kernels) == (True, None, None)
    assert heavy_devices("tensorflow-cpu") == {"CPU:0"}
    training: Training = WITNESSES[Training](RUNS / "tensorflow-cpu" / "evidence")
    assert training.real
    assert [epoch.steps for epoch in training.history] == [1563] * 3


def test_the_recorded_run_that_was_asked_for_the_gpu() -> None:
    found = placement("tensorflow-cpu-asked-gpu")
    assert not found.strict
    assert "GPU:0" in str(found.refused)
    assert heavy_devices("tensorflow-cpu-asked-gpu") == {"CPU:0"}


def test_what_the_derived_runs_stand_for() -> None:
    good = placement("derived-tensorflow-gpu")
    assert good.gpu_kernels is not None
    assert set(good.gpu_kernels) >= HEAVY
    assert "Shape" in good.host_memory
    assert heavy_devices("derived-tensorflow-gpu") == heavy_devices("derived-loss-rose") == {"GPU:0"}
    assert placement("derived-no-lines").lines == 0
    stray = [op for op in placement("derived-conv-on-cpu").ops if op.op in HEAVY and op.device == "CPU:0"]
    assert [(op.op, op.count) for op in stray] == [("Conv2D", 1)]
    run: Run = WITNESSES[Run](RUNS / "derived-killed" / "evidence")
    assert (run.exit_code, run.parts[-1].name, run.parts[-1].signal) == (1, "train", 9)
    with pytest.raises(CannotLook, match=r"train\.json"):
        WITNESSES[Training](RUNS / "derived-killed" / "evidence")
