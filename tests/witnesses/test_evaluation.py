"""Precision, recall and F1 against scikit-learn's, on random matrices and on those with empty classes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.metrics import accuracy_score, precision_recall_fscore_support  # type: ignore[import-untyped]

from gpucheck.facts import ClassScore
from gpucheck.host import CannotLook
from gpucheck.witnesses import evaluation
from gpucheck.witnesses.evaluation import evaluate

NEVER = [[5, 0, 0], [3, 0, 2], [0, 0, 0]]  # class 1 is never predicted, class 2 has no image


def random(seed: int) -> list[list[int]]:
    chance = np.random.default_rng(seed)
    size = int(chance.integers(2, 11))
    table: list[list[int]] = chance.integers(0, 4 if seed % 2 else 400, (size, size)).tolist()
    table[0][0] += 1
    return table


def values(score: ClassScore) -> tuple[float, float, float]:
    return score.precision, score.recall, score.f1


@pytest.mark.parametrize("confusion", [*map(random, range(40)), NEVER, [[0, 7], [0, 0]], [[0, 1], [1, 0]]])
def test_as_scikit_learn(confusion: list[list[int]]) -> None:
    size = len(confusion)
    true = [row for row in range(size) for column in range(size) for _ in range(confusion[row][column])]
    predicted = [column for row in range(size) for column in range(size) for _ in range(confusion[row][column])]

    def theirs(average: str | None) -> Any:
        return precision_recall_fscore_support(
            true, predicted, labels=range(size), average=average, zero_division=0
        )  # fmt: skip

    found = evaluate(confusion, [f"class {number}" for number in range(size)])
    assert found.accuracy == pytest.approx(accuracy_score(true, predicted))
    each = [*zip(*theirs(None), strict=True)]
    for score, (precision, recall, f1, support) in zip(found.classes, each, strict=True):
        assert values(score) == pytest.approx((precision, recall, f1))
        assert score.support == support
    assert values(found.macro) == pytest.approx(theirs("macro")[:3])
    assert values(found.weighted) == pytest.approx(theirs("weighted")[:3])
    assert found.macro.support == found.weighted.support == len(true)


def test_what_would_be_divided_by_zero_is_zero() -> None:
    found = evaluate(NEVER, "abc")
    assert values(found.classes[1]) == values(found.classes[2]) == (0.0, 0.0, 0.0)
    assert [score.support for score in found.classes] == [5, 5, 0]


def look(folder: Path, **train: Any) -> Any:
    (folder / "train.json").write_text(json.dumps({"confusion": [[3, 1], [2, 4]], "classes": ["cat", "dog"], **train}))
    return evaluation.look(folder)


def test_a_tested_training(tmp_path: Path) -> None:
    found = look(tmp_path)
    assert found.confusion == ((3, 1), (2, 4))
    assert found.accuracy == 0.7
    assert [score.name for score in found.classes] == ["cat", "dog"]
    assert (found.classes[0].precision, found.classes[0].recall) == (0.6, 0.75)


@pytest.mark.parametrize("confusion", [None, "missing"])
def test_a_training_that_was_not_tested(tmp_path: Path, confusion: object) -> None:
    if confusion == "missing":
        (tmp_path / "train.json").write_text("{}")
    with pytest.raises(CannotLook, match="no confusion matrix"):
        evaluation.look(tmp_path) if confusion else look(tmp_path, confusion=None)


@pytest.mark.parametrize(
    "train",
    [
        {"confusion": []}, {"confusion": [[1, 2]]}, {"confusion": [[1, 2], [3]]}, {"confusion": [[1, 2], [3, -1]]},
        {"confusion": [[1, 2], [3, True]]}, {"confusion": [[1, 2], [3, 0.5]]}, {"confusion": [[0, 0], [0, 0]]},
        {"confusion": [[1, 2], [3, 2**60]]}, {"confusion": [1, 2]}, {"classes": ["cat"]}, {"classes": [1, 2]},
        {"confusion": [], "classes": []},
    ],
)  # fmt: skip
def test_a_matrix_that_is_none(tmp_path: Path, train: dict[str, Any]) -> None:
    with pytest.raises(CannotLook, match=r"train\.json"):
        look(tmp_path, **train)
