"""Keras 3 on PyTorch: Keras chooses the device once, when it is imported, and a variable can make it the CPU."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch  # type: ignore[import-not-found]

from . import keras_cnn, pytorch_network
from .observers import torch_observer

OBSERVER = torch_observer
VERSION: str = torch.__version__
PLACEMENT = "execution-trace"
STEPS_PER_EXECUTION = 1  # all that this backend can
VARIABLE = "KERAS_TORCH_DEVICE"


def configure(options: Any) -> None:
    """Nothing here can be told before Keras is imported."""


def refusal(keras: Any) -> str | None:
    """Where Keras chose another device than the GPU: what PyTorch says of the GPU."""
    chosen = device(keras.ops.zeros(1))
    if chosen.startswith("GPU"):
        return None
    try:
        torch.zeros(1, device="cuda")
    except (AssertionError, RuntimeError) as error:  # a wheel without CUDA asserts
        return str(error).splitlines()[0]
    return f"PyTorch can use the GPU, and Keras chose {chosen}: {VARIABLE}={os.environ.get(VARIABLE)}"


def forced() -> str | None:
    value = os.environ.get(VARIABLE)
    return f"{VARIABLE}={value}" if value and not value.startswith("cuda") else None


def observed(options: Any, work: Callable[[], None]) -> dict[str, Any]:
    """Do `work` under the profiler, and say where it left what it saw dispatched."""
    handle = torch_observer.start(options.out, options.stem, placement=True, kernels=False)
    try:
        work()
    finally:
        told = torch_observer.stop(handle)
    return {"kind": PLACEMENT, "file": told["placement"], "error": told["error"]}


def described() -> dict[str, Any]:
    gpus = range(torch.cuda.device_count() if torch.cuda.is_available() else 0)
    return {
        "devices": pytorch_network.devices(torch), "gpu_build": torch.backends.cuda.is_built(),
        "gpus": [str(torch.cuda.get_device_properties(gpu)) for gpu in gpus],
    }  # fmt: skip


def device(tensor: Any) -> str:
    kind = tensor.device.type
    return f"{'GPU' if kind == 'cuda' else kind.upper()}:{tensor.device.index or 0}"


def gains_from_bfloat16(gpu: bool) -> bool:
    return bool(torch.cuda.get_device_capability() >= (8, 0)) if gpu else keras_cnn.cpu_has_bfloat16()


def memory_peaks() -> list[int] | None:
    return pytorch_network.gpu_memory_peaks(torch)
