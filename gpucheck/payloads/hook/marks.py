"""What of the command's output is there because of us, for whoever passes that output on: told by empty files.

A program that switches TensorFlow's placement log on by itself, or profiles itself, wants to see what is written then:
from there on those lines are its own output.
"""

from __future__ import annotations

import ctypes
import os
from functools import wraps
from typing import Any

from . import process

SWITCHED_ON = "switched-on"  # logs and profilers, by us
LINE_BUFFERED = 1  # stdio.h: _IOLBF, in glibc and in musl
BUFFER = 8192  # bytes
PLACEMENT_WANTED, PROFILER_WANTED = "placement-is-wanted", "profiler-is-wanted"  # by the program
LOG_STAYS_OFF = "placement-log-stays-off"  # TensorFlow's, for nobody takes its lines out of the output


def mark(name: str, folder: str | None = None) -> None:
    os.close(os.open(os.path.join(folder or process.place["folder"], name), os.O_CREAT | os.O_WRONLY, 0o644))


def log_stays_off() -> bool:
    return os.path.exists(os.path.join(process.place["folder"], LOG_STAYS_OFF))


def heed(tf: Any) -> None:
    """Call it when the log has been switched on for us. Who switches off what he has not switched on would see no
    difference, so it stays on."""
    whole_lines()
    switch = tf.debugging.set_log_device_placement
    wanted = [False]

    @wraps(switch)
    def switched(enabled: Any) -> Any:
        if enabled and not wanted[0]:
            wanted[0] = True
            with process.charged("the program's own placement log"):
                mark(PLACEMENT_WANTED)
        return switch(enabled) if wanted[0] else None

    tf.debugging.set_log_device_placement = switched


def whole_lines() -> None:
    """The placer prints through C's stdout, which into a pipe goes in blocks that end in the middle of a line: what
    Python prints meanwhile would stand between its halves. A line at a time, then, as on a terminal.

    The buffer is ours, and is never freed: where Python is unbuffered, C's has room for a single byte.
    """
    libc = ctypes.CDLL(None)
    stdout = ctypes.c_void_p.in_dll(libc, "stdout")
    libc.fflush(stdout)
    libc.malloc.restype = ctypes.c_void_p
    libc.setvbuf(stdout, ctypes.c_void_p(libc.malloc(BUFFER)), LINE_BUFFERED, ctypes.c_size_t(BUFFER))
