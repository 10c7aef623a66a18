"""What the training says of itself: train.json."""

from __future__ import annotations

import math
from pathlib import Path

from gpucheck.facts import Epoch, Share, Training
from gpucheck.host import CannotLook
from gpucheck.witnesses.evidence import Document, document

# Of evidence that is older than a key: until then it was always so, but for what nobody asked.
RECIPE, PRECISION, WEIGHTS_BYTES = "tutorial", "float32", 490_280
DETERMINISTIC = "the run is older than this question"


def look(folder: Path) -> Training:
    """Raises CannotLook where train.json is missing (it is written last) or torn."""
    train = document(folder, "train.json")
    data = train.inner("data")
    return Training(
        history=tuple(map(_epoch, train.each("history"))), epochs_asked=train.get("epochs", int),
        batch_size=train.get("batch_size", int), samples=train.get("samples", int), seed=train.get("seed", int),
        data=data.get("source", str), real=data.get("kind", str) == "cifar10",
        test_accuracy=_finite(train.maybe("test_accuracy", float)), gpu_memory_peak_bytes=_sizes(train),
        recipe=train.older("recipe", str, RECIPE), precision=train.older("precision", str, PRECISION),
        deterministic=train.maybe("deterministic", str) if "deterministic" in train.data else DETERMINISTIC,
        weights_bytes=train.older("weights_bytes", int, WEIGHTS_BYTES), shares=_shares(train),
    )  # fmt: skip


def _sizes(train: Document) -> tuple[int, ...] | None:
    sizes: list[int] | None = train.maybe("gpu_memory_peak_bytes", list)
    if sizes is not None and not all(type(size) is int for size in sizes):
        raise CannotLook("train.json has something else than bytes in gpu_memory_peak_bytes")
    return None if sizes is None else tuple(sizes)


def _shares(train: Document) -> tuple[Share, ...]:
    rows = train.each("shares") if "shares" in train.data else ()
    return tuple(Share(device=row.get("device", str), samples=row.get("samples", int)) for row in rows)


def _epoch(row: Document) -> Epoch:
    losses = {name: _finite(row.get(name, float)) for name in ("loss", "accuracy")}
    held_out = {name: _finite(row.maybe(name, float)) for name in ("val_loss", "val_accuracy")}
    return Epoch(**losses, **held_out, seconds=row.get("seconds", float), steps=row.get("steps", int))


def _finite(value: float | None) -> float | None:
    return value if value is not None and math.isfinite(value) else None
