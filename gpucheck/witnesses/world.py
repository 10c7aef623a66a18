"""What a node's first rank says of the world that it joined: world.json."""

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


def look(folder: Path) -> World:
    """Raises CannotLook where the part left nothing: it died, or was ended at its deadline."""
    told = document(folder, "world.json")
    refused, use, unseen = told.maybe("refused", str), None, None
    try:
        use = nvml_samples.between(folder, _window)
    except CannotLook as why:
        unseen = str(why)
    return World(
        hosts=told.texts("hosts"), node=told.get("node", int), devices=told.get("devices", int),
        backend=told.get("backend", str), refused=refused[:400] if refused else None,
        ranks=tuple(map(_rank, told.each("ranks"))), reductions=tuple(map(_reduction, told.each("reductions"))),
        steps=told.get("steps", int), batch_size=told.get("batch_size", int), losses=_losses(told),
        gpu_use=use, unseen=unseen,
    )  # fmt: skip


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
    return Rank(
        rank=row.get("rank", int), node=row.get("node", int), host=row.get("host", str)[:253],
        device=row.get("device", str)[:20], uuid=row.maybe("uuid", str), samples=row.get("samples", int),
        wrong=row.get("wrong", int), weights=weights,
    )  # fmt: skip


def _reduction(row: Document) -> Reduction:
    seconds = row.get("seconds", float)
    if not 0 < seconds < math.inf:
        raise CannotLook(f"{row.name} has {seconds} as seconds")
    return Reduction(
        bytes=row.get("bytes", int), times=row.get("times", int), seconds=seconds, wrong=row.get("wrong", int)
    )


def _losses(told: Document) -> tuple[float | None, ...]:
    losses = told.get("losses", list)
    if not all(type(loss) in (float, int) for loss in losses):
        raise CannotLook(f"{told.name} has something else than numbers in losses")
    return tuple(float(loss) if math.isfinite(loss) else None for loss in losses)
