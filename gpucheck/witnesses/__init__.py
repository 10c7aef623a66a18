"""Each witness reads one kind of evidence from a run's folder, or raises CannotLook with the reason."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gpucheck.facts import (
    Control,
    Evaluation,
    GpuUse,
    Kernels,
    Placement,
    Request,
    Run,
    Timeline,
    Timing,
    Training,
    World,
)
from gpucheck.witnesses import (
    control,
    evaluation,
    nvml_samples,
    placement,
    profiler,
    request,
    run,
    timeline,
    timing,
    training,
    world,
)

WITNESSES: Mapping[type, Callable[[Path], Any]] = {
    Run: run.look,
    Placement: placement.look,
    Kernels: profiler.look,
    GpuUse: nvml_samples.look,
    Control: control.look,
    Timing: timing.look,
    Training: training.look,
    Evaluation: evaluation.look,
    Timeline: timeline.look,
    Request: request.look,
}
# Asked beside them where several nodes trained together: `verify --world`.
WORLD_WITNESSES: Mapping[type, Callable[[Path], Any]] = {World: world.look}
