"""The control run's evidence: its probe, and the few steps of its training."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from gpucheck.host import CannotLook
from gpucheck.witnesses import control

TRACES = Path(__file__).with_name("samples") / "traces"
CPU, GPU = "torch2.13.0", "derived-torch-gpu"
PROGRAM = Path(control.__file__).parents[1] / "payloads" / "program.py"
KINETO = "control-train.kineto.json.gz"
PROFILE = {
    "source": "torch.profiler",
    "file": KINETO,
    "seconds": 0.1,
    "steps": 9,
    "blind": None,
}


def leave(folder: Path, sample: str = CPU, device: str = "gpu", **train: Any) -> Path:
    documents = {
        "asked.json": {"schema": 1, "framework": "pytorch", "device": device},
        "control.json": {"devices": ["CPU:0"], "gpu_build": True,
                         "placement": {"kind": "execution-trace", "file": "control.trace.json.gz"}},
        "control-train.json": {"profile": PROFILE, "step_seconds": 0.02, "batch_size": 32, **train},
    }  # fmt: skip
    for name, content in documents.items():
        (folder / name).write_text(json.dumps(content))
    shutil.copy(TRACES / f"{sample}.trace.json.gz", folder / "control.trace.json.gz")
    shutil.copy(TRACES / f"{sample}.kineto.json.gz", folder / KINETO)
    return folder


def test_a_control_run_on_the_cpu(tmp_path: Path) -> None:
    found = control.look(leave(tmp_path))
    assert (found.hidden_by, found.devices_seen, found.step_seconds) == ("CUDA_VISIBLE_DEVICES=-1", ("CPU:0",), 0.02)
    assert {op.device for op in found.ops} == {"CPU:0"}
    assert found.kernels == ()


def test_a_control_run_that_found_the_gpu_all_the_same(tmp_path: Path) -> None:
    found = control.look(leave(tmp_path, GPU))
    assert "GPU:0" in {op.device for op in found.ops}
    assert [gpu.device for gpu in found.kernels or ()] == ["GPU:0", "GPU:1"]


def test_a_control_run_without_a_training(tmp_path: Path) -> None:
    leave(tmp_path)
    (tmp_path / "control-train.json").unlink()
    found = control.look(tmp_path)
    assert (found.kernels, found.step_seconds) == (None, None)
    assert found.ops


def test_a_control_run_without_a_profiler(tmp_path: Path) -> None:
    assert control.look(leave(tmp_path, profile=None)).kernels is None
    leave(tmp_path)
    (tmp_path / KINETO).unlink()
    assert control.look(tmp_path).kernels is None


def test_where_there_was_none(tmp_path: Path) -> None:
    with pytest.raises(CannotLook, match="the CPU was asked for"):
        control.look(leave(tmp_path, device="cpu"))
    leave(tmp_path)
    (tmp_path / "control.json").unlink()
    with pytest.raises(CannotLook, match=r"control\.json"):
        control.look(tmp_path)


def test_the_variable_is_the_one_that_payloads_set() -> None:
    name, value = control.HIDDEN_BY.split("=")
    assert f'"{name}": "{value}"' in PROGRAM.read_text()
