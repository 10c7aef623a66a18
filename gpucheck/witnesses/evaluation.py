"""How good the trained model is: what follows from the confusion matrix of the test set."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from gpucheck.facts import ClassScore, Evaluation
from gpucheck.host import CannotLook
from gpucheck.witnesses.evidence import Document, document


def look(folder: Path) -> Evaluation:
    """Raises CannotLook where the training was not tested, or its matrix is none."""
    train = document(folder, "train.json")
    if train.data.get("confusion") is None:
        raise CannotLook("the training left no confusion matrix")
    return evaluate(_matrix(train), train.texts("classes"))


def evaluate(confusion: Sequence[Sequence[int]], names: Sequence[str]) -> Evaluation:
    """Rows are the true classes, columns the predicted ones, square, not all zero. What would be divided by zero is 0,
    as it is in scikit-learn: the precision of a class that was never predicted, the recall of one that has no image.
    """
    right = [row[index] for index, row in enumerate(confusion)]
    support, predicted = [sum(row) for row in confusion], [sum(column) for column in zip(*confusion, strict=True)]
    classes = tuple(
        ClassScore(name=name, precision=_share(r, p), recall=_share(r, s), f1=_share(2 * r, p + s), support=s)
        for name, r, p, s in zip(names, right, predicted, support, strict=True)
    )
    return Evaluation(
        accuracy=sum(right) / sum(support), classes=classes, macro=_mean("macro", classes, [1] * len(classes)),
        weighted=_mean("weighted", classes, support), confusion=tuple(map(tuple, confusion)),
    )  # fmt: skip


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _mean(name: str, classes: Sequence[ClassScore], weights: Sequence[int]) -> ClassScore:
    def mean(values: Sequence[float]) -> float:
        return sum(value * weight for value, weight in zip(values, weights, strict=True)) / sum(weights)

    return ClassScore(
        name=name, precision=mean([one.precision for one in classes]), recall=mean([one.recall for one in classes]),
        f1=mean([one.f1 for one in classes]), support=sum(one.support for one in classes),
    )  # fmt: skip


def _matrix(train: Document) -> list[list[int]]:
    rows = train.get("confusion", list)
    size = len(train.texts("classes"))
    square = len(rows) == size and all(type(row) is list and len(row) == size for row in rows)
    if not square or not all(type(n) is int and 0 <= n < 2**53 for row in rows for n in row) or not any(map(any, rows)):
        raise CannotLook(f"train.json has something else than a matrix of {size} classes in confusion")
    return rows
