"""What a node's hooks remember from one run to the next: how often in a row it failed, and what was done for it.

A file for each hook's purpose, read and written under a lock, replaced as a whole. One that is torn counts as none.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from gpucheck import codec
from gpucheck.hooks.look import Sight
from gpucheck.model import Failure

FOLDER = Path("/var/lib/gpucheck/hooks")
LARGEST = 1 << 16
WAIT = 5.0  # seconds for another run to be done: it looks for at most a few itself
STEP = 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    failures: int = 0  # in a row
    clean: int = 0  # in a row, and only those of the periodic run
    reason: str | None = None  # what the node is out of service for, in our words; None where it is not, by us
    expects: bool | None = None  # whether this node should have a GPU, where that is known
    gpus: int = 0  # on the bus when it was well, or when it failed: with fewer it is not mended
    lost: bool = False  # there may have been a reason before this, and Slurm has not been asked for it yet


def counted(memory: Memory, sight: Sight, *, enough: int, periodic: bool) -> Memory:
    """An unknown changes nothing: it is neither a failure nor clean."""
    if sight.failed is None:
        return memory
    most = max(memory.gpus, sight.gpus)
    if sight.failed:
        return replace(memory, failures=max(memory.failures + 1, enough if sight.fatal else 0), clean=0, gpus=most)
    if memory.reason and sight.gpus < most:
        return replace(memory, failures=0, clean=0)
    gpus = most if memory.reason else sight.gpus
    return replace(memory, failures=0, clean=memory.clean + int(periodic), gpus=gpus)


def read(file: Path) -> tuple[Memory, str | None]:
    """What is remembered, and a sentence where that was lost. Raises Failure."""
    try:
        with file.open("rb") as opened:
            data = opened.read(LARGEST)
    except FileNotFoundError:
        return Memory(lost=True), None
    except OSError as error:
        raise _unusable(file, error) from error
    try:
        found = codec.load(Memory, json.loads(data))
        if min(found.failures, found.clean, found.gpus) < 0:
            raise ValueError("it counts below 0")
    except (ValueError, RecursionError):
        return Memory(lost=True), f"{file} is not whole, so nothing is remembered"
    return found, None


def write(file: Path, memory: Memory) -> None:
    """Raises Failure."""
    partial = file.with_suffix(".partial")
    try:
        with partial.open("w") as opened:
            opened.write(json.dumps(codec.dump(memory)) + "\n")
            opened.flush()
            os.fsync(opened.fileno())
        partial.replace(file)
    except OSError as error:
        raise _unusable(file, error) from error


@contextmanager
def held(file: Path) -> Iterator[None]:
    """Nobody else decides meanwhile. Raises Failure where another run does not let go, or nothing may be written."""
    end = time.monotonic() + WAIT
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        lock = file.with_suffix(".lock").open("w")
    except OSError as error:
        raise _unusable(file, error) from error
    with lock:  # closing it lets go, also where the process is killed
        while True:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as busy:
                if time.monotonic() > end:
                    raise Failure(
                        f"another run of gpucheck has {file} since more than {WAIT:g} s; nothing was decided",
                        "the next run decides", exit_code=3,
                    ) from busy  # fmt: skip
                time.sleep(STEP)
        yield


def _unusable(file: Path, error: OSError) -> Failure:
    return Failure(
        f"{file} cannot be used: {error.strerror}; nothing was decided", "root may, or another --state", exit_code=3
    )
