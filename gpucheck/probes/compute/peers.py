"""Random bytes from each GPU's memory to the next one's, compared. In the child process only."""

from __future__ import annotations

import ctypes
import random
from typing import Any, NoReturn

from gpucheck.facts import PeerCopy, Peers
from gpucheck.probes.compute.copies import LEAST, allocated, compared
from gpucheck.probes.compute.cuda import Cuda, CudaError, out_of_memory
from gpucheck.probes.compute.listing import uuid_of
from gpucheck.probes.compute.work import Teller, memory_info

MOST = 16 * 2**20  # bytes
ALREADY_ENABLED = 704


def ring(count: int) -> list[tuple[int, int]]:
    """Each is once a source and once a target."""
    return [(index, (index + 1) % count) for index in range(count)]


def work(deadline: float) -> NoReturn:
    teller = Teller(Peers, {"copies": ()}, deadline)
    try:
        teller.cuda = cuda = Cuda()
        cuda("cuInit", 0)
        devices = [cuda.number("cuDeviceGet", index) for index in range(cuda.number("cuDeviceGetCount"))]
        names = [uuid_of(cuda, device) for device in devices]
        data = random.Random("peers").randbytes(MOST)  # noqa: S311
        for a, b in ring(len(devices)) if len(devices) > 1 else ():
            pair: dict[str, Any] = {"source": names[a], "target": names[b], "bytes": 0}
            teller.known["copies"] += (PeerCopy(**pair),)
            teller.say()
            try:
                pair |= _copied(cuda, devices[a], devices[b], data)
            except CudaError as failed:
                pair["error"] = failed.error
            teller.known["copies"] = (*teller.known["copies"][:-1], PeerCopy(**pair))
    except CudaError as failed:
        teller.known["error"] = failed.error
    teller.end()


def _copied(cuda: Cuda, source: int, target: int, data: bytes) -> dict[str, Any]:
    reach = [cuda.number("cuDeviceCanAccessPeer", *way) for way in ((source, target), (target, source))]
    contexts = []
    for device in (source, target):
        context = ctypes.c_void_p()
        cuda("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        contexts.append(context)
    buffers, size = [], len(data)
    for context in contexts:
        cuda("cuCtxSetCurrent", context)
        free, _ = memory_info(cuda)
        size = min(size, free // 8 // LEAST * LEAST)
        if size == 0:
            raise out_of_memory(free)
    for context in contexts:
        cuda("cuCtxSetCurrent", context)
        buffers.append(allocated(cuda, size))
    length = ctypes.c_size_t(size)
    cuda("cuMemsetD8_v2", buffers[1], ctypes.c_ubyte(0xA5), length)
    if all(reach):
        for here, other in (contexts, contexts[::-1]):
            cuda("cuCtxSetCurrent", here)
            _enable(cuda, other)
    cuda("cuCtxSetCurrent", contexts[0])
    cuda("cuMemcpyHtoD_v2", buffers[0], data[:size], length)
    cuda("cuMemcpyPeer", buffers[1], contexts[1], buffers[0], contexts[0], length)
    cuda("cuCtxSynchronize")
    cuda("cuCtxSetCurrent", contexts[1])
    cuda("cuCtxSynchronize")
    read = ctypes.create_string_buffer(size)
    cuda("cuMemcpyDtoH_v2", read, buffers[1], length)
    for context, buffer in zip(contexts, buffers, strict=True):
        cuda("cuCtxSetCurrent", context)
        cuda("cuMemFree_v2", buffer)
    wrong, _ = (0, 0) if read.raw == data[:size] else compared(data[:size], read.raw, read.raw)
    return {"bytes": size, "direct": all(reach), "wrong": wrong}


def _enable(cuda: Cuda, other: ctypes.c_void_p) -> None:
    try:
        cuda("cuCtxEnablePeerAccess", other, 0)
    except CudaError as failed:
        if failed.error.code != ALREADY_ENABLED:
            raise
