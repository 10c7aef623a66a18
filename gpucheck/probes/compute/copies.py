"""Random bytes to the GPU and back: whether they are the same, and how fast they went. In the child process only."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import random
import time
from collections.abc import Iterator
from pathlib import Path

from gpucheck.facts.compute import CopyTest
from gpucheck.probes.compute.cuda import Cuda, out_of_memory

MOST = 64 * 2**20  # bytes
LEAST = 2**20
TIMES = 5
WARM = 0.2  # seconds of copies before the first that counts: an idle link sleeps at its lowest speed
MOST_WARM = 2000
TURN = 6.0  # seconds to wait for another GPU's copies to end
MARK = bytes([0] + [1] * 255)
GENERATIONS = {2.5: 1, 5.0: 2, 8.0: 3, 16.0: 4, 32.0: 5, 64.0: 6}  # GT/s of a lane: PCIe's generation


def copies(cuda: Cuda, free: int, seed: str, pci_address: str) -> CopyTest:
    size = min(MOST, free // 8 // LEAST * LEAST)
    if size == 0:
        raise out_of_memory(free)
    data = random.Random(seed).randbytes(size)  # noqa: S311
    source, back, device = pinned(cuda, size), pinned(cuda, size), allocated(cuda, size)
    ctypes.memmove(source, data, size)
    watch = Stopwatch(cuda)
    to = ("cuMemcpyHtoDAsync_v2", device, source, ctypes.c_size_t(size), None)
    back_again = ("cuMemcpyDtoHAsync_v2", back, device, ctypes.c_size_t(size), None)
    to_seconds, from_seconds, wrong_to, wrong_from = [], [], 0, 0
    with turn(TURN) as alone:
        warmed, count = 0.0, 0
        while warmed < WARM and count < MOST_WARM:
            warmed, count = warmed + watch(*to), count + 1
        for _ in range(TIMES):
            cuda("cuMemsetD8_v2", device, ctypes.c_ubyte(0xA5), ctypes.c_size_t(size))
            to_seconds.append(watch(*to))
            ctypes.memset(back, 0x5A, size)
            from_seconds.append(watch(*back_again))
            read = ctypes.string_at(back, size)
            if read != data:
                watch(*back_again)
                both, one = compared(data, read, ctypes.string_at(back, size))
                wrong_to, wrong_from = wrong_to + both, wrong_from + one
        gen, width = link(pci_address)
    return CopyTest(
        bytes=size, times=TIMES, wrong_to=wrong_to, wrong_from=wrong_from, to_gpu=size / min(to_seconds),
        from_gpu=size / min(from_seconds), alone=alone, pcie_gen=gen, pcie_width=width,
    )  # fmt: skip


def compared(expected: bytes, first: bytes, second: bytes) -> tuple[int, int]:
    """How many bytes are wrong in both readings, and in one of them."""
    marks = [int.from_bytes(_marked(expected, read), "little") for read in (first, second)]
    both, either = (
        (mark).to_bytes(len(expected), "little").count(1) for mark in (marks[0] & marks[1], marks[0] | marks[1])
    )
    return both, either - both


def _marked(expected: bytes, read: bytes) -> bytes:
    """1 for each byte that differs; by whole numbers, because there are millions."""
    differing = int.from_bytes(expected, "little") ^ int.from_bytes(read, "little")
    return differing.to_bytes(len(expected), "little").translate(MARK)


def pinned(cuda: Cuda, size: int) -> ctypes.c_void_p:
    pointer = ctypes.c_void_p()
    cuda("cuMemHostAlloc", ctypes.byref(pointer), ctypes.c_size_t(size), 0)
    return pointer


def allocated(cuda: Cuda, size: int) -> ctypes.c_uint64:
    return ctypes.c_uint64(cuda.number("cuMemAlloc_v2", ctypes.c_size_t(size), kind=ctypes.c_uint64))


class Stopwatch:
    """Runs an asynchronous call, and gives the GPU's own time for it, in seconds."""

    def __init__(self, cuda: Cuda) -> None:
        self._cuda = cuda
        self._events = ctypes.c_void_p(), ctypes.c_void_p()
        for event in self._events:
            cuda("cuEventCreate", ctypes.byref(event), 0)

    def __call__(self, call: str, *args: object) -> float:
        start, end = self._events
        self._cuda("cuEventRecord", start, None)
        self._cuda(call, *args)
        self._cuda("cuEventRecord", end, None)
        self._cuda("cuEventSynchronize", end)
        took: float = self._cuda.number("cuEventElapsedTime", start, end, kind=ctypes.c_float)
        return max(0.0005, took) / 1000  # the clock's step is half a microsecond


@contextlib.contextmanager
def turn(seconds: float) -> Iterator[bool]:
    """One GPU at a time: they share the host's memory, and often a switch. False = another's copies did not end."""
    alone, end = False, time.monotonic() + seconds
    with Path(__file__).open("rb") as file:
        while not alone and time.monotonic() < end:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                alone = True
            except BlockingIOError:
                time.sleep(0.02)
            except OSError:  # a file system without locks
                break
        yield alone


def link(pci_address: str) -> tuple[int | None, int | None]:
    """PCIe generation and width of the GPU's link at this moment."""
    folder = Path("/sys/bus/pci/devices") / pci_address.lower()
    try:
        speed, width = ((folder / f"current_link_{name}").read_text() for name in ("speed", "width"))
        return GENERATIONS.get(float(speed.split()[0])), int(width)
    except (OSError, ValueError, IndexError):
        return None, None
