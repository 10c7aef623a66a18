"""Runs a command as if it had been run without us, and passes its output on: supervisor.py is its parent.

Where our own stdout or stderr is a terminal the command gets a terminal too, so that progress bars look as ever; the
keyboard stays its own. Signals that come to us go on to the command.
"""

from __future__ import annotations

import fcntl
import json
import os
import pty
import signal
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from gpucheck import streams, supervisor
from gpucheck.sieve import Filter
from gpucheck.streams import Stream

SUPERVISOR = str(Path(__file__).with_name("supervisor.py"))
PIPE = 1 << 20  # bytes that the kernel may hold: fewer switches between the command and us
LINES = 8
HASTE = 3.0  # seconds after the command's end before we say what we still wait for


class CannotStart(Exception):
    """`args` are the number of the error and its words."""


@dataclass(kw_only=True, slots=True)
class Ended:
    exit_code: int | None = None  # None of both: the supervisor was killed, and nobody knows
    signal: int | None = None
    seconds: float = 0.0
    timed_out: bool = False
    last_lines: list[str] = field(default_factory=list)
    heads: dict[str, bytes] = field(default_factory=dict)  # the beginning of "out" and of "err"


def follow(
    command: Sequence[str], environment: Mapping[str, str], new_filter: Callable[[], Filter], *,
    deadline: float | None, started: Callable[[int], None], notice: Callable[[str], None],
) -> Ended:  # fmt: skip
    """Until no descendant of the command is left. `started` gets the supervisor's pid. Raises CannotStart."""
    ended, last, news = Ended(), bytearray(), bytearray()

    def passed(data: bytes) -> None:
        last[:] = (last + data[-streams.LAST :])[-streams.LAST :]

    ends = _ends()
    status, status_end = os.pipe()
    began = time.monotonic()
    os.set_inheritable(status_end, True)
    outputs = [Stream(source, target, new_filter(), passed) for source, _, target in ends]
    sys.stdout.flush()
    sys.stderr.flush()
    argv = [sys.executable, "-I", "-S", SUPERVISOR, str(status_end), str(deadline or 0), *command]
    child = subprocess.Popen(  # close_fds=False: what was left open for the command stays so
        argv, stdout=ends[0][1], stderr=ends[-1][1], env=dict(environment), start_new_session=True, close_fds=False
    )
    for descriptor in {status_end, *(end for _, end, _ in ends)}:
        os.close(descriptor)
    try:
        with _passing_on(child.pid, ends):
            started(child.pid)
            waiting = _Waiting(child.pid, notice)

            def said(data: bytes) -> None:
                news.extend(data)
                while b"\n" in news:
                    line, _, rest = bytes(news).partition(b"\n")
                    news[:] = rest
                    _hear(json.loads(line), ended, waiting)

            streams.copy(outputs, status, said, waiting.tick)
            child.wait()
    finally:
        _end(child)
        os.close(status)
    ended.seconds = round(time.monotonic() - began, 3)
    ended.last_lines = [line for line in last.decode("utf-8", "replace").splitlines() if line.strip()][-LINES:]
    ended.heads = {name: bytes(output.head) for name, output in zip(("out", "err"), outputs, strict=False)}
    return ended


@dataclass
class _Waiting:
    """Says once what is waited for when the command itself has ended."""

    supervisor: int
    notice: Callable[[str], None]
    since: float | None = None

    def tick(self) -> None:
        if self.since is None or time.monotonic() - self.since < HASTE:
            return
        self.since = None
        left = [f"{pid} ({_name(pid)})" for pid in supervisor.descendants(self.supervisor)]
        if left:
            self.notice(f"the command has ended; waiting for what it left running: {', '.join(left[:5])}")


def _hear(news: dict[str, Any], ended: Ended, waiting: _Waiting) -> None:
    if "errno" in news:
        raise CannotStart(news["errno"], os.strerror(news["errno"]))
    if "code" in news:
        code = int(news["code"])
        ended.exit_code, ended.signal = (code, None) if code >= 0 else (None, -code)
        waiting.since = time.monotonic()
    ended.timed_out |= "timed_out" in news


def _ends() -> list[tuple[int, int, int]]:
    """(our end, the command's end, our own output) for stdout and stderr; one for both where they are one terminal."""
    if os.isatty(1) and os.isatty(2) and os.fstat(1).st_rdev == os.fstat(2).st_rdev:
        return [_terminal(1)]
    return [_terminal(target) if os.isatty(target) else _pipe(target) for target in (1, 2)]


def _pipe(target: int) -> tuple[int, int, int]:
    source, end = os.pipe()
    with suppress(OSError):  # more than this user may have
        fcntl.fcntl(source, fcntl.F_SETPIPE_SZ, PIPE)
    return source, end, target


def _terminal(target: int) -> tuple[int, int, int]:
    """As the one that we have, but for what is done to the output: that is the real one's to do."""
    source, end = pty.openpty()
    mode = termios.tcgetattr(target)
    mode[1] &= ~termios.OPOST
    termios.tcsetattr(end, termios.TCSANOW, mode)
    _size(target, source)
    return source, end, target


def _size(target: int, source: int) -> None:
    size = fcntl.ioctl(target, termios.TIOCGWINSZ, bytes(8))
    fcntl.ioctl(source, termios.TIOCSWINSZ, size)


@contextmanager
def _passing_on(pid: int, ends: Sequence[tuple[int, int, int]]) -> Iterator[None]:
    def pass_on(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGWINCH:
            for source, _, target in ends:
                with suppress(OSError):  # no terminal, or closed by now
                    _size(target, source)
        _send(pid, number)
        if number == signal.SIGTSTP:
            os.kill(os.getpid(), signal.SIGSTOP)
            _send(pid, signal.SIGCONT)  # we are back

    if threading.current_thread() is not threading.main_thread():  # where signals are somebody else's
        yield
        return
    before = {}
    for name in supervisor.PASSED_ON:
        number = getattr(signal, f"SIG{name}")
        if name != "CONT" and signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, pass_on)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler or signal.SIG_DFL)


def _end(child: subprocess.Popen[bytes]) -> None:
    """Where we cannot go on the supervisor ends what it has started."""
    if child.poll() is None:
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(supervisor.GRACE + supervisor.DYING + 1)


def _send(pid: int, number: int) -> None:
    with suppress(ProcessLookupError):
        os.kill(pid, number)


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return "?"
