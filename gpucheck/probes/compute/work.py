"""One GPU through all stages, what is known said after each, so that a crash or a hang costs only what was to come.

In the child process only.
"""

from __future__ import annotations

import ctypes
import json
import os
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

from gpucheck import codec
from gpucheck.facts import CallError, ComputeGpu, Version
from gpucheck.probes.compute.arithmetic import Grid, chains, memory
from gpucheck.probes.compute.copies import copies
from gpucheck.probes.compute.cuda import NO_DEVICE, Cuda, CudaError
from gpucheck.probes.compute.listing import uuid_of

CAPABILITY_MAJOR, CAPABILITY_MINOR = 75, 76  # CUdevice_attribute
HIDE = "CUDA_VISIBLE_DEVICES"


class Teller:
    """Prints a fact, as it is known so far, a line each time; the last line counts. A call that hangs is named."""

    def __init__(self, fact: Callable[..., Any], known: dict[str, Any], deadline: float) -> None:
        self.known = known
        self.cuda: Cuda | None = None
        self._fact, self._deadline, self._turn = fact, deadline, threading.Lock()
        watch = threading.Timer(deadline, self._give_up)
        watch.daemon = True
        watch.start()

    def say(self) -> None:
        with self._turn:
            self._print()

    def end(self) -> NoReturn:
        """Without the library's own clearing up, which can hang too; the kernel does it."""
        self.say()
        os._exit(0)

    def _give_up(self) -> None:
        with self._turn:
            call = self.cuda.running if self.cuda else None
            self.known["stuck"] = f"{call or 'the test'} did not end within {self._deadline:g} s"
            self._print()
            os._exit(0)

    def _print(self) -> None:
        sys.stdout.write(json.dumps(codec.dump(self._fact(**self.known))) + "\n")
        sys.stdout.flush()


def work(uuid: str, deadline: float, among_all: bool) -> NoReturn:
    """`among_all`: look for it among all GPUs, where CUDA does not take its name."""
    known: dict[str, Any] = {"uuid": uuid, "errors": {}}
    teller = Teller(ComputeGpu, known, deadline)
    stage = "context"
    try:
        teller.cuda = cuda = Cuda()
        device = _device(cuda, uuid, among_all)
        known |= _identity(cuda, device)
        context = ctypes.c_void_p()
        cuda("cuDevicePrimaryCtxRetain", ctypes.byref(context), device)
        cuda("cuCtxSetCurrent", context)
        free, known["memory_total_bytes"] = memory_info(cuda)
        known |= {"memory_free_bytes": free, "context": True}
        teller.say()
        stage = "copies"
        try:
            known["copies"] = copies(cuda, free, uuid, known["pci_address"])
        except CudaError as failed:
            known["errors"] = {stage: failed.error}
        teller.say()
        stage = "kernel"
        grid = Grid(cuda, device)
        known["kernel"] = chains(cuda, grid, uuid)
        teller.say()
        stage = "memory"
        known["memory"] = memory(cuda, grid, memory_info(cuda)[0], uuid)
    except CudaError as failed:
        known["errors"] = {**known["errors"], stage: failed.error}
    teller.end()


def _device(cuda: Cuda, uuid: str, among_all: bool) -> int:
    try:
        cuda("cuInit", 0)
    except CudaError as failed:
        if failed.error.code == NO_DEVICE and not among_all:
            os.execv(  # noqa: S606
                sys.executable, [sys.executable, "-P", "-m", "gpucheck.probes.compute", "--gpu", uuid, "--among-all"]
            )
        raise
    for index in range(cuda.number("cuDeviceGetCount")):
        device: int = cuda.number("cuDeviceGet", index)
        if not among_all or uuid_of(cuda, device) == uuid:
            return device
    raise CudaError(
        CallError(call="cuDeviceGetCount", code=NO_DEVICE, name="NO_DEVICE", detail="CUDA does not list it")
    )


def _identity(cuda: Cuda, device: int) -> dict[str, Any]:
    name, address = ctypes.create_string_buffer(256), ctypes.create_string_buffer(64)
    cuda("cuDeviceGetName", name, len(name), device)
    cuda("cuDeviceGetPCIBusId", address, len(address), device)
    major, minor = (
        cuda.number("cuDeviceGetAttribute", which, device) for which in (CAPABILITY_MAJOR, CAPABILITY_MINOR)
    )
    return {
        "name": name.value.decode("utf-8", "replace"),
        "pci_address": address.value.decode("ascii", "replace").lower(),
        "compute_capability": Version(f"{major}.{minor}"),
    }


def memory_info(cuda: Cuda) -> tuple[int, int]:
    """Bytes free, and all."""
    free, total = ctypes.c_size_t(), ctypes.c_size_t()
    cuda("cuMemGetInfo_v2", ctypes.byref(free), ctypes.byref(total))
    return free.value, total.value
