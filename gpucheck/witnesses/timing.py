"""How long a warm step of the training took, and one of the control run with the GPU hidden."""

from __future__ import annotations

import math
from pathlib import Path

from gpucheck.facts import Timing
from gpucheck.host import CannotLook
from gpucheck.witnesses.evidence import Document, document


def look(folder: Path) -> Timing:
    """Raises CannotLook where the training told no time of its steps: it was too short, or it died."""
    train = document(folder, "train.json")
    seconds, batch_size = step_seconds(train), train.get("batch_size", int)
    if seconds is None:
        raise CannotLook("the training was too short to time its warm steps")
    if batch_size <= 0:
        raise CannotLook(f"train.json has {batch_size} as batch_size")
    return Timing(
        batch_size=batch_size, step_seconds=seconds, images_per_second=batch_size / seconds,
        control_step_seconds=_of_control(folder, batch_size),
    )  # fmt: skip


def step_seconds(training: Document) -> float | None:
    """None where it had no warm steps. Raises CannotLook."""
    if "step_seconds" not in training.data:
        raise CannotLook(f"{training.name} tells no time of its steps: the run is older than that")
    seconds = training.maybe("step_seconds", float)
    if seconds is not None and not 0 < seconds < math.inf:
        raise CannotLook(f"{training.name} has {seconds} as step_seconds")
    return seconds


def _of_control(folder: Path, batch_size: int) -> float | None:
    """Only of batches of the same size; a control run that left nothing has no time."""
    try:
        control = document(folder, "control-train.json")
        return step_seconds(control) if control.get("batch_size", int) == batch_size else None
    except CannotLook:
        return None
