"""A forked child shares nothing with its parent's windows, and a fork finds no thread of ours holding a lock."""

from __future__ import annotations

import atexit
import gc
import os
import sys
import time
from collections.abc import Callable
from typing import Any

from . import process
from .windows import WINDOWS

LAST = -1000  # a priority of multiprocessing's finalizers
_known: list[Callable[[], None]] = []
_watched: list[Callable[[], None]] = []
_finalizers: list[Any] = []


def watch(finish: Callable[[], None]) -> None:
    """Its forks inherit it. It cannot be taken back, so it is done once in a process, and idle between sessions."""
    if _watched:
        return
    _watched.append(finish)

    def before() -> None:
        if not process.told:
            return
        with process.charged("a fork"):
            if _resume in gc.callbacks:
                gc.callbacks.remove(_resume)
            WINDOWS.pause()
            _tell_multiprocessing(finish)

    os.register_at_fork(before=before, after_in_parent=_in_parent, after_in_child=_in_child)


def at_the_end(finish: Callable[[], None]) -> None:
    """A child of multiprocessing ends by os._exit: without atexit, but not without multiprocessing's own finalizers."""
    atexit.register(finish)
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        _finalizers.append(util.Finalize(None, finish, exitpriority=LAST))
    _tell_multiprocessing(finish)


def forget() -> None:
    """What at_the_end() and a fork have left in this process."""
    while _finalizers:
        _finalizers.pop().cancel()
    if _resume in gc.callbacks:
        gc.callbacks.remove(_resume)


def _tell_multiprocessing(finish: Callable[[], None]) -> None:
    """A child that begins forgets the finalizers that are there, and then calls what is registered for that moment."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None and not _known:
        _known.append(finish)
        util.register_after_fork(finish, lambda end: util.Finalize(None, end, exitpriority=LAST))


def _in_parent() -> None:
    if not process.told:
        return
    with process.charged("a fork"):
        if sys.version_info < (3, 12):
            WINDOWS.resume()
        else:  # it counts the threads when this is over, and warns of a fork beside another: a little later, then
            gc.callbacks.append(_resume)


def _resume(_phase: str, _info: Any) -> None:
    with process.charged("a fork"):
        gc.callbacks.remove(_resume)
        WINDOWS.resume()


def _in_child() -> None:
    if not process.told:
        return
    inherited = ("frameworks", "brought_by", "gpu_builds", "variables", "registry")
    kept: dict[str, Any] = {name: process.told[name] for name in inherited}
    process.begin(process.place["folder"], time.time())
    process.told.update(kept)
    with process.charged("a fork"):
        WINDOWS.after_fork()
        process.write()
