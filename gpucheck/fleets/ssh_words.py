"""Why no report came from a node, in one sentence, from what ssh and the node said.

OpenSSH has one exit code for all that is its own, 255; which of it, it says in words: ssh.c, sshconnect.c, clientloop.c
and packet.c of openssh-portable.
"""

from __future__ import annotations

import re

from gpucheck.consoles import clean
from gpucheck.fleets.runs import printable
from gpucheck.fleets.ssh_sessions import Session

UNRESOLVED = "its name is not resolved"
PRINTED, SHOWN = 4096, 80  # bytes and characters of the end of what it printed
DROPPED = re.compile("closed by remote host|not responding|client_loop:|Broken pipe")  # in the last line, then
# The first that is in a line counts; {0} is the expression's group, or the line.
SSH = (
    ("REMOTE HOST IDENTIFICATION HAS CHANGED",
     "its host key has changed: it was reinstalled, or somebody stands between; `ssh-keygen -R` forgets the old one"),
    (r"No (?:\S+ )?host key is known for|Host key verification failed",
     "its host key is not known here: `ssh {node}` shows it once, or put it into known_hosts"),
    (r"[Cc]ould not resolve hostname (.*)", f"{UNRESOLVED} ({{0}})"),
    (r"Permission denied \(.*\)|Too many authentication failures", "our key was refused: {0}"),
    (r"connect to host \S+ port (\d+: .*)", "it was not reached: port {0}"),
    (r"Connection timed out during banner exchange|Connection (?:closed|reset) by .* port \d|exchange_identification: ",
     "its sshd took the connection and let it go before a login ({0})"),
)  # fmt: skip


def why(session: Session, program: str, seconds: float, limit: int) -> str:
    """`seconds`: what this node had been given."""
    said, printed = last_words(bytes(session.err)), next(reversed(_lines(bytes(session.out[-PRINTED:]))), "")[-SHOWN:]
    beside = f"; the last it said: {said or printed}" if said or printed else ""
    if session.error:
        return f"ssh could not be started here: {session.error}"
    if session.cut:
        return f"it printed more than {limit >> 20} MB, and was cut off{beside}"
    if session.late:
        return f"it did not answer within {seconds:g} s{beside}"
    if session.code is None:
        return f"the run was over before it had answered{beside}"
    if session.code == 255 and (told := _of_ssh(session)):
        return told
    return _of_the_node(session.code, program, said, printed)


def _of_ssh(session: Session) -> str | None:
    lines = _lines(bytes(session.err))
    if lines and DROPPED.search(lines[-1]) and "exchange_identification" not in lines[-1]:
        return f"the connection ended in the middle ({lines[-1]})"
    for pattern, sentence in SSH:
        for line in lines:
            if match := re.search(pattern, line):
                return sentence.format(match[1] if match.lastindex else line, node=session.node)
    return None


def _of_the_node(code: int, program: str, said: str, printed: str) -> str:
    if code in (126, 127) or (code == 1 and "No module named" in said):
        return (
            f"it has no gpucheck ({said or f'exit code {code}'}): install it there, or say where it is: "
            "--remote /opt/gpucheck/bin/gpucheck"
        )
    last = "; ".join(filter(None, (said, f"it printed {printed!r}" if printed else ""))) or "without a word"
    if code > 128 and (code < 192 or (code == 255 and not said)):
        name = f"signal {code - 128}" if code < 192 else "a signal"
        return f"{program} was ended there by {name}{' (out of memory?)' if code == 137 else ''}: {last}"
    return f"{program} ended with exit code {code} and no report: {last}"


def last_words(data: bytes) -> str:
    """The last line that tells something: gpucheck's own before its tip."""
    lines = _lines(data)
    ours = [line for line in lines if line.startswith("gpucheck: ")]
    return next(reversed(ours or [line for line in lines if not line.startswith("tip: ")]), "")


def _lines(data: bytes) -> list[str]:
    return [line for line in (printable(clean(each)) for each in data.decode(errors="replace").splitlines()) if line]
