"""How busy, how full, how thirsty and how warm the GPUs were over the run, with its parts marked."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import median
from typing import TYPE_CHECKING, NamedTuple

from gpucheck.facts import Facts, GpuSeries, Phase, Timeline
from gpucheck.render.charts.chart import WIDTH, Chart, Palette, label, told
from gpucheck.render.charts.phases import draw_phases, phase_rows

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SINGLY = 8  # GPUs that get a line each; of more the median and the range are drawn
GIB = 2**30
DASHES = ("-", "--", "-.", ":", (0, (5, 1)), (0, (1, 1)), (0, (8, 2, 1, 2)), (0, (3, 1, 1, 1, 1, 1)))


class Measure(NamedTuple):
    name: str
    unit: str
    form: str
    of: Callable[[GpuSeries], Iterable[float | None]]


MEASURES = (
    Measure("busy", "%", ".0f", lambda gpu: gpu.utilization),
    Measure("memory", "GiB", ".1f", lambda gpu: (None if v is None else v / GIB for v in gpu.memory_bytes)),
    Measure("power", "W", ".0f", lambda gpu: (None if v is None else v / 1000 for v in gpu.power_mw)),
    Measure("temperature", "°C", ".0f", lambda gpu: gpu.temperature_c),
)


def chart(facts: Facts) -> Chart | None:
    timeline: Timeline | None = facts.known.get(Timeline)
    if timeline is None or not timeline.seconds or not timeline.gpus:
        return None
    if not any(value is not None for gpu in timeline.gpus for each in MEASURES for value in each.of(gpu)):
        return None
    return Chart(
        name="timeline",
        title=_title(timeline),
        draw=lambda palette: _draw(palette, timeline),
        columns=("seconds", "part", "GPU", *(f"{each.name}, {each.unit}" for each in MEASURES)),
        rows=tuple(_rows(timeline)),
    )


def _rows(timeline: Timeline) -> Iterable[tuple[str, ...]]:
    """A row a moment and a GPU; of many GPUs the median, the least and the most."""
    values = [[list(each.of(gpu)) for each in MEASURES] for gpu in timeline.gpus]
    for at, second in enumerate(timeline.seconds):
        part = ", ".join(label(phase.name) for phase in timeline.phases if phase.start <= second < phase.end)
        moment = [[of_gpu[measure][at] for of_gpu in values] for measure in range(len(MEASURES))]
        if len(timeline.gpus) <= SINGLY:
            for number, gpu in enumerate(timeline.gpus):
                cells = (told(moment[m][number], each.form) for m, each in enumerate(MEASURES))
                yield (f"{second:.1f}", part, str(gpu.index), *cells)
        else:
            for name, of in (("median", median), ("least", min), ("most", max)):
                known = [[value for value in column if value is not None] for column in moment]
                cells = (told(of(k) if k else None, each.form) for k, each in zip(known, MEASURES, strict=True))
                yield (f"{second:.1f}", part, name, *cells)


def _title(timeline: Timeline) -> str:
    """Of the training where the run told when that was."""
    train = next((phase for phase in timeline.phases if phase.name == "train"), None)
    inside = [at for at, t in enumerate(timeline.seconds) if train is None or train.start <= t <= train.end]
    during = "During the training" if train and inside else "Over the whole run"
    inside = inside or list(range(len(timeline.seconds)))
    seen = []
    for each in MEASURES:
        series = [
            [value for at in inside if (value := row[at]) is not None] for row in map(list, map(each.of, timeline.gpus))
        ]
        seen.append([values for values in series if values])
    busy, *most = seen
    who = "the GPU was" if len(timeline.gpus) == 1 else f"{len(timeline.gpus)} GPUs were"
    medians = sorted(median(values) for values in busy)
    parts = []
    if medians:
        low, high = f"{medians[0]:.0f}", f"{medians[-1]:.0f}"
        parts.append(f"{low} % busy (median)" if low == high else f"{low} to {high} % busy (medians)")
    peaks = [
        f"{max(map(max, values)):{each.form}}{_whole(timeline) if each.unit == 'GiB' else ''} {each.unit}"
        for each, values in zip(MEASURES[1:], most, strict=True)
        if values
    ]
    if peaks:
        parts.append(f"{'peaks' if medians else 'at most'}: {', '.join(peaks)}")
    return f"{during} {who} {'; '.join(parts)}"


def _whole(timeline: Timeline) -> str:
    totals = {gpu.memory_total_bytes for gpu in timeline.gpus}
    total = totals.pop() if len(totals) == 1 else None
    return f" of {total / GIB:.1f}" if total else ""


def _draw(palette: Palette, timeline: Timeline) -> Figure:
    from matplotlib.figure import Figure

    span = (timeline.seconds[0], max(timeline.seconds[-1], timeline.seconds[0] + 0.1))
    lanes = phase_rows(timeline.phases, span)
    top = 0.19 * (max((lane for _, lane in lanes), default=-1) + 1)
    heights = [*([top] if lanes else []), *[0.85] * len(MEASURES)]
    singly = len(timeline.gpus) <= SINGLY
    key = 0.2 * -(-len(timeline.gpus) // 4) if singly and len(timeline.gpus) > 1 else 0
    figure = Figure(figsize=(WIDTH, sum(heights) + 1.15 + key))
    panels = list(figure.subplots(len(heights), sharex=True, height_ratios=heights, squeeze=False)[:, 0])
    if lanes:
        draw_phases(panels.pop(0), palette, lanes, span)
    for axes, each in zip(panels, MEASURES, strict=True):
        _panel(axes, palette, timeline, each)
        for number, (phase, _) in enumerate(lanes):
            _shade(axes, palette, phase, span, number)
    panels[-1].set_xlim(*span)
    names = {label(gpu.name, 32) for gpu in timeline.gpus if gpu.name}
    what = f"; {len(timeline.gpus)} × " if len(timeline.gpus) > 1 else "; "
    words = "seconds since the sampling began" + (f"{what}{names.pop()}" if len(names) == 1 else "")
    panels[-1].set_xlabel(words if singly else f"{words}\nline: the median GPU; band: from the least to the most")
    if key:
        figure.legend(
            *panels[0].get_legend_handles_labels(), loc="outside lower left", ncols=4, labelcolor=palette.ink,
            handlelength=2.6, columnspacing=1.2,
        )  # fmt: skip
    return figure


def _shade(axes: Axes, palette: Palette, phase: Phase, span: tuple[float, float], number: int) -> None:
    start, end = max(phase.start, span[0]), min(phase.end, span[1])
    axes.axvspan(start, end, color=palette.grid, alpha=0.55 if number % 2 == 0 else 0.2, linewidth=0, zorder=0)


def _panel(axes: Axes, palette: Palette, timeline: Timeline, each: Measure) -> None:
    nan = float("nan")
    series = [[nan if value is None else value for value in each.of(gpu)] for gpu in timeline.gpus]
    known = [value for line in series for value in line if value == value]
    unit = _whole(timeline) + f" {each.unit}" if each.unit == "GiB" else f" {each.unit}"
    axes.set_title(f"{each.name}: " + (f"up to {max(known):{each.form}}{unit}" if known else "not told"))
    axes.grid(axis="y")
    axes.tick_params(axis="x", length=0)
    axes.locator_params(axis="y", nbins=3)
    if each.unit == "%":
        axes.set_ylim(0, 105)
        axes.set_yticks([0, 50, 100])
    elif each.unit == "GiB" and _whole(timeline):
        axes.set_ylim(0, (timeline.gpus[0].memory_total_bytes or 0) / GIB)
    elif known:
        axes.set_ylim(0, max(known) * 1.15 or 1)
    else:
        axes.set_yticks([])
    if len(series) > SINGLY:
        _many(axes, palette, timeline.seconds, series)
        return
    colours = (palette.c1, palette.c2, palette.c3, palette.ink)
    for number, (gpu, line) in enumerate(zip(timeline.gpus, series, strict=True)):
        alike = len({gpu.name for gpu in timeline.gpus}) == 1
        axes.plot(
            timeline.seconds, line, color=colours[number % 4], linestyle=DASHES[number], linewidth=1.5,
            marker="o" if len(line) == 1 else None,
            label=f"GPU {gpu.index}" if alike or not gpu.name else f"GPU {gpu.index}, {label(gpu.name, 16)}",
        )  # fmt: skip


def _many(axes: Axes, palette: Palette, seconds: Sequence[float], series: Sequence[Sequence[float]]) -> None:
    columns = [[value for value in column if value == value] or [float("nan")] for column in zip(*series, strict=True)]
    axes.fill_between(
        seconds, [min(c) for c in columns], [max(c) for c in columns], color=palette.c1, alpha=0.3, linewidth=0
    )
    axes.plot(seconds, [median(c) for c in columns], color=palette.c1)
