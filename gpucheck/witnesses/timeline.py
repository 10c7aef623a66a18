"""What the GPUs did over time, and which part of the run was on: to be looked at, judged by no rule.

Clocks: NVML's samples, the parts of run.json and the times of train.json are all seconds since 1970, by the wall clock
that a container has in common with its host. A part's length is of the monotonic one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

from gpucheck.facts import GpuSeries, Phase, Timeline
from gpucheck.host import CannotLook
from gpucheck.witnesses import samples
from gpucheck.witnesses.evidence import Document, document
from gpucheck.witnesses.samples import Moment

MOST = 300  # moments
BEFORE = 10.0  # seconds before the run that are shown: its image may be built while the samples are taken already
MOST_PHASES = 50
# The part that is called train loads, trains and tests. A command of the user's has no parts: it is one run.
LOAD, TRAIN, TEST, RUN = "load", "train", "test", "run"

_Span = tuple[str, float, float]  # a phase, from when to when


def look(folder: Path) -> Timeline:
    """Raises CannotLook where nothing was sampled."""
    tape, moments = samples.read(folder)
    times = sorted({moment.t for each in moments.values() for moment in each})
    if not times:
        raise CannotLook(tape.ended or "no sample was taken")
    if tape.follow is not None:
        times = [t for t in times if t >= tape.follow - BEFORE] or times
    zero, last = times[0], times[-1]
    places, seconds = _places(times), dict[int, list[float]]()
    for t in times:
        seconds.setdefault(places[t], []).append(t - zero)
    return Timeline(
        seconds=tuple(map(_middle, seconds.values())), gpus=tuple(_series(gpu, moments, places) for gpu in tape.gpus),
        phases=tuple(
            Phase(name=name, start=round(start - zero, 3), end=round(end - zero, 3))
            for name, start, end in sorted(_phases(folder, tape.follow), key=lambda span: span[1])
            if zero <= end and start <= last and start <= end
        ),
    )  # fmt: skip


def _places(times: Sequence[float]) -> Mapping[float, int]:
    """By a moment's time, which of the moments shown it is in: each its own, or one for each MOST-th of the time."""
    if len(times) <= MOST:
        return {t: place for place, t in enumerate(times)}
    width = (times[-1] - times[0]) / MOST
    return {t: min(MOST - 1, int((t - times[0]) / width)) for t in times}


def _series(gpu: Document, moments: Mapping[int, Sequence[Moment]], places: Mapping[float, int]) -> GpuSeries:
    """Means, which overstate nothing and keep the area under a curve, the energy: the busiest sample of each stretch
    would make a GPU that works one tenth of the time look busy all of it. Of memory the most: a peak is what runs out.
    """
    index = gpu.get("index", int)
    stretches: dict[int, list[Moment]] = {place: [] for place in sorted(set(places.values()))}
    for moment in moments.get(index, ()):
        if moment.t in places:
            stretches[places[moment.t]].append(moment)
    each = stretches.values()
    return GpuSeries(
        index=index, uuid=gpu.maybe("uuid", str), name=gpu.maybe("name", str),
        memory_total_bytes=gpu.maybe("memory_total", int) if "memory_total" in gpu.data else None,
        utilization=tuple(_mean(m.utilization for m in stretch) for stretch in each),
        memory_bytes=tuple(max((m.memory for m in stretch if m.memory is not None), default=None) for stretch in each),
        power_mw=tuple(_mean(m.power for m in stretch) for stretch in each),
        temperature_c=tuple(_mean(m.temperature for m in stretch) for stretch in each),
    )  # fmt: skip


def _mean(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return (2 * sum(known) + len(known)) // (2 * len(known)) if known else None


def _middle(seconds: Sequence[float]) -> float:
    return round(sum(seconds) / len(seconds), 3)


def _phases(folder: Path, follow: float | None) -> list[_Span]:
    """The parts, the training's with its own times; else the run as one. What cannot be read is left out."""
    parts, training = _told(folder, _parts), _told(folder, _training)
    if training:
        began = training[0][1]
        parts = [(LOAD, start, began) if name == TRAIN else (name, start, end) for name, start, end in parts]
    return [*parts, *training] or _told(folder, lambda folder: _run(folder, follow))


def _told(folder: Path, read: Callable[[Path], list[_Span]]) -> list[_Span]:
    try:
        spans = read(folder)
    except CannotLook:
        return []
    return [span for span in spans if math.isfinite(span[1]) and math.isfinite(span[2])]


def _parts(folder: Path) -> list[_Span]:
    """Evidence that is older than this question has no times."""
    rows = [row for row in document(folder, "run.json").each("parts") if "began" in row.data]
    if len(rows) > MOST_PHASES:
        raise CannotLook(f"run.json has {len(rows)} parts")
    began = [(row.get("name", str), row.get("began", float), row.get("seconds", float)) for row in rows]
    return [(name, start, start + seconds) for name, start, seconds in began]


def _training(folder: Path) -> list[_Span]:
    train = document(folder, "train.json")
    began, ended = train.get("began", float), train.get("ended", float)
    trained = train.maybe("trained", float) if "trained" in train.data else None
    return [(TRAIN, began, ended)] if trained is None else [(TRAIN, began, trained), (TEST, trained, ended)]


def _run(folder: Path, follow: float | None) -> list[_Span]:
    if follow is None:
        return []
    return [(RUN, follow, follow + document(folder, "ran.json").get("seconds", float))]
