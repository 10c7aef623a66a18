"""Facts as rows of a table: a path and a value, in the subjects' own order. What is not there is a dash."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from gpucheck import codec
from gpucheck.facts import Gpu, Nvml
from gpucheck.model import Report

MOST_ROWS, MOST_ITEMS, MOST_CHARACTERS = 300, 12, 300
NOT_THERE = "–"


class Subject(NamedTuple):
    name: str
    rows: tuple[tuple[str, str], ...]
    left_out: int


def subjects(report: Report) -> Iterator[Subject]:
    for subject, fact in report.facts.known.items():
        rows = tuple(_rows("", codec.dump(fact)))
        yield Subject(subject.__name__, rows[:MOST_ROWS], max(0, len(rows) - MOST_ROWS))


def _rows(path: str, value: Any) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for key, item in value.items():
            yield from _rows(f"{path}.{key}" if path else str(key), item)
    elif isinstance(value, list) and any(isinstance(item, (dict, list)) for item in value):
        for number, item in enumerate(value):
            yield from _rows(f"{path}[{number}]", item)
    else:
        yield path, _text(value)


def _text(value: Any) -> str:
    if value is None or value in ([], {}, ""):
        return NOT_THERE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        rest = len(value) - MOST_ITEMS
        return ", ".join(map(_text, value[:MOST_ITEMS])) + (f", … and {rest} more" if rest > 0 else "")
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= MOST_CHARACTERS else f"{text[:MOST_CHARACTERS]}…"


GPU_COLUMNS = ("GPU", "Name", "Memory", "In use", "Busy", "Temperature", "Power", "PCIe")


def gpus(report: Report) -> tuple[tuple[str, ...], ...]:
    nvml = report.facts.known.get(Nvml)
    return tuple(_gpu(gpu) for gpu in nvml.gpus) if isinstance(nvml, Nvml) else ()


def _gpu(gpu: Gpu) -> tuple[str, ...]:
    link = (gpu.pcie_gen, gpu.pcie_width)
    return (
        str(gpu.index), gpu.name or NOT_THERE, _gib(gpu.memory_total_bytes), _gib(gpu.memory_used_bytes),
        _unit(gpu.utilization_percent, " %"), _unit(gpu.temperature_c, " °C"),
        NOT_THERE if gpu.power_mw is None else f"{gpu.power_mw / 1000:.0f} W",
        NOT_THERE if None in link else f"Gen{gpu.pcie_gen} x{gpu.pcie_width}",
    )  # fmt: skip


def models(report: Report) -> str:
    """How many of which: "8 × NVIDIA H100 80GB HBM3"."""
    nvml = report.facts.known.get(Nvml)
    names = [gpu.name or "unnamed" for gpu in nvml.gpus] if isinstance(nvml, Nvml) else []
    return ", ".join(f"{names.count(name)} × {name}" for name in dict.fromkeys(names)) or NOT_THERE


def _gib(number: int | None) -> str:
    return NOT_THERE if number is None else f"{number / 2**30:.1f} GiB"


def _unit(number: int | None, unit: str) -> str:
    return NOT_THERE if number is None else f"{number}{unit}"
