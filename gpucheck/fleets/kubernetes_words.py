"""Why no report came from a node, in one sentence, from what its pod, its Job and its log say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from gpucheck.consoles import clean
from gpucheck.fleets.runs import printable

TAIL = 4096  # bytes of the end of a log
NO_PROGRAM = re.compile("executable file not found|no such file or directory|No module named '?gpucheck")
HOPELESS = ("InvalidImageName", "ErrImageNeverPull", "CreateContainerConfigError")  # no time mends these
Pod = Mapping[str, Any]


def ended(pod: Pod) -> bool:
    return phase(pod) in ("Succeeded", "Failed")


def phase(pod: Pod) -> str:
    return str((pod.get("status") or {}).get("phase"))


def waiting(pod: Pod) -> tuple[str, str]:
    """Why its container has not begun: reason, message."""
    state = _state(pod).get("waiting") or {}
    return str(state.get("reason") or ""), str(state.get("message") or "")


def unscheduled(pod: Pod) -> str:
    """The scheduler's reason; "" where it has a node."""
    for each in (pod.get("status") or {}).get("conditions") or ():
        if each.get("type") == "PodScheduled" and each.get("status") != "True":
            return str(each.get("message") or each.get("reason") or "")
    return ""


def has_run(pod: Pod) -> bool:
    """Else there is no log of it."""
    return "exitCode" in (_state(pod).get("terminated") or {})


def of_a_pending(pod: Pod, warning: str) -> str:
    """`warning`: the last event about it."""
    reason, message = waiting(pod)
    if why := unscheduled(pod):
        return f"no place for its pod: {printable(why)}"
    said = ": ".join(filter(None, (reason, printable(message or warning))))
    return f"its pod did not start: {said or 'nobody says why'}"


def of_an_ended(pod: Pod, log: bytes, wrong: str | None, program: str) -> str:
    """`wrong`: what is wrong with the report that it printed."""
    status, state = pod.get("status") or {}, _state(pod).get("terminated") or {}
    code, reason, message = state.get("exitCode"), str(state.get("reason") or ""), str(state.get("message") or "")
    lines = [line for line in map(_line, log[-TAIL:].splitlines()) if line and not line.startswith("tip: ")]
    said = lines[-1] if lines else ""
    if code is None:
        told = ": ".join(filter(None, map(printable, map(str, (status.get("reason", ""), status.get("message", ""))))))
        return f"its pod failed before it could tell: {told or 'nobody says why'}"
    if code in (126, 127) or (code in (1, 128) and NO_PROGRAM.search(message + said)):
        what = printable(message) or said or f"exit code {code}"
        return f"its image has no {program}: {what}; --remote says where it is"
    if reason == "OOMKilled" or code == 137:
        return f"{program} was killed there ({printable(reason)}, exit code {code}): {said or 'without a word'}"
    if wrong:
        return f"{wrong} (exit code {code})"
    said = printable(message) or said
    return f"{program} ended with exit code {code} and no report: {said or 'without a word'}"


def _state(pod: Pod) -> Mapping[str, Any]:
    for each in (pod.get("status") or {}).get("containerStatuses") or ():
        return each.get("state") or {}
    return {}


def _line(data: bytes) -> str:
    return printable(clean(data.decode(errors="replace")))
