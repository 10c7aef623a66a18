"""A profiler's window over a few warm steps of a training's first epoch, by the framework's observer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import report

LENGTH = 10  # steps


class Window:
    """Call at() when an epoch begins and after each step or group of steps, and end() when the epoch is over.

    `wait` returns when the device has finished the steps that it was given. `profile` is in the end what the
    training's report says of the window: None where there was none.
    """

    def __init__(self, observer: Any, options: Any, follow: report.Follow) -> None:
        self.profile: dict[str, Any] | None = None
        self.cold = min(report.COLD_STEPS, follow.steps // 2)
        self._observer, self._options, self._follow = observer, options, follow
        self._handle: Any = None
        self._since = 0

    def at(self, done: int, wait: Callable[[], Any] = lambda: None) -> None:
        """`done` steps of the epoch were given to the device."""
        if self._handle is not None:
            if done >= self._since + LENGTH:
                self.end(done, wait)
        elif self.profile is None and self._options.profile and self.cold <= done < self._follow.steps:
            wait()
            self._handle = self._observer.start(self._options.out, self._options.stem, placement=False)
            self._since = done

    def end(self, done: int, wait: Callable[[], Any] = lambda: None) -> None:
        if self._handle is None:
            return
        wait()
        told = self._observer.stop(self._handle)
        self._handle = None
        self.profile = {
            "source": told["source"], "file": told["kernels"], "seconds": round(told["seconds"], 4),
            "steps": done - self._since, "blind": told["blind"], "error": told["error"],
        }  # fmt: skip
        if done < self._follow.steps:
            self._follow.warm()
