"""Where the framework says it placed the heavy ops. One on the other device than was asked for cannot be missed."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING

from gpucheck import compat
from gpucheck.facts import Facts, PlacedOp, Placement, Run
from gpucheck.render.charts.chart import WIDTH, Chart, Palette, counted, label

if TYPE_CHECKING:
    from matplotlib.figure import Figure

MOST = 14  # bars


def chart(facts: Facts) -> Chart | None:
    run: Run | None = facts.known.get(Run)
    placement: Placement | None = facts.known.get(Placement)
    if run is None or placement is None:
        return None
    heavy = [op for op in placement.ops if op.op in compat.load().heavy_ops(run.frameworks)]
    if not heavy:
        return None
    return Chart(
        name="ops_by_device",
        title=_title(run.device, heavy),
        draw=lambda palette: _draw(palette, run.device, heavy),
        columns=("op", "device", "mode", "count"),
        rows=tuple((label(op.op, 60), label(op.device), op.mode, str(op.count)) for op in heavy),
    )


def _title(asked: str, heavy: Sequence[PlacedOp]) -> str:
    every = sum(op.count for op in heavy)
    wrong = sum(op.count for op in heavy if _elsewhere(op.device, asked))
    if not wrong:
        return f"All {counted(every, 'heavy op')} were placed on {_devices({op.device for op in heavy})}, as asked"
    share = f"all {every:,}" if wrong == every else f"{wrong:,} of {every:,}"
    where = _devices({op.device for op in heavy if _elsewhere(op.device, asked)})
    return f"The {asked.upper()} was asked for, and {share} heavy ops {'is' if wrong == 1 else 'are'} on {where}"


def _elsewhere(device: str, asked: str) -> bool:
    return device.partition(":")[0].lower() != asked


def _devices(devices: set[str]) -> str:
    kinds = {device.split(":")[0] for device in devices}
    if kinds == {"CPU"}:
        return "the CPU"
    if len(devices) <= 2:
        return ", ".join(sorted(label(device) for device in devices))
    return f"{len(devices)} {label(kinds.pop()) if len(kinds) == 1 else 'device'}s"


def _draw(palette: Palette, asked: str, heavy: Sequence[PlacedOp]) -> Figure:
    from matplotlib.figure import Figure

    count: Counter[tuple[str, str]] = Counter()
    for op in heavy:
        count[op.op, op.device] += op.count
    every: Counter[str] = Counter()
    wrong: Counter[str] = Counter()
    for op in heavy:
        every[op.op] += op.count
        wrong[op.op] += op.count if _elsewhere(op.device, asked) else 0
    ops = sorted(every, key=lambda name: (not wrong[name], -every[name], name))
    shown = ops[:MOST]
    figure = Figure(figsize=(WIDTH, 0.35 + 0.29 * len(shown) + (0.2 if len(ops) > MOST else 0)))
    axes = figure.add_subplot()
    for row, name in enumerate(shown):
        left = 0
        # What is elsewhere comes first, where every bar begins.
        parts = sorted((not _elsewhere(d, asked), d, n) for (op_name, d), n in count.items() if op_name == name)
        for right_there, _, number in parts:
            axes.barh(
                row, number, left=left, height=0.68, edgecolor=palette.paper, linewidth=0.8,
                color=palette.c1 if right_there else palette.alarm, hatch=None if right_there else "///",
            )  # fmt: skip
            left += number
        away = {device for ok, device, _ in parts if not ok}
        there = {device for ok, device, _ in parts if ok}
        words = [f"{wrong[name]:,} on {_devices(away)}"] if away else []
        words += [f"{every[name] - wrong[name]:,} on {_devices(there)}"] if there else []
        axes.annotate(
            ", ".join(words), (left, row), xytext=(5, 0), textcoords="offset points", va="center", fontsize=9,
            color=palette.alarm if away else palette.ink, fontweight="bold" if away else "normal",
        )  # fmt: skip
    axes.set_yticks(range(len(shown)), [label(name) for name in shown])
    for tick, name in zip(axes.get_yticklabels(), shown, strict=True):
        tick.set_color(palette.alarm if wrong[name] else palette.ink)
    axes.set_ylim(len(shown) - 0.45, -0.55)
    axes.set_xlim(0, max(every[name] for name in shown) * 1.45)
    axes.set_xticks([])
    axes.tick_params(length=0)
    axes.spines["bottom"].set_visible(False)
    if len(ops) > MOST:
        rest = (
            f"and {counted(sum(every[name] for name in ops[MOST:]), 'op')} of {counted(len(ops) - MOST, 'kind')} more"
        )
        axes.set_xlabel(rest, fontsize=9, loc="left")
    return figure
