"""Keras 3 on TensorFlow: what the training needs to know of the backend. The probe is tensorflow_probe's."""

from __future__ import annotations

from typing import Any

import tensorflow as tf  # type: ignore[import-untyped]

from . import tensorflow
from .observers import tensorflow_observer

OBSERVER = tensorflow_observer
VERSION: str = tf.__version__
STEPS_PER_EXECUTION = 16  # of a training on the CPU


def configure(options: Any) -> None:
    """Nothing: placing is enough."""


def device(tensor: Any) -> str:
    return tensorflow_observer.device_name(tensor.device)


def gains_from_bfloat16(gpu: bool) -> bool:
    return tensorflow.gains_from_bfloat16(tf, tf.config.list_physical_devices("GPU") if gpu else [])


def memory_peaks() -> list[int] | None:
    return tensorflow.memory_peaks(tf)
