"""The parent of a followed command: a process of its own that adopts what the command leaves behind, and outlives none.

    python -I -S supervisor.py STATUS DEADLINE CMD...

STATUS is a descriptor for lines of JSON: {"pid"} or {"errno"} when the command was started or could not be, {"code"}
when it has ended (negative: the signal), {"timed_out"} where it was told to end after DEADLINE seconds (0 = never).
Signals that come here go on to the command's process group. It ends when no descendant of the command is left.
"""

from __future__ import annotations

import ctypes
import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from types import FrameType

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h
GRACE = 8.0  # seconds between being told to end and being killed
PATIENCE = 3  # Ctrl-C so often is meant
DYING = 5.0  # seconds given to the killed: in state D they do not die
PASSED_ON = ("HUP", "INT", "QUIT", "TERM", "USR1", "USR2", "WINCH", "CONT", "TSTP")


class Supervisor:
    def __init__(self, status: int, deadline: float, command: list[str]) -> None:
        self._status, self._deadline, self._command = status, deadline, command
        self._group = 0
        self._early: list[int] = []  # signals that came before there was a command
        self._interrupts = 0
        self._ending = self._killing = False

    def run(self) -> None:
        libc = ctypes.CDLL(None)
        libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
        for name in PASSED_ON:
            signal.signal(getattr(signal, f"SIG{name}"), self._pass_on)
        signal.signal(signal.SIGALRM, self._time_is_up)
        try:
            self._start(self._command)
        except OSError as error:
            self._tell(errno=error.errno, file=error.filename)
            return
        if self._deadline:
            signal.setitimer(signal.ITIMER_REAL, self._deadline)
        for number in self._early:
            self._pass_on(number, None)
        self._wait()

    def _start(self, command: list[str]) -> None:
        """In a session of its own. A script without `#!` is a shell's, as shells have it."""
        try:
            child = subprocess.Popen(command, start_new_session=True, close_fds=False)
        except OSError as error:
            if error.errno != errno.ENOEXEC or command[0] == "/bin/sh":
                raise
            self._start(["/bin/sh", shutil.which(command[0]) or command[0], *command[1:]])
            return
        self._group = child.pid
        self._tell(pid=child.pid)
        child.returncode = 0  # it is waited for below, among others

    def _wait(self) -> None:
        while True:
            try:
                pid, status = os.waitpid(-1, 0)
            except ChildProcessError:
                return
            if pid == self._group:
                self._tell(code=os.waitstatus_to_exitcode(status))

    def _pass_on(self, number: int, _frame: FrameType | None) -> None:
        if not self._group:
            self._early.append(number)
            return
        self._interrupts += number == signal.SIGINT
        if self._interrupts >= PATIENCE:
            self._kill()
        self._send(signal.SIGSTOP if number == signal.SIGTSTP else number)  # a session has nobody to continue a SIGTSTP
        if number in (signal.SIGTERM, signal.SIGHUP) and not self._ending:
            self._ending = True
            signal.setitimer(signal.ITIMER_REAL, GRACE)

    def _time_is_up(self, _number: int, _frame: FrameType | None) -> None:
        if self._ending:
            self._kill()
            return
        self._ending = True
        self._tell(timed_out=True)
        signal.setitimer(signal.ITIMER_REAL, GRACE)
        self._send(signal.SIGCONT)
        for pid in descendants(os.getpid()):
            send(pid, signal.SIGTERM)

    def _send(self, number: int) -> None:
        try:
            os.killpg(self._group, number)
        except ProcessLookupError:  # the command itself has ended: those it left behind are meant
            for pid in descendants(os.getpid()):
                send(pid, number)
        except PermissionError:  # all of another user
            return

    def _kill(self) -> None:
        """Each round finds what the one before has orphaned or missed; what cannot die is left to the kernel."""
        if self._killing:
            return
        self._killing = True
        end = time.monotonic() + DYING
        while time.monotonic() < end:
            for pid in descendants(os.getpid()):
                send(pid, signal.SIGKILL)
            try:
                while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                    if ended[0] == self._group:
                        self._tell(code=os.waitstatus_to_exitcode(ended[1]))
            except ChildProcessError:
                break
            time.sleep(0.01)
        os._exit(0)

    def _tell(self, **what: object) -> None:
        try:
            os.write(self._status, f"{json.dumps(what)}\n".encode())
        except BrokenPipeError:  # gpucheck is gone
            return


def send(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except (ProcessLookupError, PermissionError):
        return


def descendants(root: int) -> Iterator[int]:
    """By /proc/<pid>/stat: the fourth field is the parent; the second, in brackets, may hold anything."""
    children: dict[int, list[int]] = {}
    for name in os.listdir("/proc"):
        if name.isdecimal():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError):  # it has just ended
                continue
            children.setdefault(parent, []).append(int(name))
    waiting = children.get(root, [])
    while waiting:
        pid = waiting.pop()
        yield pid
        waiting += children.get(pid, [])


if __name__ == "__main__":
    os.set_inheritable(int(sys.argv[1]), False)
    Supervisor(int(sys.argv[1]), float(sys.argv[2]), sys.argv[3:]).run()
