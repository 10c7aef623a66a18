"""Keras 3 on JAX: JAX chooses the device when its backends start, and only JAX_PLATFORMS makes it insist on a GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax  # type: ignore[import-not-found]

from . import jax_devices
from .observers import jax_observer

OBSERVER = jax_observer
VERSION: str = jax.__version__
PLACEMENT = "executables"
STEPS_PER_EXECUTION = 1  # this backend unrolls them, and compiles the longer for it


def configure(options: Any) -> None:
    jax_devices.configure(options)


def refusal(keras: Any) -> str | None:  # noqa: ARG001 - it is JAX that refuses
    try:
        jax.local_devices()
    except (RuntimeError, AssertionError) as error:
        return jax_devices.refusal(error)
    return None


def forced() -> str | None:
    return None


def observed(options: Any, work: Callable[[], None]) -> dict[str, Any]:
    """Do `work`, which must keep its model alive, and say where the executables were left."""
    work()
    told = jax_observer.final(options.out, options.stem) or {"placement": None, "error": "JAX has no backend"}
    return {"kind": PLACEMENT, "file": told["placement"], "error": told["error"]}


def described() -> dict[str, Any]:
    names = jax_observer.devices()
    gpus = [device for device in jax.local_devices() if jax_devices.is_gpu(device)] if names else []
    return {
        "devices": names, "gpu_build": jax_devices.has_gpu_plugin(),
        "gpus": [jax_devices.described(gpu) for gpu in gpus],
    }  # fmt: skip


def device(tensor: Any) -> str:
    return jax_observer.device_name(next(iter(tensor.devices())))


def gains_from_bfloat16(gpu: bool) -> bool:
    return gpu and jax_devices.gains_from_bfloat16(jax.local_devices()[0])


def memory_peaks() -> list[int] | None:
    return jax_devices.memory_peaks()
