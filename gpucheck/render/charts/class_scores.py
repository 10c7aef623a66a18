"""Precision, recall and F1 of every class, the best told first."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpucheck.facts import ClassScore, Evaluation, Facts
from gpucheck.render.charts.chart import WIDTH, Chart, Palette, label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 30  # classes that can be read


def chart(facts: Facts) -> Chart | None:
    evaluation: Evaluation | None = facts.known.get(Evaluation)
    if evaluation is None or not 1 <= len(evaluation.classes) <= MOST:
        return None
    classes = sorted(evaluation.classes, key=lambda each: -each.f1)
    best, worst, mean = classes[0], classes[-1], evaluation.macro.f1
    return Chart(
        name="class_scores",
        title=f"F1 runs from {worst.f1:.2f} ({label(worst.name)}) to {best.f1:.2f} ({label(best.name)}); "
        f"its mean over the classes is {mean:.2f}",
        draw=lambda palette: _draw(palette, classes, mean),
        columns=("class", "precision", "recall", "F1", "test images"),
        rows=(
            *(_row(label(each.name), each) for each in classes),
            _row("mean over the classes", evaluation.macro), _row("mean by test images", evaluation.weighted),
        ),
    )  # fmt: skip


def _row(name: str, score: ClassScore) -> tuple[str, ...]:
    return (name, f"{score.precision:.3f}", f"{score.recall:.3f}", f"{score.f1:.3f}", str(score.support))


def _draw(palette: Palette, classes: Sequence[ClassScore], mean: float) -> Figure:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(WIDTH, 1.0 + 0.27 * len(classes)))
    axes = figure.add_subplot()
    rows = range(len(classes))
    for row, each in zip(rows, classes, strict=True):
        axes.plot([each.precision, each.recall], [row, row], color=palette.muted, linewidth=1.2, zorder=1)
        axes.annotate(
            f"{each.f1:.2f}", (1, row), xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points",
            va="center", fontsize=9, color=palette.c1, fontweight="bold",
        )  # fmt: skip
    axes.plot([each.f1 for each in classes], rows, "o", color=palette.c1, markersize=7, label="F1")
    # Beside the line, so that equal ones do not hide each other.
    for values, shift, marker, colour, name in (
        ([each.precision for each in classes], -0.24, "v", palette.c3, "precision"),
        ([each.recall for each in classes], 0.24, "^", palette.c2, "recall"),
    ):
        axes.plot(values, [row + shift for row in rows], marker, color=colour, markersize=5.5, label=name)
    axes.axvline(mean, color=palette.c1, linestyle=":", linewidth=1.3, zorder=0)
    axes.annotate("F1", (1, -0.9), xycoords=("axes fraction", "data"), xytext=(6, 0), textcoords="offset points",
                  va="center", fontsize=9, color=palette.c1, fontweight="bold")  # fmt: skip
    axes.set_yticks(rows, [label(each.name, 16) for each in classes], color=palette.ink)
    axes.set_ylim(len(classes) - 0.4, -0.6)
    lowest = min(min(each.precision, each.recall, each.f1) for each in classes)
    axes.set_xlim(max(-0.03, lowest - 0.06), 1.0)
    axes.tick_params(axis="y", length=0)
    axes.grid(axis="x")
    axes.set_xlabel(f"higher is better; the dotted line is the mean F1, {mean:.2f}", fontsize=9)
    axes.legend(
        loc="lower left", bbox_to_anchor=(-0.02, 1.0), ncols=3, labelcolor=palette.ink, handletextpad=0.2,
        columnspacing=1.4, borderaxespad=0,
    )  # fmt: skip
    return figure
