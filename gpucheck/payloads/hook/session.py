"""The hook for a while, in a process that is at work already: a notebook's kernel, or a program's own block.

What is patched is put back at the end. What cannot be put back is not done: TensorFlow's placement log stays on in a
context that was made with it, and would fill every later cell.
"""

from __future__ import annotations

import atexit
import os
import sys
import time

from . import boosters, forks, frameworks, imports, marks, process, profilers
from .windows import WINDOWS

OPENING = 5.0  # seconds that the work waits for the first window, where a framework is at work already


def begin(folder: str) -> bool:
    """False where this process cannot be observed; why is written down. Else end() must follow."""
    why = ""
    if imports.FINDER in sys.meta_path:
        why = "another gpucheck observes this process already"
    elif WINDOWS.thread:
        why = "a window of the time before has not closed"
    with open(os.path.join(folder, "hooked"), "ab", 0) as file:
        file.write(f"{os.getpid()}\t{why}\n".encode())
    if why:
        return False
    marks.mark(marks.LOG_STAYS_OFF, folder)
    WINDOWS.begin()
    imports.FINDER.problems = []
    imports.FINDER.watch(folder, time.time(), time.perf_counter())
    try:
        for name in [name for name in sys.modules if name in imports.WATCHED]:
            frameworks.imported(name, folder, imports.FINDER.started)
            if name == "jax" and frameworks.at_work_already(name):
                process.problem("jax: the programs that it had compiled before are not told of")
        _wait_for_the_first()
    except BaseException:
        end()
        raise
    return True


def end() -> None:
    """Also of what was only half begun."""
    try:
        if process.told:
            frameworks.finish()
    finally:
        imports.FINDER.unwatch()
        WINDOWS.observers.clear()
        profilers.restore()
        boosters.restore()
        forks.forget()
        atexit.unregister(frameworks.finish)
        process.told.clear()


def _wait_for_the_first() -> None:
    """A cell may be over in a moment: where a framework is at work already, someone looks before it begins."""
    waiting = [observed for observed in WINDOWS.observers if frameworks.at_work_already(observed.name)]
    end = time.monotonic() + OPENING
    while waiting and time.monotonic() < end and (WINDOWS.busy or not any(each.windows for each in waiting)):
        time.sleep(0.005)  # short, and in Python: the window may open in this thread
