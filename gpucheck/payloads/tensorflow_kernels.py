"""TensorFlow's kernel registry: what this wheel can run on a GPU at all. Readable without a GPU."""

from __future__ import annotations

from typing import Any


def registry(tf: Any) -> dict[str, Any]:
    """Which ops have a GPU kernel, and which of those keep all they return in host memory. A CPU wheel cannot say."""
    from tensorflow.python.framework import kernels, op_def_registry  # type: ignore[import-untyped]

    if not tf.test.is_built_with_gpu_support():
        return {"gpu_build": False, "gpu": None, "host_memory": None}
    host: dict[str, list[set[str]]] = {}
    for kernel in kernels.get_all_registered_kernels().kernel:
        if kernel.device_type in ("GPU", "DEFAULT"):  # DEFAULT: for every device that has none of its own
            host.setdefault(kernel.op, []).append(set(kernel.host_memory_arg))
    returned = {}
    for op in host:
        definition = op_def_registry.get(op)
        returned[op] = {arg.name for arg in definition.output_arg} if definition else set()
    return {
        "gpu_build": True,
        "gpu": sorted(host),
        "host_memory": sorted(op for op in host if returned[op] and all(returned[op] <= held for held in host[op])),
    }
