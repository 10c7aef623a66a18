"""Whether the GPU computes what the CPU knows, and keeps what it wrote. In the child process only."""

from __future__ import annotations

import ctypes
import random
from collections.abc import Callable
from typing import Any

from gpucheck.facts.compute import KernelTest, MemoryTest
from gpucheck.probes.compute import kernels
from gpucheck.probes.compute.copies import LEAST, Stopwatch, allocated
from gpucheck.probes.compute.cuda import Cuda, out_of_memory

BLOCK = 256  # threads; eight blocks fill a multiprocessor
LAUNCHES = 16
LAUNCH = 0.05  # seconds: Windows ends a kernel after two, a display stutters long before
FIRST_ROUNDS, MOST_ROUNDS = 256, 2**28
MOST_MEMORY = 4 * 2**30  # bytes
ERROR_LOG, ERROR_LOG_SIZE = 5, 6  # CUjit_option
LOG = 4096
MULTIPROCESSORS = 16  # CUdevice_attribute


class Grid:
    """The kernels on this GPU, all of its multiprocessors busy."""

    def __init__(self, cuda: Cuda, device: int) -> None:
        self._cuda = cuda
        self._blocks = 8 * cuda.number("cuDeviceGetAttribute", MULTIPROCESSORS, device)
        self.threads = self._blocks * BLOCK
        self.out = allocated(cuda, 16 * self.threads)
        self._module = ctypes.c_void_p()
        log = ctypes.create_string_buffer(LOG)
        options = (ctypes.c_int * 2)(ERROR_LOG, ERROR_LOG_SIZE)
        values = (ctypes.c_void_p * 2)(ctypes.addressof(log), LOG)
        cuda("cuModuleLoadDataEx", ctypes.byref(self._module), kernels.PTX.read_bytes(), 2, options, values, detail=log)

    def function(self, name: str) -> ctypes.c_void_p:
        found = ctypes.c_void_p()
        self._cuda("cuModuleGetFunction", ctypes.byref(found), self._module, name.encode())
        return found

    def launch(self, function: ctypes.c_void_p, *arguments: Any, by: Callable[..., Any] | None = None) -> Any:
        """What `by` gives, which is the binding itself or a stopwatch. It reads the arguments before it returns."""
        pointers = (ctypes.c_void_p * len(arguments))(*(ctypes.addressof(each) for each in arguments))
        call = by or self._cuda
        return call("cuLaunchKernel", function, self._blocks, 1, 1, BLOCK, 1, 1, 0, None, pointers, None)

    def clear(self) -> None:
        """So that what a kernel did not write is not an answer of before."""
        self._cuda("cuMemsetD8_v2", self.out, ctypes.c_ubyte(0xA5), ctypes.c_size_t(16 * self.threads))

    def answer(self) -> bytes:
        """What a kernel wrote, once all is done."""
        host = ctypes.create_string_buffer(16 * self.threads)
        self._cuda("cuCtxSynchronize")
        self._cuda("cuMemcpyDtoH_v2", host, self.out, ctypes.c_size_t(len(host)))
        return host.raw


def chains(cuda: Cuda, grid: Grid, seed: str) -> KernelTest:
    """A second's work, more or less, on all multiprocessors; the first launches find out how much that is here."""
    word = random.Random(seed).getrandbits(64) | 1 << 63  # noqa: S311 - never zero, whichever thread it is for
    function, watch = grid.function("chains"), Stopwatch(cuda)

    def run(rounds: int) -> float:
        took: float = grid.launch(function, grid.out, ctypes.c_uint64(word), ctypes.c_uint32(rounds), by=watch)
        return took

    rounds = FIRST_ROUNDS
    run(rounds)
    took = run(rounds)
    while took < LAUNCH / 8 and rounds < MOST_ROUNDS:
        rounds *= 8
        took = run(rounds)
    rounds = max(1, min(MOST_ROUNDS, int(rounds * LAUNCH / took)))
    expected = kernels.chain_ends(grid.threads, word, rounds)
    seconds, wrong = 0.0, 0
    for _ in range(LAUNCHES):
        grid.clear()
        seconds += run(rounds)
        answer = grid.answer()
        if answer != expected:
            wrong += sum(answer[at : at + 16] != expected[at : at + 16] for at in range(0, len(expected), 16))
    return KernelTest(threads=grid.threads, rounds=rounds, launches=LAUNCHES, wrong=wrong, seconds=seconds)


def memory(cuda: Cuda, grid: Grid, free: int, seed: str) -> MemoryTest:
    """At most half of what is free, so that whoever else is on this GPU has room."""
    size = min(MOST_MEMORY, free // 2 // LEAST * LEAST)
    if size == 0:
        raise out_of_memory(free)
    words = size // 8
    fill, tally, array = grid.function("fill"), grid.function("tally"), allocated(cuda, size)
    first, step = (random.Random(f"{seed} {name}").getrandbits(64) | 1 for name in ("first", "step"))  # noqa: S311
    patterns = ((first, step), (first ^ kernels.MASK, -step & kernels.MASK))  # the second has every bit the other way
    wrong = sums_wrong = 0
    for pattern in patterns:
        numbers = (array, *(ctypes.c_uint64(number) for number in (words, *pattern)))
        grid.launch(fill, *numbers)
        grid.clear()
        grid.launch(tally, *numbers, grid.out)
        differing, total = kernels.tallies(grid.answer())
        wrong += differing
        sums_wrong += total != kernels.fill_sum(words, *pattern)
    return MemoryTest(bytes=size, patterns=len(patterns), wrong=wrong, sums_wrong=sums_wrong)
