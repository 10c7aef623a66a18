"""The time of a warm step, of the training and of its control run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gpucheck.host import CannotLook
from gpucheck.witnesses import timing

TRAIN = {"step_seconds": 0.004, "batch_size": 512, "images_per_second": 1.0}


def look(folder: Path, control: dict[str, Any] | None = None, **change: Any) -> Any:
    (folder / "train.json").write_text(json.dumps({**TRAIN, **change}))
    if control is not None:
        (folder / "control-train.json").write_text(json.dumps({**TRAIN, **control}))
    return timing.look(folder)


def test_a_timed_training(tmp_path: Path) -> None:
    found = look(tmp_path)
    assert (found.batch_size, found.step_seconds, found.control_step_seconds) == (512, 0.004, None)
    assert found.images_per_second == pytest.approx(128_000)  # its own word for it is not needed


@pytest.mark.parametrize(
    ("control", "seconds"),
    [({"step_seconds": 0.4}, 0.4), ({"batch_size": 32}, None), ({"step_seconds": None}, None),
     ({"step_seconds": "x"}, None), ({"batch_size": None}, None), ({"step_seconds": 0}, None)],
)  # fmt: skip
def test_only_steps_of_the_same_batch_size_are_compared(
    tmp_path: Path, control: dict[str, Any], seconds: object
) -> None:
    assert look(tmp_path, control).control_step_seconds == seconds


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"step_seconds": None}, "too short"), ({"step_seconds": 0}, "step_seconds"), ({"step_seconds": -1.0}, "step_sec"),
     ({"step_seconds": float("nan")}, "step_seconds"), ({"step_seconds": float("inf")}, "step_seconds"),
     ({"batch_size": 0}, "batch_size"), ({"batch_size": 1.5}, "batch_size")],
)  # fmt: skip
def test_a_time_that_is_none(tmp_path: Path, change: dict[str, Any], reason: str) -> None:
    with pytest.raises(CannotLook, match=reason):
        look(tmp_path, **change)


def test_an_older_run_and_one_that_died(tmp_path: Path) -> None:
    with pytest.raises(CannotLook, match=r"left no train\.json"):
        timing.look(tmp_path)
    (tmp_path / "train.json").write_text(json.dumps({"batch_size": 32}))
    with pytest.raises(CannotLook, match="older"):
        timing.look(tmp_path)
