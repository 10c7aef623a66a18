"""What a node's first rank says of the world that it joined: world.json. Which world it was to be, asked.json says."""

from __future__ import annotations

import math
import re
from pathlib import Path

from gpucheck.facts import Rank, Reduction, World
from gpucheck.host import CannotLook
from gpucheck.witnesses import nvml_samples
from gpucheck.witnesses.evidence import Document, document

PART = "world"
DIGEST = re.compile(r"[0-9a-f]{64}")
ASKED = re.compile(r"(\d{1,6})@([^@:]+):\d{1,5}")  # RANK@HOST,HOST,...:PORT
MOST = 2**40  # of whatever is counted


def look(folder: Path) -> World:
    """Raises CannotLook where the part left nothing: it died, or was ended at its deadline."""
    told = document(folder, "world.json")
    hosts, node, devices = _asked(folder)
    if (told.texts("hosts"), told.get("node", int), told.get("devices", int)) != (hosts, node, devices):
        raise CannotLook("world.json is of another world than was asked for")
    refused, use, unseen = told.maybe("refused", str), None, None
    try:
        use = nvml_samples.between(folder, _window)
    except CannotLook as why:
        unseen = str(why)
    return World(
        hosts=hosts, node=node, devices=devices, backend=told.get("backend", str)[:40],
        refused=None if refused is None else refused[:400] or "no word",
        ranks=tuple(map(_rank, told.each("ranks"))), reductions=tuple(map(_reduction, told.each("reductions"))),
        steps=_counted(told, "steps"), batch_size=_counted(told, "batch_size"), losses=_losses(told),
        gpu_use=use, unseen=unseen,
    )  # fmt: skip


def _asked(folder: Path) -> tuple[tuple[str, ...], int, int]:
    """The hosts, which of them this is, and the devices of each: as gpucheck asked, which no run can change."""
    asked = document(folder, "asked.json")
    found = ASKED.fullmatch(asked.inner("options").get("world", str))
    if not found:
        raise CannotLook("asked.json has something else as world")
    return tuple(found[2].split(",")), int(found[1]), asked.get("devices", int)


def _window(folder: Path, follow: float) -> tuple[float, float]:
    """When the part ran. Raises CannotLook where the run does not tell."""
    for part in document(folder, "run.json").each("parts"):
        if part.get("name", str) == PART:
            began = part.get("began", float)
            return max(follow, began), began + part.get("seconds", float)
    raise CannotLook("run.json tells of no such part")


def _rank(row: Document) -> Rank:
    weights = row.get("weights", str)
    if not DIGEST.fullmatch(weights):
        raise CannotLook(f"{row.name} has {weights!r:.40} as weights")
    uuid = row.maybe("uuid", str)
    return Rank(
        rank=_counted(row, "rank"), node=_counted(row, "node"), host=row.get("host", str)[:253],
        device=row.get("device", str)[:20], uuid=uuid[:80] if uuid else None, samples=_counted(row, "samples"),
        wrong=_counted(row, "wrong"), weights=weights,
    )  # fmt: skip


def _reduction(row: Document) -> Reduction:
    seconds = row.get("seconds", float)
    if not 0 < seconds < math.inf:
        raise CannotLook(f"{row.name} has {seconds} as seconds")
    return Reduction(
        bytes=_counted(row, "bytes"), times=_counted(row, "times"), seconds=seconds, wrong=_counted(row, "wrong")
    )


def _counted(row: Document, key: str) -> int:
    number = row.get(key, int)
    if not 0 <= number < MOST:
        raise CannotLook(f"{row.name} has another number than can be as {key}")
    return number


def _losses(told: Document) -> tuple[float | None, ...]:
    losses = told.get("losses", list)
    if not all(type(loss) in (float, int) for loss in losses):
        raise CannotLook(f"{told.name} has something else than numbers in losses")
    return tuple(float(loss) if math.isfinite(loss) else None for loss in losses)
