"""The course of a run: its parts, and what the GPUs did meanwhile."""

from __future__ import annotations

from gpucheck.facts.version import fact


@fact
class Phase:
    """One part of the run on the clock of its Timeline; it may have begun before the sampling and end after it."""

    name: str  # of the part of the run: probe, warmup, train, control, ...
    start: float  # seconds since the sampling began
    end: float


@fact
class GpuSeries:
    """One GPU over time: one value for each of Timeline.seconds, None = not told at that moment."""

    index: int
    uuid: str | None
    name: str | None
    memory_total_bytes: int | None
    utilization: tuple[int | None, ...]  # percent
    memory_bytes: tuple[int | None, ...]  # in use, of the whole GPU, by whomever
    power_mw: tuple[int | None, ...]
    temperature_c: tuple[int | None, ...]


@fact
class Timeline:
    """The samples that NVML gave from outside the run, thinned to at most 300 moments: then each is the mean of a
    stretch of time, and of memory the most. An image that was built meanwhile is left out: the sampling begins ten
    seconds before the run at most.
    """

    seconds: tuple[float, ...]  # since the sampling began, ascending
    gpus: tuple[GpuSeries, ...]
    phases: tuple[Phase, ...]  # () = the run told no times of its parts that can be read
