"""What each witness of the run says, by rules/testimony.py. A straight line through their marks is agreement."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from gpucheck import compat
from gpucheck.facts import Control, Facts, GpuUse, Kernels, Placement, Run, Training
from gpucheck.render.charts.chart import WIDTH, Chart, Palette, label
from gpucheck.rules import testimony
from gpucheck.rules.testimony import Testimony

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

POINTS = 72 * WIDTH
COLUMNS = {"GPU": POINTS - 118, "CPU": POINTS - 68, None: POINTS - 22}
SAYS = {"GPU": "GPU", "CPU": "CPU", "both": "GPU and CPU", None: "silent"}
LINES, LETTERS = 3, 40  # of a witness's words


class Row(NamedTuple):
    testimony: Testimony
    asked: str  # what it says where all is well: "GPU"
    control: bool

    @property
    def places(self) -> tuple[str | None, ...]:
        return ("GPU", "CPU") if self.testimony.says == "both" else (self.testimony.says,)


def chart(facts: Facts) -> Chart | None:
    run: Run | None = facts.known.get(Run)
    if run is None or not run.frameworks:
        return None
    rows = _rows(facts, run)
    if not any(row.testimony.says for row in rows):
        return None
    return Chart(
        name="witnesses",
        title=_title(run, rows),
        draw=lambda palette: _draw(palette, rows),
        columns=("witness", "says", "in its words"),
        rows=tuple(
            (f"{row.testimony.witness}{' of the control run' if row.control else ''}", SAYS[row.testimony.says],
             label(row.testimony.words, 300))
            for row in rows
        ),
    )  # fmt: skip


def _rows(facts: Facts, run: Run) -> list[Row]:
    """Those that testified, those that were not there with the reason, and the control run's."""
    tables, known = compat.load(), facts.known
    log = testimony.placed((), run.frameworks, tables).witness
    there = testimony.of_run(
        run, tables, known.get(Placement), known.get(Kernels), known.get(GpuUse), known.get(Training)
    )
    found = {said.witness: said for said in there}
    names = {log: Placement, "the profiler": Kernels, "NVML": GpuUse, testimony.MEMORY: Training}
    for witness, subject in names.items():
        if subject in facts.unknown:
            found.setdefault(witness, Testimony(witness, None, f"not there: {facts.unknown[subject]}"))
    asked = run.device.upper()
    rows = [Row(found[witness], asked, False) for witness in names if witness in found]
    control: Control | None = known.get(Control)
    if control is not None:
        rows.append(Row(testimony.placed(control.ops, run.frameworks, tables), "CPU", True))
        if control.kernels is not None:
            rows.append(Row(testimony.ran(control.kernels, tables), "CPU", True))
    return rows


def _title(run: Run, rows: Sequence[Row]) -> str:
    own = [row.testimony.says for row in rows if not row.control]
    says = Counter(SAYS[said] for said in own if said)
    quiet = own.count(None)
    silent = f"{quiet} {'is' if quiet == 1 else 'are'} silent"
    asked = run.device.upper()
    told = [f"{number} {'says' if number == 1 else 'say'} {what}" for what, number in says.items()]
    if len(says) > 1:
        first = f"The witnesses do not agree: {', '.join([*told, *([silent] if quiet else [])])}"
    elif not says:
        first = f"No witness says where the work was done, and the {asked} was asked for"
    else:
        ((what, number),) = says.items()
        first = f"{'All' if not quiet else f'{number} of'} {len(own)} witnesses say {what}"
        first = f"The one witness says {what}" if len(own) == 1 else first
        first += f" ({silent})" if quiet else ""
        first += ", as asked" if what == asked else f", and the {asked} was asked for"
    hidden = {row.testimony.says for row in rows if row.control} - {None}
    if not hidden:
        return first
    return f"{first}; with the GPU hidden they say {'CPU' if hidden == {'CPU'} else 'GPU all the same'}"


def _draw(palette: Palette, rows: Sequence[Row]) -> Figure:
    from matplotlib.figure import Figure

    wrapped = [textwrap.wrap(label(row.testimony.words, LINES * LETTERS - 8), LETTERS)[:LINES] for row in rows]
    heights = [25 + 10.5 * len(lines) for lines in wrapped]
    between = 20 if any(row.control for row in rows) else 0
    whole = 20 + sum(heights) + between
    figure = Figure(figsize=(WIDTH, whole / 72 + 0.1))
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_xlim(0, POINTS)
    axes.set_ylim(whole, 0)
    for place, across in COLUMNS.items():
        axes.text(across, 9, SAYS[place], ha="center", va="center", fontweight="bold")
    top, centres = 20.0, []
    for number, (row, lines, height) in enumerate(zip(rows, wrapped, heights, strict=True)):
        if row.control and not rows[number - 1].control:
            axes.plot([0, POINTS], [top, top], color=palette.muted, linewidth=1)
            axes.text(0, top + 12, "The control run, with the GPU hidden: none may say GPU", color=palette.muted,
                      va="center", fontsize=9)  # fmt: skip
            top += between
        elif number:
            axes.plot([0, POINTS], [top, top], color=palette.grid, linewidth=1)
        axes.text(0, top + 11, label(row.testimony.witness, 34), va="center", fontweight="bold", fontsize=9.5)
        for line, words in enumerate(lines):
            axes.text(0, top + 23 + 10.5 * line, words, va="center", color=palette.muted, fontsize=8.5)
        centres.append(top + height / 2)
        top += height
    for control in (False, True):
        _marks(axes, palette, [(row, at) for row, at in zip(rows, centres, strict=True) if row.control is control])
    return figure


def _marks(axes: Axes, palette: Palette, rows: Sequence[tuple[Row, float]]) -> None:
    points = [(row, place, at) for row, at in rows for place in row.places]
    said = [(COLUMNS[place], at) for _, place, at in points if place]
    if said:
        wrong = any(place and place != row.asked for row, place, _ in points)
        axes.plot(*zip(*said, strict=True), color=palette.alarm if wrong else palette.c1, linewidth=2.4, zorder=1)
    for row, place, at in points:
        well = place == row.asked
        marker = {"GPU": "o", "CPU": "s", None: "D"}[place]
        colour = palette.muted if place is None else palette.c1 if well else palette.alarm
        axes.plot(
            COLUMNS[place], at, marker, markersize=7 if place is None else 12, markeredgewidth=1.6, zorder=2,
            markerfacecolor=palette.paper if place is None else colour, markeredgecolor=colour,
        )  # fmt: skip
        if place and not well:
            axes.plot(COLUMNS[place], at, "x", markersize=6, markeredgewidth=1.8, color=palette.paper, zorder=3)
