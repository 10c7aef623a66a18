"""The device code in a library, read as a stream: fat binaries, as nvcc and clang lay them, each entry with its GPU.

A fat binary: 0xBA55ED50, version 1, bytes of this header, bytes of the entries. An entry: its kind (1 is PTX, 2 is a
cubin), bytes of its header, bytes of code, and at byte 28 the compute capability without its dot.
Source: the fat binaries in the wheels of JAX and XGBoost; JAX's read so are what its .bazelrc builds.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import IO

MAGIC = struct.pack("<IHH", 0xBA55ED50, 1, 16)
CHUNK = 1 << 20
KEPT = 1 << 12  # bytes of a chunk looked at again with the next one
MADE_BY = re.compile(
    rb"tools, release (\d+\.\d+), V"
)  # what nvcc notes of itself; readable where nothing is compressed


@dataclass(slots=True)
class DeviceCode:
    """Compute capabilities without their dots, and the CUDA releases that made the code."""

    sass: set[int] = field(default_factory=set)
    ptx: set[int] = field(default_factory=set)
    made_by: set[str] = field(default_factory=set)

    def add(self, library: IO[bytes]) -> None:
        held = b""
        while chunk := library.read(CHUNK):
            held += chunk
            at = 0
            while 0 <= (at := held.find(MAGIC, at)) <= len(held) - 16:
                (size,) = struct.unpack_from("<Q", held, at + 8)
                end = at + 16 + size
                while len(held) < end and (chunk := library.read(CHUNK)):
                    held += chunk
                self._add_entries(held[at + 16 : end])
                at += 16
            self.made_by.update(found.decode() for found in MADE_BY.findall(held))
            held = held[at:] if at >= 0 else held[-KEPT:]

    def _add_entries(self, data: bytes) -> None:
        at = 0
        while at + 32 <= len(data):
            kind, _, header, size = struct.unpack_from("<HHIQ", data, at)
            (capability,) = struct.unpack_from("<I", data, at + 28)
            if kind in (1, 2):
                (self.ptx if kind == 1 else self.sass).add(capability)
            at += max(header + size, 32)


def search(library: IO[bytes], pattern: re.Pattern[bytes]) -> bytes | None:
    """The first match of at most KEPT bytes; what comes after it is not read."""
    held = b""
    while chunk := library.read(CHUNK):
        held = held[-KEPT:] + chunk
        if match := pattern.search(held):
            return match[0]
    return None


def capabilities(numbers: Iterable[int]) -> tuple[str, ...]:
    """75 is "7.5", 120 is "12.0"."""
    return tuple(f"{number // 10}.{number % 10}" for number in sorted(set(numbers)))
