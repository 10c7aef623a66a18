"""The one thread of the hook. Not threading's: a program that counts its threads or waits for them would find it."""

from __future__ import annotations

import _thread
import os
import time
from collections.abc import Callable
from typing import Any

Wait = Any  # a function (seconds) that waits so long, or until the thread is to end: then it returns True


class Thread:
    """Calls `turn(wait)` again and again until it is ended. Each lock is held until what it stands for has come."""

    def __init__(self, turn: Callable[[Wait], None], pause: float) -> None:
        self._turn, self._pause = turn, pause
        self._stop, self._ended = _thread.allocate_lock(), _thread.allocate_lock()
        self._stop.acquire()
        self._ended.acquire()
        self._task = ""
        _thread.start_new_thread(self._run, ())

    def end(self, seconds: float) -> bool:
        """False where it does not end within so many seconds."""
        if self._stop.locked():
            self._stop.release()
        if not self._ended.acquire(timeout=seconds):
            return False
        self._ended.release()
        for _ in range(100):  # until the kernel has done with it too: Python 3.12 and newer warn of a fork beside it
            if not os.path.exists(self._task):
                break
            time.sleep(0.0005)
        return True

    def _run(self) -> None:
        self._task = f"/proc/self/task/{_thread.get_native_id()}"
        try:
            while not self._wait(self._pause):
                self._turn(self._wait)
        finally:
            self._ended.release()

    def _wait(self, seconds: float) -> bool:
        if not self._stop.acquire(timeout=seconds):
            return False
        self._stop.release()  # the next to ask gets the same answer
        return True
