"""When the program starts a profiler of its own, ours is in its way: an open window closes, and no more open."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from .windows import WINDOWS

# Where each framework's Python starts a profiler: (module, the name in it that the call goes by).
STARTS = {
    "torch": (
        ("torch.autograd.profiler", "_prepare_profiler"), ("torch.autograd.profiler", "_enable_profiler"),
        ("torch.profiler.profiler", "_add_execution_trace_observer"),
    ),
    "jax": (("jax._src.profiler", "start_trace"), ("jax.profiler", "start_trace")),
    "tensorflow": (("tensorflow.python.profiler.profiler_v2", "_pywrap_profiler"),),
}  # fmt: skip
_before: list[tuple[Any, str, Any]] = []


def give_way(name: str) -> None:
    for place, function in STARTS[name]:
        module = sys.modules.get(place)
        start = getattr(module, function, None)
        if start is not None:
            setattr(module, function, _after_ours(start) if callable(start) else _Sessions(start))
            _before.append((module, function, start))


def restore() -> None:
    while _before:
        setattr(*_before.pop())


class _Sessions:
    """TensorFlow's own extension module but for the class whose objects are profiling sessions."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self.ProfilerSession = _after_ours(module.ProfilerSession)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._module, name)


def _after_ours(start: Callable[..., Any]) -> Callable[..., Any]:
    def started(*arguments: Any, **named: Any) -> Any:
        WINDOWS.give_way()
        return start(*arguments, **named)

    started.__name__ = getattr(start, "__name__", "started")
    started.__doc__ = start.__doc__
    return started
