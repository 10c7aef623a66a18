"""train.json, whole and torn."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from gpucheck.facts import Share
from gpucheck.host import CannotLook
from gpucheck.witnesses import training

EPOCH = {"loss": 1.5, "accuracy": 0.4, "val_loss": 1.4, "val_accuracy": 0.5, "seconds": 3, "steps": 205}
TRAIN: dict[str, Any] = {
    "history": [EPOCH, {**EPOCH, "loss": 1.1, "val_loss": None, "val_accuracy": None}], "epochs": 2, "batch_size": 32,
    "samples": 8192, "seed": 0, "test_accuracy": 0.62, "gpu_memory_peak_bytes": [5],
    "data": {"kind": "cifar10", "source": "CIFAR-10"},
}  # fmt: skip


def look(folder: Path, **changes: object) -> Any:
    (folder / "train.json").write_text(json.dumps({**TRAIN, **changes}))
    return training.look(folder)


def test_a_training(tmp_path: Path) -> None:
    found = look(tmp_path)
    assert [epoch.loss for epoch in found.history] == [1.5, 1.1]
    assert (found.history[0].seconds, found.history[1].val_loss) == (3.0, None)
    assert (found.epochs_asked, found.batch_size, found.samples, found.seed) == (2, 32, 8192, 0)
    assert (found.data, found.real, found.test_accuracy) == ("CIFAR-10", True, 0.62)


def test_a_training_that_tells_more(tmp_path: Path) -> None:
    shares = [{"device": "GPU:0", "samples": 30}, {"device": "GPU:1", "samples": 20}]
    found = look(
        tmp_path, recipe="fast", precision="bfloat16", deterministic=None, weights_bytes=7, shares=shares,
        test_accuracy=None,
    )  # fmt: skip
    assert (found.recipe, found.precision, found.deterministic, found.weights_bytes) == ("fast", "bfloat16", None, 7)
    assert found.shares == (Share(device="GPU:0", samples=30), Share(device="GPU:1", samples=20))
    assert look(tmp_path, deterministic="cuDNN's atomics").deterministic == "cuDNN's atomics"


def test_older_evidence_is_read_and_claims_nothing_new(tmp_path: Path) -> None:
    found = look(tmp_path)
    assert (found.recipe, found.precision, found.weights_bytes, found.shares) == ("tutorial", "float32", 490_280, ())
    assert found.deterministic is not None  # None would say that the same seed gives the same run


def test_synthetic_data_are_not_real(tmp_path: Path) -> None:
    assert look(tmp_path, data={"kind": "synthetic", "source": "gratings"}).real is False


@pytest.mark.parametrize("loss", [math.nan, math.inf])
def test_a_loss_that_is_no_number_is_told_as_none(tmp_path: Path, loss: float) -> None:
    assert look(tmp_path, history=[{**EPOCH, "loss": loss}]).history[0].loss is None


@pytest.mark.parametrize(("told", "found"), [([], ()), ([3, 4], (3, 4)), (None, None)])
def test_the_memory_of_each_gpu(tmp_path: Path, told: object, found: object) -> None:
    assert look(tmp_path, gpu_memory_peak_bytes=told).gpu_memory_peak_bytes == found


def test_memory_that_is_no_number(tmp_path: Path) -> None:
    with pytest.raises(CannotLook, match="gpu_memory_peak_bytes"):
        look(tmp_path, gpu_memory_peak_bytes=["much"])


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"history": None}, "history"),
        ({"history": [{"loss": 1.0}]}, "accuracy"),
        ({"history": [{**EPOCH, "steps": 1.5}]}, "steps"),
        ({"history": [7]}, "history 0"),
        ({"samples": "8192"}, "samples"),
        ({"seed": True}, "seed"),
        ({"data": {}}, "source"),
        ({"recipe": None}, "recipe"),
        ({"deterministic": True}, "deterministic"),
        ({"weights_bytes": 1.5}, "weights_bytes"),
        ({"shares": [{"device": "GPU:0"}]}, "samples"),
        ({"shares": None}, "shares"),
    ],
)
def test_what_is_missing_or_of_another_type_is_named(tmp_path: Path, change: dict[str, Any], named: str) -> None:
    with pytest.raises(CannotLook, match=rf"train\.json.*{named}"):
        look(tmp_path, **change)


def test_a_training_that_died_left_no_file(tmp_path: Path) -> None:
    with pytest.raises(CannotLook, match=r"train\.json"):
        training.look(tmp_path)
