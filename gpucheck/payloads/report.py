"""What every training reports alike: its progress, its epochs, the time of its steps, its confusion matrix."""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from . import cifar10, parts

COLD_STEPS = 10  # of the first epoch: they trace, compile and warm up


class Follow:
    """Keeps the history. Call epoch(), then step() after each step or group of steps, then done() when it is over.

    done() must come after the device has finished the epoch: reading its loss as a number sees to that.
    """

    def __init__(self, epochs: int, steps: int, say: parts.Say) -> None:
        self.epochs, self.steps, self.say = epochs, steps, say
        self.history: list[dict[str, Any]] = []
        self.began = time.time()  # of the first epoch, seconds since 1970: what NVML's samples are compared with
        self.trained: float | None = None  # likewise, when the last epoch was done
        self.step_seconds: float | None = None  # mean of the warm steps of the last epoch
        self._said = 0.0
        self._start = 0.0
        self._seconds: float | None = None
        self._done = 0
        self._warm: tuple[float, int] = (0.0, 0)  # when and after how many steps the warm part began

    def epoch(self) -> None:
        self._start, self._done = time.monotonic(), 0
        self._warm = (self._start, 0) if self.history else (0.0, -1)

    def step(self, loss: Any = None, number: int = 1) -> None:
        """`loss` may live on the device: it is read at most once a second. `number` steps were done at once."""
        self._done += number
        now = time.monotonic()
        if self._warm[1] < 0 and self._done >= min(COLD_STEPS, self.steps // 2):
            self._warm = (now, self._done)
        if now - self._said >= 1:
            self._said = now
            told = "" if loss is None else f", loss {float(loss):.3f}"
            self.say(f"epoch {len(self.history) + 1}/{self.epochs}, step {self._done}/{self.steps}{told}")

    def warm(self) -> None:
        """The steps so far are not in the time of a step: something else was done between them."""
        self._warm = (time.monotonic(), self._done)

    def done(self, **values: float | None) -> None:
        """`values`: loss, accuracy, val_loss, val_accuracy. Validation is not in the epoch's seconds: see pause()."""
        seconds = self._seconds if self._seconds is not None else time.monotonic() - self._start
        known = {name: values.get(name) for name in ("loss", "accuracy", "val_loss", "val_accuracy")}
        self.history.append({**known, "seconds": round(seconds, 4), "steps": self._done})
        self._seconds = None
        self.trained = time.time()

    def pause(self) -> None:
        """The epoch's training is over and the device has finished it; what comes now is validation."""
        now = time.monotonic()
        self._seconds = now - self._start
        since, after = self._warm
        if self._done > max(0, after) and after >= 0:
            self.step_seconds = (now - since) / (self._done - after)


def confusion(labels: Any, predicted: Any) -> list[list[int]]:
    """Rows are true classes, columns predicted ones; both int [n]."""
    flat = np.bincount(np.asarray(labels) * cifar10.CLASSES + np.asarray(predicted), minlength=cifar10.CLASSES**2)
    table: list[list[int]] = flat.reshape(cifar10.CLASSES, cifar10.CLASSES).tolist()
    return table


def training(
    options: Any, follow: Follow, data: cifar10.Split, *, framework_version: str, recipe: str, precision: str,
    batch_size: int, deterministic: str | None, devices: list[str], shares: list[dict[str, Any]],
    weights_bytes: int, gpu_memory_peak_bytes: list[int] | None, profile: dict[str, Any] | None,
    test_loss: float | None, predicted: Any, **more: Any,
) -> None:  # fmt: skip
    """Write <stem>.json, the last thing a training does. `predicted` is int [n] of the test images, None where the
    training was cut short; `deterministic` is None or why the same seed may give another run; `shares` says which
    device trained on how many samples; `profile` is what the profiler's hook left beside its trace.
    """
    table = None if predicted is None else confusion(data.y_test, predicted)
    right = None if table is None else sum(table[k][k] for k in range(cifar10.CLASSES)) / max(1, len(data.y_test))
    seconds = follow.step_seconds
    parts.write(
        options.out / f"{options.stem}.json",
        {
            "framework_version": framework_version, "recipe": recipe, "precision": precision,
            "history": follow.history, "epochs": options.epochs_asked, "batch_size": batch_size,
            "validation_split": options.validation_split, "seed": options.seed, "deterministic": deterministic,
            "samples": len(data.x_train), "test_loss": test_loss, "test_accuracy": right, "confusion": table,
            "classes": list(cifar10.NAMES), "gpu_memory_peak_bytes": gpu_memory_peak_bytes,
            "weights_bytes": weights_bytes, "devices": devices, "shares": shares, "profile": profile,
            "began": follow.began, "trained": follow.trained, "ended": time.time(), "step_seconds": seconds,
            "images_per_second": batch_size / seconds if seconds else None,
            "data": {"kind": "cifar10" if options.data else "synthetic", "source": data.source}, **more,
        },
    )  # fmt: skip
