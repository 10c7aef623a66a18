"""torch.profiler's chrome trace: the kernels of each GPU, and the ops of the host.

Kineto writes an event for each (libkineto/src/output_json.cpp): "cat": "kernel" with the device in its args, and
"cpu_op" for what the dispatcher ran, whose time includes that of the ops it called. Copies and memsets are gpu_memcpy
and gpu_memset. What Kineto itself has to say follows the events, under "ERROR". The events are read one
at a time: a trace of a long window is hundreds of megabytes, and json.load would hold ten times that.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable
from typing import Any

from gpucheck.witnesses.objects import Objects
from gpucheck.witnesses.tally import Profile

_EVENT = re.compile(
    r'\{\s{0,64}"(?:ph"|name"\s{0,8}:\s{0,8}"(?:[^"\\]|\\.){0,4096}"\s{0,8},\s{0,8}"ph")\s{0,8}:'
)  # the last events of a trace have their name first
_OP = re.compile(r"\w+::[\w.]+")  # not "autograd::engine::evaluate_function: ReluBackward0", which calls it


def parse(text: Iterable[str]) -> Profile:
    """The trace in pieces of text. What cannot be read is a complaint of the profile's."""
    profile, events = Profile(), Objects(start=_EVENT, before='"traceEvents"')
    unread = 0
    for event in events.read(text):
        try:
            _count(event, profile)
        except (KeyError, TypeError, ValueError, OverflowError):
            unread += 1
    profile.complaints = _logged(events.tail)
    if unread + events.torn:
        profile.complaints.append(f"pieces of the trace that could not be read: {unread + events.torn}")
    return profile


def _count(event: dict[str, Any], profile: Profile) -> None:
    if event.get("ph") != "X" or event.get("cat") not in ("kernel", "cpu_op"):
        return
    name, seconds = event["name"], float(event["dur"]) / 1e6
    if type(name) is not str or not 0 <= seconds < math.inf:
        raise ValueError(name)
    if event["cat"] == "cpu_op":
        profile.host_events += 1
        if _OP.fullmatch(name):
            profile.host.add(name, 1, seconds)
        return
    device = event["args"]["device"]
    if type(device) is not int or not 0 <= device < 1000:
        raise ValueError(device)
    profile.kernel(f"GPU:{device}", name, 1, seconds)


def _logged(tail: str) -> list[str]:
    """`tail` is what follows the list of events: "], "key": ..., "traceName": "..."}"."""
    try:
        rest = json.loads("{" + tail.removeprefix("]").lstrip(" \t\r\n,"))
    except (ValueError, RecursionError):
        return []
    found = rest.get("ERROR")
    return [text[:300] for text in found[:10] if type(text) is str] if type(found) is list else []
