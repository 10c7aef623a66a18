"""Which lines of a followed command's output are there because of us, and the output without them, byte for byte.

Those are TensorFlow's placement lines, which are kept, and what the profilers say of themselves. Each is taken out from
its prefix or its first word on, so that a progress bar which it came behind stays whole. A line longer than LONGEST is
not looked at.
"""

from __future__ import annotations

import re
from collections.abc import Callable

LONGEST = 65536  # bytes

_PREFIX = (
    rb"(?:[IWEF]\d{4} [\d:.]{1,24} +\d{1,12} [\w./-]{0,200}?|\d{4}-\d\d-\d\d [\d:.]{1,24}: [IWEF] [\w./-]{0,200}?)"
)
_AT = rb"\.cc:\d{1,6}\] "
_LONGEST_PREFIX = 300
_ENDS_IN_PREFIX = re.compile(_PREFIX + rb"(?<=[ /])\w{1,60}" + _AT + rb"\Z")
# Behind a node's name, or by itself: an op and its device, up to the end of the line.
_OP = re.compile(
    rb"(?:: \([\w>]{1,200}\):|Executing op \S{1,400} in device) /job:\w+/replica:\d+/task:\d+/device:\w+:\d+\s*\Z"
)
_LONGEST_OP = 700
_NODE = bytes(sorted({*b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./>\\-"}))
# What a progress bar may end in when a node's name follows without a space: a colour, "2.3e-05", "12ms/step".
_BAR_END = re.compile(rb"(?:(?<=\[)[\d;]*[A-Za-z])?(?:\d[\d.]*(?:e[+-]?\d+)?(?:%|[mun]?s/(?:step|epoch|it))?)?")
# XLA's and TensorFlow's profiler sessions; Kineto's own log, which is PyTorch's.
_PROFILER = re.compile(
    _PREFIX + rb"(?<=[ /])(?:profiler_session|save_profile|cupti_\w{1,40})" + _AT
    + rb"|(?:USDT|STAGE|INFO|WARNING|ERROR):\d{4}-\d\d-\d\d [\d:]{8} \d+:\d+ \w{1,60}\.cpp:\d+\] "
    rb"|ERROR: External init callback must run in same thread"
)  # fmt: skip
_MARKS = (b"/job:", b".cc:", b".cpp:", b"External init callback")  # one of them is in each line that is taken out


def placed(line: bytes) -> tuple[int, bool] | None:
    """Where a placement line begins in this one, and whether with a prefix. Linear in the line's length."""
    found = _OP.search(line, max(0, line.rfind(b" /job:") - _LONGEST_OP))
    if found is None:
        return None
    if line.count(b"/job:") > 1:  # two threads' lines in one
        return 0, True
    start = found.start()
    if line.startswith(b":", start):
        start = len(line[:start].rstrip(_NODE))
        if start == found.start():
            return None
    if prefix := _ENDS_IN_PREFIX.search(line[:start], max(0, start - _LONGEST_PREFIX)):
        return prefix.start(), True
    if start and line.startswith(b":", found.start()) and (bar := _BAR_END.match(line, start)):
        start = min(bar.end(), found.start() - 1)
    return start, False


class Filter:
    """Takes lines out of one stream. `placement` and `profiler` say, when such a line comes, whether it is ours to
    take; `keep` gets every line that names a device, taken or not, with whether it has a prefix.
    """

    def __init__(
        self, keep: Callable[[bytes, bool], None], placement: Callable[[], bool], profiler: Callable[[], bool]
    ) -> None:
        self._keep, self._placement, self._profiler = keep, placement, profiler
        self._rest = b""  # the beginning of a line
        self._empty_line_too = False
        self.waiting = False

    def feed(self, data: bytes) -> bytes:
        """What may pass now."""
        data = self._rest + data
        end = data.rfind(b"\n") + 1
        if len(data) - end > LONGEST:
            end = len(data)
        self._rest = data[end:]
        self.waiting = bool(self._rest)
        whole = data[:end]
        if not self._empty_line_too and not any(mark in whole for mark in _MARKS):
            return whole
        return b"".join(map(self._line, _lines(whole)))

    def flush(self) -> bytes:
        """What waited, after SILENCE or at the end."""
        rest, self._rest, self.waiting = self._rest, b"", False
        return self._line(rest)

    def _line(self, line: bytes) -> bytes:
        empty, self._empty_line_too = self._empty_line_too and line == b"\n", False
        if empty:
            return b""
        if len(line) > LONGEST or not any(mark in line for mark in _MARKS):
            return line
        if place := placed(line):
            self._keep(line[place[0] :], place[1])
            return line[: place[0]] if self._placement() else line
        if b"/job:" in line:
            self._keep(line, True)  # if it should have been one, that must be known
        if (found := _PROFILER.search(line)) and self._profiler():
            self._empty_line_too = b"Creating directory: " in line  # its message ends in a newline of its own
            return line[: found.start()]
        return line


def _lines(text: bytes) -> list[bytes]:
    """bytes.splitlines() also parts at a carriage return, which a progress bar writes."""
    parts = text.split(b"\n")
    return [part + b"\n" for part in parts[:-1]] + parts[-1:]
