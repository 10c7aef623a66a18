"""A followed command's output on its way to ours. The beginning of a line waits for its end, at most SILENCE long."""

from __future__ import annotations

import os
import selectors
import time
from collections.abc import Callable, Sequence
from select import select

from gpucheck.sieve import Filter

SILENCE = 0.05  # seconds
DRAIN = 0.1  # seconds for what a terminal has not passed on yet
CHUNK = 1 << 18  # bytes at a time
HEAD, LAST = 1 << 20, 4096  # bytes of the beginning and of the end of an output that are kept
TICK = 0.5  # seconds


class Stream:
    """From one descriptor to another through a filter. The first HEAD bytes that passed are in `head`."""

    def __init__(self, source: int, target: int, filter: Filter, passed: Callable[[bytes], None]) -> None:
        self.source, self._target, self._filter, self._passed = source, target, filter, passed
        self.head = bytearray()
        self.bytes = 0
        self._last = 0.0

    def read(self) -> bool:
        """False at the end; also where nobody takes the output any more, so that the command is told by its own."""
        try:
            data = os.read(self.source, CHUNK)
        except OSError:  # of a terminal whose other side is closed
            data = b""
        self._last = time.monotonic()
        return bool(data) and self._pass(self._filter.feed(data))

    def flush_after(self, silence: float) -> bool:
        """False where nobody takes the output any more."""
        if not self._filter.waiting or time.monotonic() - self._last < silence:
            return True
        return self._pass(self._filter.flush())

    @property
    def waiting(self) -> bool:
        return self._filter.waiting

    def _pass(self, data: bytes) -> bool:
        self.bytes += len(data)
        if len(self.head) < HEAD:
            self.head += data[: HEAD - len(self.head)]
        self._passed(data)
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._target, view) :]
            except BlockingIOError:  # somebody made it so, and it is shared with us
                select([], [self._target], [])
            except OSError:  # a closed pipe, a full disk: the command hears of it as it would have
                return False
        return True


def copy(streams: Sequence[Stream], status: int, said: Callable[[bytes], None], tick: Callable[[], None]) -> None:
    """Until `status` is at its end, and what the streams hold by then is passed on; closes the streams' sources.

    `said` gets what comes on `status`; `tick` is called about every TICK seconds.
    """
    with selectors.DefaultSelector() as selector:
        selector.register(status, selectors.EVENT_READ)
        for stream in streams:
            selector.register(stream.source, selectors.EVENT_READ, stream)
        try:
            _copy(selector, status, said, tick)
        finally:
            for stream in _open(selector):
                _close(selector, stream)


def _copy(
    selector: selectors.BaseSelector, status: int, said: Callable[[bytes], None], tick: Callable[[], None]
) -> None:
    ticked, over = time.monotonic(), False
    while selector.get_map():
        waiting = any(stream.waiting for stream in _open(selector))
        ready = selector.select(DRAIN if over else SILENCE if waiting else TICK)
        for key, _ in ready:
            if key.data is None:
                news = os.read(status, CHUNK)
                said(news)
                if not news:
                    over = True
                    selector.unregister(status)
            elif not key.data.read():
                _close(selector, key.data)
        for stream in _open(selector):
            if not stream.flush_after(SILENCE):
                _close(selector, stream)
        if over and not ready:
            return
        if time.monotonic() - ticked > TICK:
            ticked = time.monotonic()
            tick()


def _open(selector: selectors.BaseSelector) -> list[Stream]:
    return [key.data for key in selector.get_map().values() if key.data]


def _close(selector: selectors.BaseSelector, stream: Stream) -> None:
    stream.flush_after(0)
    selector.unregister(stream.source)
    os.close(stream.source)
