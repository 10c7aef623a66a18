"""What NVML's samples from outside the run hold: nvml.jsonl, for the witnesses that read it.

It is gpucheck's own (sampling.py writes it when the run is over); probes/nvml/watch.py has its lines.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from gpucheck.host import CannotLook
from gpucheck.witnesses.evidence import Document, lines

FILE = "nvml.jsonl"
END_OF_TIME = 1e11  # seconds since 1970


class Row(NamedTuple):
    """One process on one GPU in one sample."""

    pid: int
    used: int
    ours: bool
    seen: bool  # in /proc


class Moment(NamedTuple):
    """One GPU in one sample."""

    t: float  # seconds since 1970
    utilization: int | None
    power: int | None
    sm: int | None
    energy: int | None
    memory: int | None
    temperature: int | None
    rows: tuple[Row, ...] | None
    error: str | None


class Tape(NamedTuple):
    gpus: tuple[Document, ...] = ()
    follow: float | None = None  # when the run began
    by: str = ""
    ended: str | None = None  # why the samples end here


def read(folder: Path) -> tuple[Tape, dict[int, list[Moment]]]:
    """The moments by the GPU's index. Raises CannotLook, with the sampler's own reason where it watched no GPU."""
    tape, moments = Tape(), dict[int, list[Moment]]()
    for number, line in enumerate(lines(folder, FILE), 1):
        row = _document(line, f"{FILE}, line {number}")
        if "error" in row.data:
            if not tape.gpus:
                raise CannotLook(row.get("error", str))
            tape = tape._replace(ended=row.get("error", str))
        elif "follow" in row.data:
            tape = tape._replace(follow=_time(row, "follow"), by=row.get("by", str))
        elif "t" in row.data:
            t = _time(row, "t")
            for gpu in row.each("gpus"):
                moments.setdefault(gpu.get("index", int), []).append(_moment(t, gpu))
        else:
            tape = tape._replace(gpus=row.each("gpus"))
    return tape, moments


def _document(line: str, name: str) -> Document:
    try:
        data = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise CannotLook(f"{name} is torn: it is not whole JSON") from error
    if not isinstance(data, dict):
        raise CannotLook(f"{name} is not a JSON object")
    return Document(name, data)


def _time(row: Document, key: str) -> float:
    t = row.get(key, float)
    if not 0 <= t < END_OF_TIME:
        raise CannotLook(f"{row.name} has {t} as {key}")
    return t


def _moment(t: float, gpu: Document) -> Moment:
    listed = gpu.maybe("processes", list) is not None
    return Moment(
        t=t, utilization=gpu.maybe("utilization", int), power=gpu.maybe("power_mw", int), sm=gpu.maybe("sm_mhz", int),
        energy=gpu.maybe("energy_mj", int), memory=gpu.maybe("memory_used", int),
        # Samples that are older than this question have no such key.
        temperature=gpu.maybe("temperature_c", int) if "temperature_c" in gpu.data else None,
        rows=tuple(map(_row, gpu.each("processes"))) if listed else None, error=gpu.maybe("error", str),
    )  # fmt: skip


def _row(row: Document) -> Row:
    used = row.maybe("used_bytes", int) or 0
    return Row(row.get("pid", int), used, row.get("ours", bool), seen="unseen" not in row.data)
