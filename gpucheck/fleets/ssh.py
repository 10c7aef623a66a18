"""A rack without a scheduler: ClusterShell's node sets and loop over the system's OpenSSH.

Configuration, agent, jump hosts and known hosts are the user's own; nothing here weakens the check of a host's key, and
nothing asks for a password.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from queue import SimpleQueue

from gpucheck.fleets import printed, ssh_nodes, ssh_words
from gpucheck.fleets.runs import LARGEST, Answer, Asked, known, printable
from gpucheck.fleets.ssh_sessions import Plan, Session, work
from gpucheck.model import Failure, Report, Say
from gpucheck.nodes import same_name

OPTIONS = {
    "fanout": "how many nodes at a time (64)",
    "each": "seconds that one node may take (a third of the whole)",
    "config": "a configuration of OpenSSH instead of the user's and the system's (ssh -F)",
}
FANOUT, MOST_AT_A_TIME = 64, 1024
# What it runs there ends with the connection: the end of stdin tells of it. (A space after each !: csh's history.)
THERE = (
    'exec 3<&0; "$@" </dev/null 3<&- & p=$! ; { cat <&3; kill $p; } >/dev/null 2>&1 & c=$! ; '
    "wait $p; r=$?; kill $c 2>/dev/null; exit $r"
)
ADDRESS = re.compile(r"[0-9.]+|[0-9a-fA-F:.]*:[0-9a-fA-F:.]*")
SECONDS = 10  # for ssh to read its configuration
GRACE = 5  # seconds for the loop to end
# ControlMaster: an ssh that is killed shall take no other connection with it. An existing one is used all the same.
SSH = (
    "-T", "-oBatchMode=yes", "-oForwardAgent=no", "-oForwardX11=no", "-oClearAllForwardings=yes", "-oControlMaster=no",
    "-oRemoteCommand=none", "-oPermitLocalCommand=no", "-oServerAliveInterval=10", "-oServerAliveCountMax=3",
    "-oLogLevel=ERROR",
)  # fmt: skip


def run(asked: Asked, say: Say) -> Iterator[Answer]:
    """See gpucheck.fleets.runs."""
    known(asked, OPTIONS)
    fanout = int(_number(asked, "fanout", FANOUT, MOST_AT_A_TIME))
    each = _number(asked, "each", asked.deadline / 3, asked.deadline)
    config = asked.options.get("config")
    nodes = ssh_nodes.names(asked.nodes)
    ssh = (_ssh(), *(("-F", config) if config else ()))
    _configured((*ssh, "-G", "--", nodes[0]))
    program = shlex.join(asked.program)
    command = shlex.join(("sh", "-c", THERE, "gpucheck", *asked.program, *asked.command))
    began = time.monotonic()
    plan = Plan(
        nodes=nodes, argv=lambda node: (*ssh, *SSH, "--", node, command), fanout=fanout, each=each,
        until=began + asked.deadline, limit=LARGEST,
    )  # fmt: skip
    missing = dict.fromkeys(nodes)
    say(f"{len(nodes)} nodes are asked", 0.0)
    for session in _sessions(plan):
        del missing[session.node]
        answer = _answer(session, program, each, ssh, config)
        say(f"{len(nodes) - len(missing)} of {len(nodes)} nodes have answered", 1 - len(missing) / len(nodes))
        yield replace(answer, seconds=time.monotonic() - began)
    for node in missing:
        why = f"its turn did not come within {asked.deadline:g} s: {fanout} at a time"
        yield Answer(node=node, why=why, seconds=time.monotonic() - began)


def _sessions(plan: Plan) -> Iterator[Session]:
    """As they end. Whoever leaves early ends them all."""
    ended: SimpleQueue[Session | BaseException | None] = SimpleQueue()
    stop = threading.Event()
    worker = threading.Thread(target=work, args=(plan, ended, stop), daemon=True, name="gpucheck fleet")
    worker.start()
    try:
        while (session := ended.get()) is not None:
            if isinstance(session, BaseException):
                raise session
            yield session
    finally:
        stop.set()
        worker.join(GRACE)


def _answer(session: Session, program: str, seconds: float, ssh: Sequence[str], config: str | None) -> Answer:
    line, report = printed.report(bytes(session.out), session.node)
    if isinstance(report, Report):
        host = session.node.rpartition("@")[2]
        named = same_name(host, report.host) or not (ADDRESS.fullmatch(host) or _is_alias(host, ssh))
        return Answer(node=session.node, report=line, named=named)
    why = ssh_words.why(session, program, seconds, LARGEST)
    if ssh_words.UNRESOLVED in why and (near := ssh_nodes.nearest(session.node, config)):
        why += f": did you mean {near}?"
    if report and session.code not in (None, 255):
        why = f"{report} (exit code {session.code})"
    return Answer(node=session.node, why=printable(why))


def _is_alias(host: str, ssh: Sequence[str]) -> bool:
    """Whether the user's configuration has another name or address for it."""
    with suppress(subprocess.TimeoutExpired):
        told = re.search(r"(?m)^hostname (\S+)$", _asked((*ssh, "-G", "--", host)).stdout.decode(errors="replace"))
        return told is not None and not same_name(host, told[1])
    return False


def _number(asked: Asked, name: str, default: float, most: float) -> float:
    text = asked.options.get(name)
    try:
        number = default if text is None else float(text)
    except ValueError:
        number = 0.0
    if not 1 <= number <= most and text is not None:
        raise Failure(f"{name} is {printable(text)!r}", f"a number from 1 to {most:g}: {OPTIONS[name]}")
    return number


def _ssh() -> str:
    if path := shutil.which("ssh"):
        return path
    raise Failure("there is no ssh here", "install OpenSSH's client")


def _configured(command: Sequence[str]) -> None:
    """Raises Failure where ssh cannot read its configuration: that is no node's fault."""
    with suppress(subprocess.TimeoutExpired):  # a `Match exec` that waits: each node's deadline is for that
        ran = _asked(command)
        if ran.returncode:
            said = ssh_words.last_words(ran.stderr)
            raise Failure(f"ssh cannot be used: {said}", "`ssh -G NODE` shows what it reads")


def _asked(command: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=SECONDS)
