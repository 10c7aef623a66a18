"""The GPUs and MIG devices that there are, by NVML, which alone lists all MIG devices; else by CUDA."""

from __future__ import annotations

import ctypes
import uuid

from gpucheck.probes.compute import Listing
from gpucheck.probes.compute.cuda import Cuda, CudaError
from gpucheck.probes.nvml.ask import Ask
from gpucheck.probes.nvml.lists import INVALID_ARGUMENT, MOST_MIG, NOT_FOUND


def listing() -> Listing:
    by_nvml = _by_nvml()
    if by_nvml is not None:
        return by_nvml
    try:
        cuda = Cuda()
        cuda("cuInit", 0)
        count = cuda.number("cuDeviceGetCount")
        return Listing(uuids=tuple(uuid_of(cuda, cuda.number("cuDeviceGet", index)) for index in range(count)))
    except CudaError as failed:
        return Listing(errors=(failed.error,))


def _by_nvml() -> Listing | None:
    """None where NVML does not start. A GPU that is cut into MIG devices is those."""
    import pynvml  # type: ignore[import-untyped]

    ask = Ask(pynvml)
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return None
    found: list[str] = []
    for index in range(ask("nvmlDeviceGetCount") or 0):
        handle = ask("nvmlDeviceGetHandleByIndex", index)
        if handle is None:
            continue
        if (ask("nvmlDeviceGetMigMode", handle) or (0,))[0]:
            places = range(min(ask("nvmlDeviceGetMaxMigDeviceCount", handle) or 0, MOST_MIG))
            absent = frozenset({NOT_FOUND, INVALID_ARGUMENT})
            parts = [ask("nvmlDeviceGetMigDeviceHandleByIndex", handle, place, absent=absent) for place in places]
            found += [ask("nvmlDeviceGetUUID", part) for part in parts if part is not None]
        else:
            found += [ask("nvmlDeviceGetUUID", handle)]
    return Listing(uuids=tuple(filter(None, found)), errors=tuple(ask.errors))


def uuid_of(cuda: Cuda, device: int) -> str:
    """As nvidia-smi writes it, of a whole GPU."""
    raw = (ctypes.c_ubyte * 16)()
    cuda("cuDeviceGetUuid_v2", raw, device)
    return f"GPU-{uuid.UUID(bytes=bytes(raw))}"
