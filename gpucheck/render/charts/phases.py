"""The parts of a run as bars with their names, above what is drawn over the same time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpucheck.facts import Phase
from gpucheck.render.charts.chart import Palette, label

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LETTER = 0.0195  # of the width, at most, that a letter of a name takes
MOST = 12  # phases
LETTERS = 16  # of a name: a third of the width, so it fits into, after or before any bar
Lanes = Sequence[tuple[Phase, int]]


def phase_rows(phases: Sequence[Phase], span: tuple[float, float]) -> list[tuple[Phase, int]]:
    """Each phase within the span, with the first lane where neither its bar nor its name lies on another's."""
    found: list[tuple[Phase, int]] = []
    ends: list[float] = []
    for phase in sorted(phases, key=lambda phase: (phase.start, phase.end))[:MOST]:
        if phase.end <= span[0] or phase.start >= span[1]:
            continue
        first, last, _ = _taken(phase, span)
        lane = next((number for number, end in enumerate(ends) if end <= first), len(ends))
        ends[lane : lane + 1] = [last]
        found.append((phase, lane))
    return found


def _taken(phase: Phase, span: tuple[float, float]) -> tuple[float, float, str]:
    """From where to where bar and name reach, and where the name goes: in, after or before the bar."""
    start, end = max(phase.start, span[0]), min(phase.end, span[1])
    need = (len(label(phase.name, LETTERS)) + 1) * LETTER * (span[1] - span[0])
    if end - start >= need:
        return start, end, "in"
    return (start, end + need, "after") if end + need <= span[1] else (start - need, end, "before")


def draw_phases(axes: Axes, palette: Palette, lanes: Lanes, span: tuple[float, float]) -> None:
    for phase, lane in lanes:
        start, end = max(phase.start, span[0]), min(phase.end, span[1])
        axes.barh(lane, max(end - start, 0.004 * (span[1] - span[0])), left=start, height=0.84, color=palette.grid)
        axes.plot([start, start], [lane - 0.42, lane + 0.42], color=palette.muted, linewidth=1.4)
        place = _taken(phase, span)[2]
        at, shift, side = {"in": (start, 4, "left"), "after": (end, 3, "left"), "before": (start, -4, "right")}[place]
        axes.annotate(
            label(phase.name, LETTERS), (at, lane), xytext=(shift, 0), textcoords="offset points", ha=side, va="center",
            fontsize=9,
        )  # fmt: skip
    axes.set_ylim(max(lane for _, lane in lanes) + 0.5, -0.5)
    axes.set_yticks([])
    axes.tick_params(axis="x", length=0)
    axes.spines[:].set_visible(False)
