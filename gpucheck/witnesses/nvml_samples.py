"""NVML's samples from outside the run: who held memory on which GPU, and whether it worked then and only then."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from gpucheck.facts import GpuSamples, GpuUse
from gpucheck.host import CannotLook
from gpucheck.witnesses import samples
from gpucheck.witnesses.evidence import Document, document
from gpucheck.witnesses.samples import Moment

CONTEXT = 64 * 2**20  # bytes: the smallest CUDA context takes more
LAG = 1.0  # seconds: utilisation is of a period before the sample, a sixth of a second or a whole one (nvml.h)

_Moments = Mapping[int, Sequence[Moment]]  # by the GPU's index


def look(folder: Path) -> GpuUse:
    """Of the training's time; of a run that left none, the whole. Raises CannotLook where nothing was sampled in it."""
    return between(folder, _window)


def between(folder: Path, window: Callable[[Path, float], tuple[float, float]]) -> GpuUse:
    """`window`: from the run's folder and its begin to a begin and an end, in seconds since 1970. Raises CannotLook."""
    tape, moments = samples.read(folder)
    if tape.follow is None:
        raise CannotLook("the run ended before NVML's samples could be told to be of it")
    began, ended = window(folder, tape.follow)
    during = {index: [m for m in each if began <= m.t <= ended] for index, each in moments.items()}
    before = {index: [m for m in each if m.t < tape.follow] for index, each in moments.items()}
    late = {index: [m for m in each if began <= m.t <= ended + LAG] for index, each in moments.items()}
    times = [moment.t for moment in next(iter(during.values()), [])]
    if not times:
        raise CannotLook("no sample fell into that part of the run" + (f": {tape.ended}" if tape.ended else ""))
    untold = _untold(before, during)
    last = max(each[-1].t for each in moments.values())
    return GpuUse(
        samples=len(times), seconds=round(times[-1] - times[0], 3), by=tape.by, processes_told=untold is None,
        untold=untold, ended=tape.ended if last < ended else None,
        gpus=tuple(_gpu(gpu, before, during, late, told=untold is None) for gpu in tape.gpus),
    )  # fmt: skip


def _window(folder: Path, follow: float) -> tuple[float, float]:
    if (folder / "train.json").exists():
        train = document(folder, "train.json")
        return max(follow, train.get("began", float)), train.get("ended", float)
    if (folder / "ran.json").exists():
        return follow, follow + document(folder, "ran.json").get("seconds", float)
    return follow, math.inf


def _untold(before: _Moments, during: _Moments) -> str | None:
    """Why the lists do not tell whether the run was on a GPU; None where they do."""
    lists = [moment.rows for each in during.values() for moment in each if moment.rows is not None]
    rows = [row for each in lists for row in each]
    if not lists:
        return "NVML lists no processes on this machine"
    if any(row.ours for row in rows):
        return None
    earlier = {row.pid for each in before.values() for moment in each for row in moment.rows or ()}
    strangers = {row.pid for row in rows} - {row.pid for row in rows if row.seen} - earlier
    if strangers:
        return f"NVML lists process {min(strangers)}, which is hidden or in another pid namespace"
    for index, each in during.items():
        used = [moment.memory for moment in each if moment.memory is not None]
        base = _most(moment.memory for moment in before[index])
        least = base if base is not None else min(used, default=0)
        if max(used, default=0) > least + CONTEXT and not any(moment.rows for moment in each):
            return f"memory of GPU {index} was taken by a process that NVML does not list"
    return None


def _gpu(gpu: Document, before: _Moments, during: _Moments, late: _Moments, *, told: bool) -> GpuSamples:
    index = gpu.get("index", int)
    idle, busy = before.get(index, ()), during.get(index, ())
    rows = [row for moment in busy for row in moment.rows or ()]
    energy = [moment.energy for moment in busy if moment.energy is not None]
    spent = energy[-1] - energy[0] if len(energy) > 1 else None
    return GpuSamples(
        index=index, uuid=gpu.maybe("uuid", str), name=gpu.maybe("name", str),
        ours_peak_bytes=_most(sum(row.used for row in moment.rows or () if row.ours) for moment in busy)
        if any(row.ours for row in rows)
        else None,
        others=any(not row.ours and (told or row.seen) for row in rows),
        utilization_before=_mean((m.t, m.utilization) for m in idle),
        utilization_during=_mean((m.t, m.utilization) for m in busy),
        power_before_mw=_mean((m.t, m.power) for m in idle), power_during_mw=_mean((m.t, m.power) for m in busy),
        energy_during_mj=float(spent) if spent is not None and spent >= 0 else None,  # it starts anew with the driver
        sm_mhz_before=_mean((m.t, m.sm) for m in idle), sm_mhz_during=_mean((m.t, m.sm) for m in busy),
        memory_before_bytes=_most(m.memory for m in idle), memory_during_bytes=_most(m.memory for m in busy),
        utilization_most=_most(m.utilization for m in late.get(index, ())),
        error=next((m.error for m in reversed(busy) if m.error), None),
    )  # fmt: skip


def _most(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value is not None), default=None)


def _mean(points: Iterable[tuple[float, int | None]]) -> float | None:
    """Over time, not over samples, whose pace changes: each stands for the time to the next."""
    known = [(t, value) for t, value in points if value is not None]
    if not known:
        return None
    gaps = [max(0.0, after - t) for (t, _), (after, _) in pairwise(known)]
    weights = [*gaps, gaps[-1]] if sum(gaps) else [1.0] * len(known)
    return sum(weight * value for weight, (_, value) in zip(weights, known, strict=True)) / sum(weights)
