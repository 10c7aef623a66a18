"""What this process tells: p<pid>.json, written early and again at the end, so that a killed process leaves a trace."""

from __future__ import annotations

import _thread
import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

WORDS, LONGEST = 8, 200  # of the command line
MOST_PROBLEMS = 20
told: dict[str, Any] = {}
# The folder, and what the files of this process are called: p1234, or p1234-2 where an earlier process had the same
# number, before an exec or because the numbers came round again.
place = {"folder": "", "stem": ""}
writing = [_thread.allocate_lock()]


def begin(folder: str, started: float) -> None:
    """A process that has told nothing yet."""
    stem, number = f"p{os.getpid()}", 1
    while os.path.exists(os.path.join(folder, f"{stem}.json")):
        number += 1
        stem = f"p{os.getpid()}-{number}"
    place.update(folder=folder, stem=stem)
    writing[0] = _thread.allocate_lock()  # after a fork another thread may have held the old one
    told.clear()
    argv = getattr(sys, "orig_argv", sys.argv)  # the former since Python 3.10
    told.update(
        pid=os.getpid(), ppid=os.getppid(), argv=[word[:LONGEST] for word in argv[:WORDS]], frameworks={},
        brought_by={}, gpu_builds={}, at_work=[], devices=[], variables={}, windows=[], final=[], ops=[], registry=None,
        libraries=None, overhead_seconds=0.0, started=started, ended=False, problems=[],
    )  # fmt: skip


def write() -> None:
    """Whole or not at all."""
    path = os.path.join(place["folder"], f"{place['stem']}.json")
    with writing[0], open(f"{path}.part", "w", encoding="utf-8", errors="replace") as file:
        json.dump(told, file)
        os.replace(file.name, path)


def problem(text: str) -> None:
    if text not in told["problems"] and len(told["problems"]) < MOST_PROBLEMS:
        told["problems"].append(text[:LONGEST])


def add_devices(names: list[str]) -> None:
    told["devices"] += [name for name in names if name not in told["devices"]]


@contextmanager
def charged(doing: str) -> Iterator[None]:
    """The block's time is overhead, and its errors are ours."""
    began = time.perf_counter()
    try:
        with guarded(doing):
            yield
    finally:
        told["overhead_seconds"] += time.perf_counter() - began


@contextmanager
def guarded(doing: str) -> Iterator[None]:
    """What goes wrong in the block is a problem of ours, and of nobody else's."""
    try:
        yield
    except Exception as error:  # noqa: BLE001 - whatever it is, the observed program must go on
        problem(f"{doing}: {type(error).__name__}: {error}")
