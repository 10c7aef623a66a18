"""Charts of a run: `charts(report)` from its facts, `svg(chart)` for a page, `png(chart, palette)` for a slide.

One module a chart: `chart(facts) -> Chart | None`, None where the facts are not there. A chart judges nothing.
"""

from __future__ import annotations

from collections.abc import Callable

from gpucheck.facts import Facts
from gpucheck.model import Report
from gpucheck.render.charts import (
    class_scores,
    confusion,
    learning,
    ops_by_device,
    step_time,
    timeline,
    witnesses,
)
from gpucheck.render.charts.chart import DARK, LIGHT, Chart, Palette
from gpucheck.render.charts.drawing import png, svg

# In the order of a report: where it ran, what that gained, what came of it.
CHARTS: tuple[Callable[[Facts], Chart | None], ...] = (
    witnesses.chart, ops_by_device.chart, step_time.chart, timeline.chart, learning.chart, class_scores.chart,
    confusion.chart,
)  # fmt: skip

__all__ = ["CHARTS", "Chart", "DARK", "LIGHT", "Palette", "charts", "png", "svg"]


def charts(report: Report) -> tuple[Chart, ...]:
    return tuple(chart for make in CHARTS if (chart := make(report.facts)))
