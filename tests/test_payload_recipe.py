"""What every payload's training shares: the recipe's schedule and order, and the clock of its steps."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from gpucheck.payloads import cifar10, recipe, report

FAST, TUTORIAL = recipe.RECIPES["fast", "cpu"], recipe.RECIPES["tutorial", "cpu"]


@pytest.mark.parametrize("steps", [10, 391, 1955])
def test_the_rate_rises_in_a_line_to_its_peak_and_falls_in_another_to_a_hundredth(steps: int) -> None:
    rates = recipe.rates(FAST, steps)
    top = int(rates.argmax())
    assert (rates.shape, rates.dtype) == ((steps,), np.float32)
    assert rates[top] == pytest.approx(FAST.rate)
    assert top + 1 == round(0.3 * steps)
    assert rates[-1] == pytest.approx(FAST.rate / 100)
    assert rates.min() > 0
    for part in (rates[: top + 1], rates[top:]):
        assert np.diff(part) == pytest.approx(np.diff(part)[0], rel=1e-3)


def test_the_shortest_trainings_have_a_rate() -> None:
    for steps in (1, 2, 3):
        assert ((recipe.rates(FAST, steps) > 0) & (recipe.rates(FAST, steps) <= np.float32(FAST.rate))).all()


def test_the_tutorials_rate_is_adams_own() -> None:
    assert set(recipe.rates(TUTORIAL, 50)) == {np.float32(1e-3)}


def test_an_epochs_order_is_the_seeds() -> None:
    shuffled, mirrored = recipe.order(7, 2, 1000, FAST)
    again = recipe.order(7, 2, 1000, FAST)
    assert np.array_equal(shuffled, again[0])
    assert np.array_equal(mirrored, again[1])
    assert sorted(shuffled) == list(range(1000))
    assert 400 < mirrored.sum() < 600
    for seed, epoch in ((8, 2), (7, 3)):
        assert not np.array_equal(shuffled, recipe.order(seed, epoch, 1000, FAST)[0])
    assert not recipe.order(7, 2, 1000, TUTORIAL)[1].any()


def test_the_command_line_is_stronger_than_the_recipe() -> None:
    given = argparse.Namespace(recipe="fast", device="gpu", epochs=2, batch_size=None)
    chosen = recipe.chosen(given)
    assert (chosen.epochs, chosen.batch_size) == (2, recipe.RECIPES["fast", "gpu"].batch_size)
    assert recipe.chosen(argparse.Namespace(recipe="tutorial", device="cpu", epochs=None, batch_size=64)) == (
        TUTORIAL._replace(batch_size=64)
    )


def test_images_are_scaled_as_the_recipe_wants_them() -> None:
    images = np.stack([np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8)])
    plain, standard = recipe.scaled(TUTORIAL, images), recipe.scaled(FAST, images)
    assert (plain.dtype, plain.min(), plain.max()) == (np.float32, 0, 1)
    mean, deviation = np.array(recipe.MEAN), np.array(recipe.DEVIATION)
    assert standard.dtype == np.float32
    assert standard[0, 5, 5] == pytest.approx(-mean / deviation)
    assert standard[1, 5, 5] == pytest.approx((1 - mean) / deviation)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """report's time: `now` seconds."""
    clock = SimpleNamespace(now=1000.0)
    clock.monotonic = clock.time = lambda: clock.now
    monkeypatch.setattr(report, "time", clock)
    return clock


def pass_steps(follow: report.Follow, clock: SimpleNamespace, number: int, seconds: float) -> None:
    for _ in range(number):
        clock.now += seconds
        follow.step(0.5)


def test_cold_steps_and_validation_are_not_in_the_time_of_a_step(clock: SimpleNamespace) -> None:
    said: list[str] = []
    follow = report.Follow(2, 30, said.append)
    follow.epoch()
    pass_steps(follow, clock, report.COLD_STEPS, 3.0)
    pass_steps(follow, clock, 20, 0.25)
    follow.pause()
    clock.now += 99  # validation
    follow.done(loss=1.0, val_accuracy=0.5)
    assert follow.step_seconds == pytest.approx(0.25)
    assert follow.history[0] == {"loss": 1.0, "accuracy": None, "val_loss": None, "val_accuracy": 0.5,
                                 "seconds": 35.0, "steps": 30}  # fmt: skip
    follow.epoch()
    pass_steps(follow, clock, 30, 0.125)  # no cold ones in a second epoch
    follow.pause()
    follow.done()
    assert follow.step_seconds == pytest.approx(0.125)
    assert (follow.began, follow.trained) == (1000.0, clock.now)
    assert said[0] == "epoch 1/2, step 1/30, loss 0.500"
    assert len([line for line in said if line.startswith("epoch 2/2")]) == 4  # once a second, in 3.75 seconds


def test_what_was_before_warm_is_not_in_the_time_of_a_step(clock: SimpleNamespace) -> None:
    follow = report.Follow(1, 40, lambda _line: None)
    follow.epoch()
    pass_steps(follow, clock, 10, 1.0)
    pass_steps(follow, clock, 10, 9.0)
    follow.warm()
    clock.now += 2.0
    follow.step(number=20)
    follow.pause()
    assert follow.step_seconds == pytest.approx(0.1)


def test_too_short_a_training_tells_no_time_of_a_step(clock: SimpleNamespace) -> None:
    follow = report.Follow(1, 400, lambda _line: None)
    follow.epoch()
    pass_steps(follow, clock, 5, 1.0)
    follow.pause()
    follow.done(loss=1.0)
    assert follow.step_seconds is None
    assert follow.history[0]["steps"] == 5


def test_the_report_takes_its_accuracy_from_the_predictions(clock: SimpleNamespace, tmp_path: Path) -> None:
    options: Any = argparse.Namespace(
        out=tmp_path, stem="train", epochs_asked=1, validation_split=0.0, seed=3, data=None, limit=64
    )
    data = cifar10.prepared(options, lambda _line: None)
    wrong = np.where(np.arange(64) < 16, (data.y_test + 1) % 10, data.y_test)
    follow = report.Follow(1, 2, lambda _line: None)
    follow.epoch()
    pass_steps(follow, clock, 2, 0.5)
    follow.pause()
    follow.done(loss=1.0)
    report.training(
        options, follow, data, framework_version="1", recipe="fast", precision="float32", batch_size=32,
        deterministic=None, devices=["CPU:0"], shares=[], weights_bytes=4, gpu_memory_peak_bytes=None, profile=None,
        test_loss=1.0, predicted=wrong,
    )  # fmt: skip
    train = json.loads((tmp_path / "train.json").read_text())
    assert train["test_accuracy"] == 0.75
    assert sum(map(sum, train["confusion"])) == 64
    assert train["images_per_second"] == pytest.approx(64)
