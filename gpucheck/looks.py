"""A report as one look at a node: whether it failed, for which rule, and which rules were asked and did not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gpucheck import consoles
from gpucheck.model import Report, Status
from gpucheck.nodes import NAME, Arrived, Node, moment

LONGEST = 200  # characters of a reason
AHEAD = timedelta(minutes=10)  # by which a node's clock may be before ours


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """All that is kept of a report. Its warnings weigh nothing, be it a strict one."""

    host: str
    node: str | None = None  # whose it should be, as a file's name has it
    when: datetime | None
    failed: bool | None  # None = not known
    rule: str = ""
    reason: str = ""
    clean: frozenset[str] = frozenset()  # the rules that were asked and did not fail


def look(arrived: Arrived) -> Look:
    report = replace(arrived.report, strict=False)
    failed = {0: False, 1: True}.get(report.exit_code)
    cause = report.root_cause if failed else None
    return Look(
        host=report.host[:NAME].strip(), node=arrived.node, when=moment(report.when), failed=failed,
        rule=_line(cause.rule, NAME) if cause else "",
        reason=_line(cause.message if cause else report.verdict.partition(": ")[2]), clean=_clean(report),
    )  # fmt: skip


def old(when: datetime, age: timedelta, now: datetime) -> str:
    """Why a report of then tells nothing of today; empty where it does."""
    if when > now + AHEAD:
        return f"its report is of {when.isoformat()}, which is yet to come: a clock is wrong"
    hour = timedelta(hours=1)
    return f"its report is {(now - when) / hour:.0f} hours old, more than {age / hour:g}" if now - when > age else ""


def unsure(rows: Sequence[Node], looks: Sequence[Look], age: timedelta, now: datetime) -> str:
    """Why nothing is known of a node; empty where something is. `rows`: those of the fleet report."""
    doubt = next((row.doubt for row in rows if row.doubt), "")
    timed = [(each.when, each) for each in looks if each.when]
    if doubt or not timed:
        said = "its report does not say when it was made" if looks else "no report of it"
        return doubt or (said if looks else next((row.reason for row in rows), said))
    when, newest = max(timed, key=lambda pair: pair[0])
    return old(when, age, now) or (newest.reason if newest.failed is None else "")


def _clean(report: Report) -> frozenset[str]:
    return frozenset(each.rule for each in report.findings
                     if each.status is Status.PASS or (each.status is Status.SKIP and not each.because))  # fmt: skip


def _line(text: str, longest: int = LONGEST) -> str:
    return " ".join(consoles.clean(text[: 4 * longest]).split())[:longest]
