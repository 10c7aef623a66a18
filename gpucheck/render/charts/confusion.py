"""Which class was taken for which, of the test images."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gpucheck.facts import Evaluation, Facts
from gpucheck.render.charts.chart import WIDTH, Chart, Palette, label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 20  # classes that can be read
BLUE = "#0072b2"
STRONGEST = 0.72  # over white as over black this blue leaves every number readable in the colour of the text


def chart(facts: Facts) -> Chart | None:
    evaluation: Evaluation | None = facts.known.get(Evaluation)
    if evaluation is None:
        return None
    names, counts = [label(each.name, 12) for each in evaluation.classes], evaluation.confusion
    if not 2 <= len(names) <= MOST or [len(row) for row in counts] != [len(names)] * len(names):
        return None
    return Chart(
        name="confusion",
        title=_title(evaluation, names),
        draw=lambda palette: _draw(palette, names, counts),
        columns=("true class", *(f"taken for {name}" for name in names)),
        rows=tuple((name, *map(str, row)) for name, row in zip(names, counts, strict=True)),
    )


def _worst(counts: tuple[tuple[int, ...], ...]) -> tuple[int, int]:
    places = [(true, taken) for true in range(len(counts)) for taken in range(len(counts)) if true != taken]
    return max(places, key=lambda place: counts[place[0]][place[1]])


def _title(evaluation: Evaluation, names: list[str]) -> str:
    counts = evaluation.confusion
    true, taken = _worst(counts)
    right = f"{evaluation.accuracy:.1%} of {sum(map(sum, counts)):,} test images are told right"
    if not counts[true][taken]:
        return f"{right}; none is taken for another class"
    share = f"{counts[true][taken]:,} of {sum(counts[true]):,}"
    return f"{right}; {names[true]} is taken for {names[taken]} most often: {share}"


def _draw(palette: Palette, names: list[str], counts: tuple[tuple[int, ...], ...]) -> Figure:
    import seaborn  # type: ignore[import-untyped]
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import LinearSegmentedColormap, to_rgba
    from matplotlib.figure import Figure
    from matplotlib.patches import Rectangle

    figure = Figure(figsize=(WIDTH, WIDTH * 0.97))
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    blues = LinearSegmentedColormap.from_list("blues", [to_rgba(BLUE, 0.0), to_rgba(BLUE, STRONGEST)])
    # Of its true class, drawn out below, so that a tenth that goes wrong can be seen.
    shares = [[(count / (sum(row) or 1)) ** 0.6 for count in row] for row in counts]
    words = [[str(count) if count else "·" for count in row] for row in counts]
    letters = min(9.0, 90 / len(names))
    seaborn.heatmap(
        shares, annot=words, fmt="", cmap=blues, vmin=0, vmax=1, cbar=False, square=True, ax=axes, linewidths=0.7,
        linecolor=palette.grid, xticklabels=names, yticklabels=names,
        annot_kws={"color": palette.ink, "fontsize": letters},
    )  # fmt: skip
    for number, text in enumerate(axes.texts):
        text.set_fontweight("bold" if number % (len(names) + 1) == 0 else "normal")
    true, taken = _worst(counts)
    if counts[true][taken]:
        axes.add_patch(Rectangle((taken, true), 1, 1, fill=False, edgecolor=palette.alarm, linewidth=2))
    axes.tick_params(length=0, labelcolor=palette.ink, labelsize=letters)
    axes.set_xticks(axes.get_xticks(), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(axes.get_yticks(), names, rotation=0)
    axes.set_xlabel("taken for")
    axes.set_ylabel("true class")
    return figure
