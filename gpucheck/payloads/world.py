"""The nodes that train together: the numbers that they add up, what these must come to, and what each node reports.

Every rank adds whole numbers that all of them know: float32 holds their sums exactly, in whatever order they are added.
So each rank knows what an all-reduce must come to, bit for bit, without asking another.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import re
import socket
import statistics
import time
import traceback
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

STEPS, BATCH = 20, 32  # of the training; the batch is each rank's
TIMES = 5  # that each size is added up, after once to warm up
SIZES = {"cpu": (4096, 1 << 20, 16 << 20), "gpu": (4096, 1 << 20, 64 << 20, 256 << 20)}  # bytes of one rank's buffer
PERIOD = 1021  # of the numbers; a prime, so that no chunk of a power of two looks like the next one
LONGEST = 300  # characters of what a framework said
EMPTY = re.compile(r'Graph execution error:|Detected at node |File "')  # TensorFlow's lines before what happened


class World(NamedTuple):
    node: int
    hosts: tuple[str, ...]
    port: int

    def first(self) -> str:
        """Where the ranks meet."""
        return joined(self.hosts[0], self.port)


def joined(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def asked(text: str) -> World:
    """Of RANK@HOST,HOST,...:PORT. Raises argparse's error."""
    found = re.fullmatch(r"(\d{1,6})@([^@\s]+):(\d{1,5})", text, re.ASCII)
    hosts = tuple(found[2].split(",")) if found else ()
    if not found or not all(hosts) or int(found[1]) >= len(hosts) or not 0 < int(found[3]) < 65536:
        raise argparse.ArgumentTypeError(f"{text!r} is not RANK@HOST,HOST,...:PORT")
    return World(int(found[1]), hosts, int(found[3]))


def numbers(rank: int, count: int) -> Any:
    """What a rank adds: float32 [count]."""
    return np.resize(_period(rank).astype(np.float32), count)


def total(ranks: int) -> Any:
    """What they all come to: float32, one period of it."""
    return sum(_period(rank) for rank in range(ranks)).astype(np.float32)


def wrong(reduced: Any, expected: Any) -> int:
    """How many elements of float32 [n] have other bits than the total that goes on and on."""
    reduced, block = np.asarray(reduced).view(np.uint32), np.tile(expected, 1024).view(np.uint32)
    cuts = (reduced[start : start + len(block)] for start in range(0, len(reduced), len(block)))
    return sum(int(np.count_nonzero(cut != block[: len(cut)])) for cut in cuts)


def digest(weights: Iterable[Any]) -> str:
    """Of a rank's weights, in their order."""
    known = hashlib.sha256()
    for weight in weights:
        known.update(np.ascontiguousarray(weight, np.float32).tobytes())
    return known.hexdigest()


class Told:
    """What a node's first rank comes to know; `world.json` once written."""

    def __init__(self, options: Any, version: str, backend: str) -> None:
        self.world: World = options.world
        self.phase = "before the nodes met"  # what a refusal is said of
        self.keep: Callable[[dict[str, Any]], None] | None = None  # called at each phase, with all that is known
        self.sizes = SIZES[options.device]
        self.document: dict[str, Any] = {
            "framework_version": version, "backend": backend, "hosts": list(self.world.hosts),
            "node": self.world.node, "devices": options.devices, "refused": None, "ranks": [], "reductions": [],
            "steps": STEPS, "batch_size": BATCH, "losses": [],
        }  # fmt: skip

    def reduce(self, size: int, begin: Callable[[], None], reduce: Callable[[], Sequence[Any]], expected: Any) -> Any:
        """Add up `size` bytes, over and over: the wrong elements of each of this process's ranks, int [ranks].

        `begin` comes back when all ranks have their numbers, `reduce` when the sums are there; it gives a function for
        each rank here, that gives its sum: what they bring over to the host is not timed.
        """
        self.enter(f"in an all-reduce of {size} bytes")
        seconds, found = [], []
        for _ in range(1 + TIMES):
            begin()
            start = time.perf_counter()
            sums = reduce()
            seconds.append(time.perf_counter() - start)
            found.append([wrong(bring(), expected) for bring in sums])
        here = np.sum(found, axis=0)
        row = {"bytes": size, "times": TIMES, "seconds": statistics.median(seconds[1:]), "wrong": int(here.sum())}
        self.document["reductions"].append(row)
        return here

    def enter(self, phase: str) -> None:
        self.phase = phase
        if self.keep:
            self.keep({**self.document, "phase": phase})

    def rank(self, number: int, device: str, **found: Any) -> dict[str, Any]:
        """Of a rank of this node; `device` is GPU:0 or CPU:0. `found`: samples, wrong, weights."""
        gpu = device.startswith("GPU:")
        return {
            "rank": number, "node": self.world.node, "host": socket.gethostname(), "device": device,
            "uuid": gpu_uuid(int(device[4:])) if gpu else None, **found,
        }  # fmt: skip

    def done(self, ranks: list[dict[str, Any]], losses: Sequence[float]) -> None:
        self.document |= {"ranks": ranks, "losses": [float(loss) for loss in losses]}

    def outcome(self) -> str:
        return f"refused: {self.document['refused']}" if self.document["refused"] else "done"

    def refuse(self, error: BaseException) -> None:
        """The framework's own account goes to stderr, its first line into the report."""
        traceback.print_exception(type(error), error, error.__traceback__)
        self.document["refused"] = f"{self.phase}: {said(error)}"


def said(error: BaseException) -> str:
    return f"{type(error).__name__}: {plain(str(error))}"[:LONGEST]


def plain(text: str) -> str:
    """The first line that says something, without the addresses and the places in a source that C++ adds."""
    lines = (line.strip() for line in text.splitlines())
    told = next((line for line in lines if line and not EMPTY.match(line)), "no word")
    return re.sub(r"\[[^]]*\.cc:\d+\] *|0x[0-9a-fA-F]+|[^ -~]", "", told)[:LONGEST]


def gpu_uuid(ordinal: int) -> str | None:
    """As the driver has it, of a GPU that this process sees; None where it does not tell."""
    device, raw = ctypes.c_int(), (ctypes.c_ubyte * 16)()
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
        known = getattr(cuda, "cuDeviceGetUuid_v2", None) or cuda.cuDeviceGetUuid
        failed = cuda.cuInit(0) or cuda.cuDeviceGet(ctypes.byref(device), ordinal) or known(raw, device)
    except (OSError, AttributeError):
        return None
    return None if failed else f"GPU-{uuid.UUID(bytes=bytes(raw))}"


def _period(rank: int) -> Any:
    return (7919 * np.arange(PERIOD, dtype=np.int64) + 104729 * rank) % PERIOD
