"""Short windows in which the frameworks' observers look, so that little of the run's time goes into them.

The first opens as soon as a framework is at work and lasts a second. The later ones are shorter; each waits at least
twice as long as the one before, and until all of them but the first are no more than SHARE of the run. A window that
saw nothing cost next to nothing: it is tried again at once, and then less and less often.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any

from . import marks, process
from .thread import Thread, Wait

POLL = 0.05  # seconds
FIRST, LATER = 1.0, 0.3  # how long a window is open
SHARE = 0.03
AGAIN, LONGER = 0.1, 1.3  # seconds to the next after a window that saw nothing, and how much longer each time
LAST_WAIT = 30.0  # seconds that a fork or the end of the program waits for a window to close
NOTHING = 2048  # bytes of a packed trace without an event in it


class Observed:
    """One framework's observer, and when it looks next."""

    def __init__(self, observer: Any, at_work: Callable[[str], None]) -> None:
        self.observer, self.at_work = observer, at_work
        self.name = str(observer.FRAMEWORK)
        self.fresh()

    def fresh(self) -> None:
        self.ready = self.seen = False  # seen: something, in one of its windows
        self.windows = 0
        self.next, self.cost = 0.0, 0.0
        self.gap, self.again = FIRST, AGAIN  # to wait after a window that saw something, and after one that did not


class Windows:
    def __init__(self) -> None:
        self.observers: list[Observed] = []
        self.thread: Thread | None = None
        self.closed = False
        self.busy = False  # an observer is starting or ending its own profiler
        self.spent = 0.0  # seconds in windows but for each observer's first
        self.began = time.monotonic()

    def begin(self) -> None:
        """Anew, in a process that was observed before."""
        self.observers.clear()
        self.closed = self.busy = False
        self.spent, self.began = 0.0, time.monotonic()

    def observe(self, observer: Any, at_work: Callable[[str], None]) -> None:
        """`at_work` is called with the framework's name, in our thread, once it is ready to be observed."""
        self.observers.append(Observed(observer, at_work))
        self.resume()

    def resume(self) -> None:
        if self.observers and not self.thread and not self.closed:
            self.thread = Thread(self.turn, POLL)

    def pause(self) -> None:
        """When this returns there is no thread of ours and no open window, but where one hangs."""
        if self.thread and self.thread.end(LAST_WAIT):
            self.thread = None
        elif self.thread:
            self.closed = True
            process.problem(f"a window did not close within {LAST_WAIT:g} s")

    def give_way(self) -> None:
        """The program starts a profiler of its own, and there can be but one."""
        if not self.closed and not self.busy:
            with process.charged("giving way"):
                self.pause()
                self.closed = True
                marks.mark(marks.PROFILER_WANTED)
                process.problem("the program started a profiler of its own: no windows from there on")

    def close(self) -> None:
        """For good, with each observer's last word."""
        with process.charged("the last window"):
            self.pause()
            self.closed = True
        for observed in self.observers:
            with process.charged(f"{observed.name} at the end"):
                process.add_devices(observed.observer.devices())
                told = observed.observer.final(process.place["folder"], process.place["stem"])
                if told:
                    process.told["final"].append({**told, "framework": observed.name})

    def after_fork(self) -> None:
        """In the child: what was started before the fork is dead here, and to touch it could hang."""
        for observed in tuple(self.observers):
            if _was_started(observed):
                self.observers.remove(observed)
                process.problem(f"forked after {observed.name} had been started: what it did here was not observed")
            observed.fresh()
        self.thread, self.busy, self.spent, self.began = None, False, 0.0, time.monotonic()
        self.closed = _becomes_a_loader()
        self.resume()

    def devices(self, name: str) -> list[str]:
        return [device for each in self.observers if each.name == name for device in each.observer.devices()]

    def turn(self, wait: Wait) -> None:
        for observed in tuple(self.observers):
            if self._is_due(observed) and not _is_a_loader():
                self._look(observed, wait)

    def _is_due(self, observed: Observed) -> bool:
        if not observed.ready:
            try:
                observed.ready = bool(observed.observer.ready())
            except Exception as error:  # noqa: BLE001 - asked twenty times a second, so not by process.charged()
                process.problem(f"{observed.name}: {type(error).__name__}: {error}")
            if observed.ready:
                observed.at_work(observed.name)
        now = time.monotonic()
        if not observed.ready or now < observed.next:
            return False
        return not observed.seen or self.spent + observed.cost <= SHARE * (now - self.began)

    def _look(self, observed: Observed, wait: Wait) -> None:
        observed.windows += 1
        began, cpu = time.monotonic(), time.thread_time()
        told, took = _window(self, observed, wait)
        saw = told is not None and _saw(told)
        # Without anything in the window the program was not held up: it may be the observer that waited for it.
        process.told["overhead_seconds"] += took if saw else time.thread_time() - cpu
        if told is not None and (saw or told["error"] or told["blind"]):
            process.told["windows"].append({**told, "framework": observed.name})
            with process.charged("what this process tells"):
                process.write()
        now = time.monotonic()
        observed.cost = LATER + took  # of the next, as far as that can be known
        if observed.seen:
            self.spent += now - began
        if saw:
            observed.gap *= 2
        else:
            observed.again *= LONGER
        observed.seen |= saw
        observed.next = now + (observed.gap if saw else observed.again)


WINDOWS = Windows()


def _window(windows: Windows, observed: Observed, wait: Wait) -> tuple[dict[str, Any] | None, float]:
    """What the observer tells, and the seconds that its start and its end took."""
    folder, stem = process.place["folder"], f"{process.place['stem']}.{observed.name}-{observed.windows}"
    handle, told = None, None
    began, windows.busy = time.monotonic(), True
    with process.guarded(f"a window of {observed.name}"):
        handle = observed.observer.start(folder, stem)
    took, windows.busy = time.monotonic() - began, False
    if handle is not None:
        wait(LATER if observed.seen else FIRST)
        began, windows.busy = time.monotonic(), True
        with process.guarded(f"a window of {observed.name}"):
            told = observed.observer.stop(handle)
            process.add_devices(observed.observer.devices())
        took, windows.busy = took + time.monotonic() - began, False
    return told, took


def _saw(told: dict[str, Any]) -> bool:
    """Whether anything is in its files; those of a window without an event are taken away again."""
    paths = [os.path.join(process.place["folder"], told[kind]) for kind in ("kernels", "placement") if told[kind]]
    if max(map(os.path.getsize, paths), default=0) > NOTHING:
        return True
    for path in paths:
        os.unlink(path)
    return False


def _was_started(observed: Observed) -> bool:
    torch = sys.modules.get("torch")
    if observed.name == "torch" and torch is not None:  # its work on the CPU goes on in a fork
        return bool(torch.cuda.is_initialized())
    return observed.ready


def _becomes_a_loader() -> bool:
    """In the fork itself, where the worker does not yet know what it is, and a window could open before it does."""
    frame = sys._getframe()
    while frame.f_back and frame.f_code.co_name != "_launch":  # multiprocessing.popen_fork
        frame = frame.f_back
    target = getattr(frame.f_locals.get("process_obj"), "_target", None)
    return getattr(target, "__module__", None) == "torch.utils.data._utils.worker"


def _is_a_loader() -> bool:
    """A worker of PyTorch's DataLoader: there may be dozens, new ones each epoch, and they only prepare data."""
    data = sys.modules.get("torch.utils.data")
    return data is not None and data.get_worker_info() is not None
