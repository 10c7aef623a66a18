"""A report as one look at a node: whether it failed, for which rule, and which rules were asked and did not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import lru_cache
from itertools import zip_longest
from typing import NamedTuple

from gpucheck.facts import Nvml, Pci
from gpucheck.lines import one_line
from gpucheck.model import Finding, Report, Severity, Status
from gpucheck.nodes import NAME, Arrived, Node, moment

LONGEST, RULE = 200, 90  # characters of a reason, and of a rule's id: a scheduler shows both in one line
FEW, MOST = 8, 1000  # rules of one report that are kept: those that failed too, those that did not
# Of these a skip says that it was not seen (a log that only root may read, a GPU that is gone), and not that it holds,
SEEN = ("pci.", "cloud.", "kernel_log.", "nvml.", "compute.", "placement.", "training.")
TURNED_OFF = ("nvml.confidential-ready", "nvml.mig-has-instances")  # but where turning it off mends it
WORLD, ENDED = "world.", "run.finished"  # of several nodes that train together; also of their common part
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
    also: Mapping[str, str] = field(default_factory=dict)  # what failed beside it, and why
    clean: frozenset[str] = frozenset()  # the rules that hold, or do not apply any more
    gpus: tuple[int, ...] = ()  # how many it saw: on the bus, by NVML

    def holds(self, rule: str, gpus: tuple[int, ...]) -> bool:
        """Of as many GPUs: one that is gone, or was not lent to this look, is none that is well."""
        return rule in self.clean and all(have >= had for have, had in zip_longest(self.gpus, gpus, fillvalue=0))


class Wrong(NamedTuple):
    when: datetime
    why: str
    gpus: tuple[int, ...]


def look(arrived: Arrived) -> Look:
    whole = replace(arrived.report, strict=False)
    report = _own(whole)
    failed = {0: False, 1: True}.get(report.exit_code) if report.exit_code == whole.exit_code else None
    cause = report.root_cause if failed else None
    others = [each for each in report.of(Status.FAIL, Severity.ERROR) if cause and each.rule != cause.rule]
    return Look(
        host=report.host[:NAME].strip(), node=arrived.node, when=moment(report.when), failed=failed,
        rule=one_line(cause.rule, RULE) if cause else "",
        reason=one_line(cause.message if cause else whole.verdict.partition(": ")[2], LONGEST), clean=_clean(report),
        gpus=tuple(len(seen.gpus) if seen else 0 for seen in map(report.facts.known.get, (Pci, Nvml))),
        also={one_line(each.rule, RULE): one_line(each.message, LONGEST) for each in others[:FEW]},
    )  # fmt: skip


def _own(report: Report) -> Report:
    """Without what every node of a world fails for when one of them does."""
    if not any(each.rule.startswith(WORLD) for each in report.findings):
        return report
    shared = {each.rule for each in report.findings if each.rule.startswith(WORLD)} | {ENDED}
    return replace(report, findings=tuple(each for each in report.findings if each.rule not in shared))


def failing(known: Iterable[tuple[datetime, Look]]) -> dict[str, Wrong]:
    """Of these, the oldest first: each rule that failed and does not hold since."""
    found: dict[str, Wrong] = {}
    for when, each in known:
        new = {rule: Wrong(when, why, each.gpus) for rule, why in {each.rule: each.reason, **each.also}.items()}
        new = new if each.failed else {}
        found = {rule: had for rule, had in found.items() if not (rule in new or each.holds(rule, had.gpus))} | new
    return found


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
    good = (each.rule for each in report.findings if each.status is Status.PASS or _needless(each))
    return _one(frozenset(rule for rule, _ in zip(good, range(MOST), strict=False) if len(rule) <= RULE))


def _needless(each: Finding) -> bool:
    """It does not apply: what it was about is there no more."""
    seen = each.rule.startswith(SEEN) and each.rule not in TURNED_OFF
    return each.status is Status.SKIP and not each.because and not seen


@lru_cache(maxsize=64)
def _one(rules: frozenset[str]) -> frozenset[str]:
    """The same for the same: the nodes of a fleet are asked the same rules, a hundred each."""
    return rules
