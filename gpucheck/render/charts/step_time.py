"""What the run that was asked for a device took for a step, against the same steps with the GPU hidden."""

from __future__ import annotations

from statistics import median
from typing import TYPE_CHECKING

from gpucheck.facts import Facts, Run, Timing, Training
from gpucheck.render.charts.chart import WIDTH, Chart, Palette

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def chart(facts: Facts) -> Chart | None:
    run: Run | None = facts.known.get(Run)
    timing: Timing | None = facts.known.get(Timing)
    training: Training | None = facts.known.get(Training)
    if run is None or timing is None or timing.step_seconds <= 0:
        return None
    bars = [(f"asked for the {run.device.upper()}", timing.step_seconds)]
    if timing.control_step_seconds:
        bars.append(("the GPU hidden", timing.control_step_seconds))
    epochs = [epoch.seconds for epoch in training.history] if training else []
    rows = [(f"a step, {words}", _duration(seconds)) for words, seconds in bars]
    rows += [("images a second", f"{timing.images_per_second:,.0f}"), ("images a step", f"{timing.batch_size:,}")]
    rows += [(f"epoch {number}", f"{seconds:.1f} s") for number, seconds in enumerate(epochs, 1)]
    return Chart(
        name="step_time",
        title=_title(timing),
        draw=lambda palette: _draw(palette, bars, epochs),
        columns=("what", "time"),
        rows=tuple(rows),
    )


def _title(timing: Timing) -> str:
    step, control = timing.step_seconds, timing.control_step_seconds
    if not control:
        pace = f"{timing.images_per_second:,.0f} images a second"
        return f"A step of {timing.batch_size:,} images takes {_duration(step)}: {pace}"
    gain = control / step
    slower = f"{1 / gain:.1f} times as slow"
    pace = f"{gain:.1f} times as fast" if gain >= 1.05 else "no gain" if gain > 0.95 else slower
    return f"A step takes {_duration(step)}, and {_duration(control)} with the GPU hidden: {pace}"


def _duration(seconds: float) -> str:
    return f"{seconds * 1000:.3g} ms" if seconds < 0.9995 else f"{seconds:.3g} s"


def _draw(palette: Palette, bars: list[tuple[str, float]], epochs: list[float]) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator

    high = 0.4 + 0.42 * len(bars)
    figure = Figure(figsize=(WIDTH, high + (1.7 if epochs else 0)))
    places = figure.subplots(2, height_ratios=(high, 1.7)) if epochs else [figure.add_subplot()]
    axes = places[0]
    axes.set_title("time a step")
    for row, (_, seconds) in enumerate(bars):
        if row == 0:
            axes.barh(row, seconds, height=0.66, color=palette.c1)
        else:
            axes.barh(row, seconds, height=0.66, color=palette.paper, edgecolor=palette.muted, hatch="\\\\\\")
        axes.annotate(
            _duration(seconds), (seconds, row), xytext=(5, 0), textcoords="offset points", va="center",
            fontweight="bold",
        )  # fmt: skip
    axes.set_yticks(range(len(bars)), [words for words, _ in bars], color=palette.ink)
    axes.set_ylim(len(bars) - 0.5, -0.5)
    axes.set_xlim(0, max(seconds for _, seconds in bars) * 1.22)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines["bottom"].set_visible(False)
    if epochs:
        below = places[1]
        below.set_title(f"seconds an epoch (median {median(epochs):.1f})")
        below.bar(range(1, len(epochs) + 1), epochs, color=palette.c1, width=0.7)
        if len(epochs) <= 12:
            for number, seconds in enumerate(epochs, 1):
                below.annotate(
                    f"{seconds:.1f}", (number, seconds), xytext=(0, 2), textcoords="offset points", ha="center",
                    fontsize=9,
                )  # fmt: skip
            below.set_yticks([])
            below.spines["left"].set_visible(False)
        below.set_ylim(0, max(epochs) * 1.2 or 1)
        few = len(epochs) <= 12
        below.xaxis.set_major_locator(
            FixedLocator(range(1, len(epochs) + 1)) if few else MaxNLocator(integer=True, nbins=12)
        )
        below.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
        below.set_xlim(0.4, max(len(epochs), 5) + 0.6)
        below.set_xlabel("epoch")
    return figure
