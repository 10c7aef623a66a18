"""TensorFlow's trainings, each part alone: the tutorial's fit, several replicas, steps compiled by XLA.

GPUCHECK_PYTHON may name another interpreter than that of the locked environment.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PACKAGE = Path(__file__).parents[1] / "gpucheck"
pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(600)]
Train = Callable[..., Any]


@pytest.fixture
def trained(tensorflow_python: str, tmp_path: Path) -> Train:
    """A function (options...) that trains on the CPU and gives what the training reported."""

    def run(*options: str) -> Any:
        command = [tensorflow_python, "-m", "payloads.tensorflow", "--out", str(tmp_path), "--device", "cpu",
                   "--part", "train", "--stem", "train", *options]  # fmt: skip
        done = subprocess.run(
            command, env={**os.environ, "PYTHONPATH": str(PACKAGE)}, capture_output=True, text=True, timeout=280
        )
        assert done.returncode == 0, done.stderr
        return json.loads((tmp_path / "train.json").read_text())

    return run


def test_the_tutorial_is_its_own_fit(trained: Train) -> None:
    """The last batch of its epoch is smaller: 300 images are 10 steps of 32."""
    train = trained("--limit", "300", "--epochs", "2", "--recipe", "tutorial")
    assert (train["recipe"], train["precision"], train["batch_size"]) == ("tutorial", "float32", 32)
    assert [epoch["steps"] for epoch in train["history"]] == [10, 10]
    assert train["shares"] == [{"device": "CPU:0", "samples": 600}]
    assert train["history"][1]["val_loss"] == pytest.approx(train["test_loss"], rel=1e-4)
    assert (train["profile"]["steps"], train["profile"]["file"]) == (5, "train.xplane.pb.gz")


def test_two_replicas_share_each_batch_and_learn_what_one_learns(trained: Train) -> None:
    """Over ten steps: bfloat16 adds in another order, and at the fast recipe's rate that grows from step to step."""
    options = ("--limit", "320", "--epochs", "1", "--batch-size", "32", "--no-profile")
    one, two = (trained(*options, "--devices", count) for count in "12")
    assert one["shares"] == [{"device": "CPU:0", "samples": 320}]
    assert two["shares"] == [{"device": "CPU:0", "samples": 160}, {"device": "CPU:1", "samples": 160}]
    assert two["devices"] == ["CPU:0", "CPU:1"]
    assert (one["profile"], two["profile"]) == (None, None)
    for epoch, other in zip(one["history"], two["history"], strict=True):
        assert other["loss"] == pytest.approx(epoch["loss"], rel=0.005)


XLA = """
import argparse, json
import tensorflow as tf
from payloads import cifar10, recipe, report, tensorflow_loop, window
options = argparse.Namespace(seed=0, limit=48, data=None, validation_split=0.0, steps=None, device="cpu", profile=False)
chosen = recipe.RECIPES["fast", "cpu"]._replace(epochs=2, batch_size=8)
histories = []
for xla in (False, True):
    tf.keras.utils.set_random_seed(0)
    data, follow = cifar10.prepared(options, print), report.Follow(2, 6, lambda line: None)
    closed = window.Window(None, options, follow)
    tensorflow_loop.train(tf, options, chosen, data, follow, closed, tf.distribute.get_strategy(), xla)
    histories.append([[epoch["loss"], epoch["val_loss"]] for epoch in follow.history])
print(json.dumps(histories))
"""


def test_xla_computes_the_same_steps(tensorflow_python: str) -> None:
    """What one GPU is given; XLA is there for the CPU as well."""
    done = subprocess.run(
        [tensorflow_python, "-c", XLA], env={**os.environ, "PYTHONPATH": str(PACKAGE)}, capture_output=True, text=True,
        timeout=280,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "Compiled cluster using XLA!" in done.stderr
    plain, compiled = json.loads(done.stdout)
    for epoch, other in zip(plain, compiled, strict=True):
        assert other == pytest.approx(epoch, rel=1e-3)
