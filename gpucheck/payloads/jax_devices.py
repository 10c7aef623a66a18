"""Which devices JAX is told to use, and what it says of them."""

from __future__ import annotations

import importlib.metadata
import os
import pkgutil
import sys
import traceback
from typing import Any

import jax  # type: ignore[import-not-found]

from .observers import jax_observer

DETERMINISTIC = "--xla_gpu_deterministic_ops"
BFLOAT16_SINCE = 8.0  # compute capability: Ampere has arithmetic for it, and what is older only emulates it


def configure(options: Any) -> None:
    """Before the backends start. Without `strict` a GPU is not insisted on: JAX falls to the CPU by itself."""
    if options.device == "cpu":
        jax.config.update("jax_platforms", "cpu")
    elif options.strict:
        jax.config.update("jax_platforms", "cuda")
    if options.devices > 1:  # of the CPU; it makes no GPUs
        try:
            jax.config.update("jax_num_cpu_devices", options.devices)
        except AttributeError:  # JAX before 0.5
            flag = f"--xla_force_host_platform_device_count={options.devices}"
            os.environ["XLA_FLAGS"] = f"{os.environ.get('XLA_FLAGS', '')} {flag}"


def refusal(error: BaseException) -> str:
    """What JAX said. Where the machine has no /dev/nvidia* it only asserts that there is a backend, without a word."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {str(error) or last.line}"


def is_gpu(device: Any) -> bool:
    return jax_observer.device_name(device).startswith("GPU:")


def described(device: Any) -> dict[str, Any]:
    return {"name": device.device_kind, "compute_capability": getattr(device, "compute_capability", None)}


def gains_from_bfloat16(device: Any) -> bool:
    """Not the CPU: a step of batch 128 took a quarter more CPU time there than in float32 (jax 0.10.2, avx512_bf16)."""
    return is_gpu(device) and float(getattr(device, "compute_capability", 0)) >= BFLOAT16_SINCE


def gains_from_loops(device: Any) -> bool:
    """Not the CPU: a step inside lax.scan took ten times as long there (jax 0.10.2; see jax-ml/jax, issue 12868)."""
    return is_gpu(device)


def has_gpu_plugin() -> bool:
    """A CUDA plugin is installed, usable or not: sought where JAX seeks, in jax_plugins and by entry points."""
    folder = sys.modules.get("jax_plugins")
    names = [entry.value for entry in importlib.metadata.entry_points(group="jax_plugins")]
    names += [module.name for module in pkgutil.iter_modules(getattr(folder, "__path__", ()))]
    bridge = sys.modules["jax._src.xla_bridge"]
    return any("cuda" in name for name in [*names, *getattr(bridge, "_backend_factories", ())])


def undetermined(devices: list[Any]) -> str | None:
    """Why the same seed may give another run; None where it does not."""
    flags = os.environ.get("XLA_FLAGS", "").split()
    if not any(map(is_gpu, devices)) or {DETERMINISTIC, f"{DETERMINISTIC}=true"} & set(flags):
        return None
    return f"XLA chooses a GPU's kernels by timing them; XLA_FLAGS={DETERMINISTIC}=true forbids what then differs"


def memory_peaks() -> list[int] | None:
    """Bytes in use at most on each GPU; None where an allocator keeps no count."""
    told = [device.memory_stats() or {} for device in jax.local_devices() if is_gpu(device)]
    return (
        [stats["peak_bytes_in_use"] for stats in told] if all("peak_bytes_in_use" in stats for stats in told) else None
    )
