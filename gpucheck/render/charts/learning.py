"""Loss and accuracy by epoch, of the training and of the validation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpucheck.facts import Epoch, Facts, Training
from gpucheck.render.charts.chart import WIDTH, Chart, Palette, counted, told

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Values = Sequence[float | None]
GAP = 0.11  # of the height: two labels closer than this lie on each other


def chart(facts: Facts) -> Chart | None:
    training: Training | None = facts.known.get(Training)
    if training is None or not training.history:
        return None
    history = training.history
    return Chart(
        name="learning",
        title=_title(history),
        draw=lambda palette: _draw(palette, history),
        columns=("epoch", "loss", "validation loss", "accuracy", "validation accuracy", "seconds", "steps"),
        rows=tuple(
            (str(number), told(epoch.loss, ".4g"), told(epoch.val_loss, ".4g"), told(epoch.accuracy, ".2%"),
             told(epoch.val_accuracy, ".2%"), f"{epoch.seconds:.1f}", str(epoch.steps))
            for number, epoch in enumerate(history, 1)
        ),
    )  # fmt: skip


def _title(history: Sequence[Epoch]) -> str:
    first, last = history[0], history[-1]
    whose = "validation " if last.val_accuracy is not None else ""
    before, after = (e.val_accuracy if whose else e.accuracy for e in (first, last))
    if len(history) == 1:
        return f"After one epoch the loss is {_loss(last)} and the {whose}accuracy {told(after, '.1%')}"
    gained = f"the {whose}accuracy from {told(before, '.1%')} to {told(after, '.1%')}"
    return f"In {len(history):,} epochs the loss went from {_loss(first)} to {_loss(last)} and {gained}"


def _loss(epoch: Epoch) -> str:
    return "no finite number" if epoch.loss is None else f"{epoch.loss:.3g}"


def _draw(palette: Palette, history: Sequence[Epoch]) -> Figure:
    from matplotlib.figure import Figure
    from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, PercentFormatter

    figure = Figure(figsize=(WIDTH, 3.9))
    loss, accuracy = figure.subplots(2, sharex=True)
    _panel(loss, palette, "loss", [e.loss for e in history], [e.val_loss for e in history], ".3g")
    _panel(
        accuracy, palette, "accuracy", [e.accuracy for e in history], [e.val_accuracy for e in history], ".1%"
    )  # fmt: skip
    accuracy.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    steps = FixedLocator(range(1, len(history) + 1)) if len(history) <= 12 else MaxNLocator(integer=True)
    accuracy.xaxis.set_major_locator(steps)
    accuracy.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:.0f}"))
    accuracy.set_xlabel("epoch")
    return figure


def _panel(axes: Axes, palette: Palette, name: str, training: Values, validation: Values, form: str) -> None:
    axes.set_title(name)
    epochs = range(1, len(training) + 1)
    lines = [("training", training, palette.c1, "-", "o"), ("validation", validation, palette.c2, "--", "s")]
    ends = []
    for words, values, colour, line, marker in lines:
        told_at = [(epoch, value) for epoch, value in zip(epochs, values, strict=True) if value is not None]
        if told_at:
            axes.plot(
                epochs, [math.nan if value is None else value for value in values], color=colour, linestyle=line,
                marker=marker if len(values) <= 30 or len(told_at) == 1 else None,
            )  # fmt: skip
            last = "" if values[-1] is not None else " last"
            ends.append((told_at[-1][1], f"{words}{last} {told_at[-1][1]:{form}}", colour))
    axes.margins(x=0.03, y=0.12)
    axes.grid(axis="y")
    axes.set_xlim(1 - min(0.03 * len(epochs), 0.5), len(epochs) * 1.03 if len(epochs) > 1 else 1.5)
    low, high = axes.get_ylim()
    axes.set_ylim(low, high)
    for height, words, colour in _apart(ends, GAP * (high - low)):
        axes.annotate(
            words, (1, height), xycoords=("axes fraction", "data"), xytext=(4, 0), textcoords="offset points",
            color=colour, va="center", fontsize=9, fontweight="bold",
        )  # fmt: skip
    for epoch, value in zip(epochs, training, strict=True):
        if value is None:
            axes.annotate(
                "×", (epoch, 0), xycoords=("data", "axes fraction"), color=palette.alarm, ha="center", fontweight="bold"
            )
    if not ends:
        axes.set_yticks([])
    if None in training:
        number = sum(value is None for value in training)
        axes.set_title(f"{name}: no finite number in {counted(number, 'epoch')} (×)", color=palette.alarm)


def _apart(ends: list[tuple[float, str, str]], gap: float) -> list[tuple[float, str, str]]:
    """The labels at the ends of the lines, pushed apart where they would lie on each other."""
    if len(ends) < 2 or abs(ends[0][0] - ends[1][0]) >= gap:
        return ends
    low, high = sorted(ends)
    middle = (low[0] + high[0]) / 2
    return [(middle - gap / 2, *low[1:]), (middle + gap / 2, *high[1:])]
