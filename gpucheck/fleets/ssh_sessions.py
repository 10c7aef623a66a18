"""One ssh a node in ClusterShell's event loop, each with its deadline, its limit of output and its process group.

ClusterShell's own client keeps whatever a node prints, and waits without limit for an ssh whose output has ended: there
one node could hang all others. So what it starts, keeps and ends is told anew here; the loop, the fan-out and the
timers are ClusterShell's.
"""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from queue import SimpleQueue
from typing import Any

from ClusterShell.Engine.Engine import E_READ  # type: ignore[import-untyped]
from ClusterShell.Event import EventHandler  # type: ignore[import-untyped]
from ClusterShell.NodeSet import NodeSet  # type: ignore[import-untyped]
from ClusterShell.Task import task_self  # type: ignore[import-untyped]
from ClusterShell.Worker.Ssh import SshClient, WorkerSsh  # type: ignore[import-untyped]

OUT, ERR, OVER = "stdout", "stderr", "over"
TAIL = 8192  # bytes of the end of stderr that are kept
QUIET = {"SSH_ASKPASS_REQUIRE": "never"}  # BatchMode is not handed on to the ssh of a jump host
TICK = 0.1  # seconds until it is noticed that the run is to end


@dataclass(slots=True)
class Session:
    """What became of one ssh. `code` is None where it was ended by us, or not to be started."""

    node: str
    began: float
    out: bytearray = field(default_factory=bytearray)
    err: bytearray = field(default_factory=bytearray)
    said: int = 0  # bytes on stderr
    code: int | None = None
    cut: bool = False  # it said more than the limit
    late: bool = False  # its deadline passed
    error: str | None = None  # why there was no ssh


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    nodes: Sequence[str]
    argv: Callable[[str], Sequence[str]]
    fanout: int
    each: float  # seconds of one node
    until: float  # of time.monotonic(): the end of the run
    limit: int  # bytes of one node's output


class Client(SshClient):  # type: ignore[misc]
    """The ssh to one node. It is over when the process is, whatever still holds its output."""

    def _start(self) -> Client:
        self.session = Session(self.key, time.monotonic())
        self.files: dict[str, Any] = {}
        over, told = os.pipe()
        self.streams.set_stream(OVER, over, E_READ)
        try:
            self.popen = subprocess.Popen(
                self.worker.plan.argv(self.key), stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                stderr=subprocess.PIPE, bufsize=0, start_new_session=True, env=os.environ | QUIET,
            )  # fmt: skip
        except OSError as error:  # too many files or processes: this node's row, and no end of the others
            self.session.error = error.strerror or str(error)
            os.close(told)
            return self
        self.files = {OUT: self.popen.stdout, ERR: self.popen.stderr}
        for name, file in self.files.items():
            os.set_blocking(file.fileno(), False)
            self.streams.set_stream(name, file.fileno(), E_READ, retain=False, closefd=False)
        threading.Thread(target=self._await, args=(told,), daemon=True).start()
        return self

    def _await(self, told: int) -> None:
        self.popen.wait()
        os.close(told)

    def _handle_read(self, sname: str) -> None:
        self._keep(sname, self._read(sname))
        if self.session.cut and self._engine:
            self._engine.remove(self, abort=True)

    def _keep(self, sname: str, data: bytes) -> None:
        session, limit = self.session, self.worker.plan.limit
        if sname == OUT:
            session.out += data
        else:
            session.said += len(data)
            session.err = (session.err + data)[-TAIL:]
        session.cut = len(session.out) > limit or session.said > limit

    def _close(self, abort: bool, timeout: bool) -> None:
        self.session.late = timeout
        if self.files:
            self._drain()
            if abort and self.popen.returncode is None:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(self.popen.pid, signal.SIGKILL)  # with its jump hosts' ssh; nobody waits for it
            else:
                self.session.code = self.popen.returncode
            for file in (self.popen.stdin, *self.files.values()):
                file.close()
        self.streams.clear()
        self.invalidate()
        self.worker.ended.put(self.session)

    def _drain(self) -> None:
        """What it said and was not read yet."""
        for name, file in self.files.items():
            with suppress(BlockingIOError):
                while not self.session.cut and (data := os.read(file.fileno(), 1 << 16)):
                    self._keep(name, data)


class Worker(WorkerSsh):  # type: ignore[misc]
    SHELL_CLASS = Client

    def __init__(self, plan: Plan, ended: SimpleQueue[Any]) -> None:
        self.plan, self.ended = plan, ended
        nodes = NodeSet.fromlist(plan.nodes)
        super().__init__(nodes, handler=None, timeout=plan.each, command="as plan.argv has it", stderr=True)


class Clock(EventHandler):  # type: ignore[misc]
    """Ends the loop at the end of the run, or when it is told to."""

    def __init__(self, until: float, stop: threading.Event) -> None:
        super().__init__()
        self._until, self._stop = until, stop

    def ev_timer(self, timer: object) -> None:  # noqa: ARG002 - ClusterShell's
        if self._stop.is_set() or time.monotonic() > self._until:
            task_self().abort(kill=True)


def work(plan: Plan, ended: SimpleQueue[Session | BaseException | None], stop: threading.Event) -> None:
    """A thread's: each session as it ends, then None. A node whose turn did not come has none."""
    try:
        task = task_self()  # of this thread alone
        task.set_info("fanout", plan.fanout)
        task.schedule(Worker(plan, ended))
        task.timer(TICK, Clock(plan.until, stop), interval=TICK, autoclose=True)
        task.resume()
        task.abort(kill=True)
    except BaseException as error:  # noqa: BLE001 - it is raised where it is seen
        ended.put(error)
    finally:
        ended.put(None)
