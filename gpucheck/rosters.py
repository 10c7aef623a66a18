"""The list that a run leaves beside its reports: whom it asked, what, since when, and who has a name not its own.

By it `gpucheck fleet report DIR` judges them as the run did: it misses those who did not answer, gives an address or an
alias its row, and doubts a report that is older than the question, or the answer to another.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple

from gpucheck.model import Report
from gpucheck.nodes import ASKED, ASKING, Arrived, Unread, kept, moment, short

LARGEST = 8 << 20  # bytes of the list
ASKED_WHAT = re.compile(r"# gpucheck asked these for (\w*) since (\S+)")
RENAMED = "  # whatever it calls itself"
NAME = re.compile(r"[\w.:-]{1,255}")
SKEW = timedelta(minutes=10)  # that a node's clock may be late; munge, and so Slurm, takes half of that


class Roster(NamedTuple):
    names: Mapping[str, bool] = {}  # whether what is asked by it may call itself otherwise
    since: str = ""  # "": it does not say
    command: str = ""


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")


def text(roster: Roster) -> str:
    lines = (f"{name}{RENAMED if renamed else ''}\n" for name, renamed in roster.names.items())
    return "".join((f"# gpucheck asked these for {roster.command} since {roster.since}\n", *lines))


def read(folder: Path) -> Roster:
    """Of a folder in which no run left any, or which has somebody's own file of that name, an empty one."""
    try:
        with (folder / ASKED).open("rb") as file:
            lines = file.read(LARGEST).decode(errors="replace").splitlines()
    except OSError:
        return Roster()
    command, since = "", ""
    if lines and (told := ASKED_WHAT.fullmatch(lines[0])):
        command, since = told.groups()
        del lines[0]
    names = {line.removesuffix(RENAMED): line.endswith(RENAMED) for line in lines}
    return Roster(names, since, command) if all(map(NAME.fullmatch, names)) else Roster()


def missing(folder: Path) -> Iterator[Unread]:
    """Whom its run asked, and who did not answer: else a folder without them would be green."""
    if (folder / ASKING).is_file():
        yield Unread(str(folder / ASKING), "the run that wrote this was broken off: whom else it asked is not known")
    for name in read(folder).names:
        if not os.path.exists(folder / kept(name)):
            yield Unread(str(folder / ASKED), "it was asked, and no report came from it", name, "missing")


def as_asked(came: Arrived | Unread, roster: Roster) -> Arrived | Unread:
    """A report under the name by which its node was asked, and in doubt where it is no answer to the question."""
    if not isinstance(came, Arrived) or came.node is None or came.node not in roster.names:
        return came
    report = replace(came.report, host=came.node) if roster.names[came.node] else came.report
    return came._replace(report=report, doubt=_doubt(report, roster))


def _doubt(report: Report, roster: Roster) -> str:
    asked, made = moment(roster.since), moment(report.when)
    if roster.command and report.command != roster.command:
        return f"its report is of {short(report.command)}, and {roster.command} was asked"
    if asked is None:
        return ""
    if made is None:
        return f"its report does not say when it was made ({short(report.when)!r})"
    if asked - made <= SKEW:
        return ""
    told = f"its report is of {short(report.when)}, and the run began at {roster.since}"
    return f"{told}: an old file, or a clock that is late"
