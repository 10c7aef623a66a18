"""The control run: the same probe and some steps of the same training, with the GPU hidden from them."""

from __future__ import annotations

from pathlib import Path

from gpucheck.facts import Control, DeviceKernels
from gpucheck.host import CannotLook
from gpucheck.witnesses import placement, profiler
from gpucheck.witnesses.evidence import Document, document
from gpucheck.witnesses.timing import step_seconds

HIDDEN_BY = "CUDA_VISIBLE_DEVICES=-1"  # payloads/program.py, HIDDEN


def look(folder: Path) -> Control:
    """Raises CannotLook where there was no control run, or its probe left nothing that can be read."""
    if document(folder, "asked.json").get("device", str) == "cpu":
        raise CannotLook("the CPU was asked for: there was no GPU to hide")
    probe = document(folder, "control.json")
    training = document(folder, "control-train.json") if (folder / "control-train.json").exists() else None
    return Control(
        hidden_by=HIDDEN_BY, devices_seen=probe.texts("devices"),
        ops=placement.read(folder, "control", probe).ops,
        kernels=_kernels(folder, training) if training else None,
        step_seconds=step_seconds(training) if training else None,
    )  # fmt: skip


def _kernels(folder: Path, training: Document) -> tuple[DeviceKernels, ...] | None:
    try:
        return profiler.add_up(folder, profiler.windows(folder, training)).devices
    except CannotLook:
        return None
