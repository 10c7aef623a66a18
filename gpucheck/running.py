"""What a run in a container may use, and what is known of it when it has ended; the same on every engine."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass

LAST_LINES = 12
SHARED_MEMORY = 2**30  # bytes of /dev/shm: Docker's 64 MiB are too few for data loaders and NCCL
PROCESSES = 4096
MEMORY_SHARE = 0.9  # of the engine's machine: the run is killed before the machine is


@dataclass(frozen=True, kw_only=True, slots=True)
class Ran:
    exit_code: int  # 128 + the signal where one ended it
    image_id: str
    recipe: str | None  # the image's own label
    seconds: float
    oom_killed: bool
    last_lines: tuple[str, ...]


@contextmanager
def deadline(seconds: float | None, kill: Callable[[], object]) -> Iterator[threading.Event]:
    """Kill the container after so many seconds, which ends its output; the event tells that it was so."""
    passed = threading.Event()

    def end() -> None:
        passed.set()
        with suppress(Exception):  # it may have ended, or the engine: the main thread finds out
            kill()

    timer = threading.Timer(min(seconds or math.inf, threading.TIMEOUT_MAX), end)
    timer.daemon = True
    if seconds:
        timer.start()
    try:
        yield passed
    finally:
        timer.cancel()
