"""The CNN of TensorFlow's CIFAR-10 tutorial in Keras' layers, with Keras 2 or 3, and what its trainings share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from . import cifar10


def cnn(keras: Any) -> Any:
    """122,570 parameters."""
    layers = keras.layers
    model = keras.Sequential([
        layers.Conv2D(32, (3, 3), activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Conv2D(64, (3, 3), activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Conv2D(64, (3, 3), activation="relu"),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(10),
    ])  # fmt: skip
    model.build((None, cifar10.SIDE, cifar10.SIDE, 3))
    return model


def compiled(keras: Any, model: Any, optimizer: Any, **how: Any) -> Any:
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"], **how)
    return model


def schedule(keras: Any, rates: Any, take: Callable[[Any, Any], Any]) -> Any:
    """A learning rate for each step: float32 [steps]. `take(table, step)` is the backend's indexing."""
    table = np.append(rates, rates[-1])  # Keras may ask for the rate after the last step

    class Table(keras.optimizers.schedules.LearningRateSchedule):  # type: ignore[misc]
        def __call__(self, step: Any) -> Any:
            return take(table, step)

        def get_config(self) -> dict[str, Any]:
            return {"rates": rates.tolist()}

    return Table()


def weights_bytes(model: Any) -> int:
    return sum(weight.nbytes for weight in model.get_weights())


def scores(logits: Any, labels: Any) -> tuple[float, float, Any]:
    """Mean cross-entropy and accuracy of float [n, 10] on int [n], and the predicted classes, int [n]."""
    logits = np.asarray(logits, np.float64)
    top = logits.max(axis=1)
    sums = top + np.log(np.exp(logits - top[:, None]).sum(axis=1))
    losses = sums - logits[np.arange(len(labels)), labels]
    predicted = logits.argmax(axis=1)
    return float(losses.mean()), float((predicted == labels).mean()), predicted


def cpu_has_bfloat16() -> bool:
    """Its own instructions for it: without them bfloat16 is slower than float32."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split())
    except OSError:
        return False
    return bool(flags & {"avx512_bf16", "amx_bf16"})
