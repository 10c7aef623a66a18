"""What the training says of itself: train.json."""

from __future__ import annotations

from pathlib import Path

from gpucheck.facts import Epoch, Training
from gpucheck.witnesses.evidence import Document, document


def look(folder: Path) -> Training:
    """Raises CannotLook where train.json is missing (it is written last) or torn."""
    train = document(folder, "train.json")
    data = train.inner("data")
    return Training(
        history=tuple(map(_epoch, train.each("history"))), epochs_asked=train.get("epochs", int),
        batch_size=train.get("batch_size", int), samples=train.get("samples", int), seed=train.get("seed", int),
        data=data.get("source", str), real=data.get("kind", str) == "cifar10",
        test_accuracy=train.maybe("test_accuracy", float),
    )  # fmt: skip


def _epoch(row: Document) -> Epoch:
    return Epoch(
        loss=row.get("loss", float), accuracy=row.get("accuracy", float), val_loss=row.maybe("val_loss", float),
        val_accuracy=row.maybe("val_accuracy", float), seconds=row.get("seconds", float), steps=row.get("steps", int),
    )  # fmt: skip
