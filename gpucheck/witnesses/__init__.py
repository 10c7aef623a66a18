"""Each witness reads one kind of evidence from a run's folder, or raises CannotLook with the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gpucheck.facts import Placement, Run, Training
from gpucheck.witnesses import placement_log, run, training

WITNESSES: Mapping[type, Callable[[Path], Any]] = {
    Run: run.look,
    Placement: placement_log.look,
    Training: training.look,
}
