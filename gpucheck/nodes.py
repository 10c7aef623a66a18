"""One node of a fleet as a small row: all that is kept of its report, however large that was."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import NamedTuple

from gpucheck import traits
from gpucheck.facts import KernelLog
from gpucheck.model import Finding, Report, Severity, Status
from gpucheck.traits import Figure

ORDER = ("fail", "missing", "unread", "unknown", "pass")  # the worst first
REASON, NAME = 300, 120  # characters
ASKED = "nodes"  # the file in which a run keeps whom it has asked
ASKING = "asking"  # the file that is there as long as it asks


class Arrived(NamedTuple):
    """A report that came, and from where. `node`: whose it should be, as an engine or a file's name has it."""

    report: Report
    source: str
    node: str | None = None
    doubt: str = ""  # why it may not be an answer to what was asked


class Unread(NamedTuple):
    """What came instead of a report, or that nothing came (`kind` missing); one sentence why."""

    source: str
    why: str
    node: str | None = None
    kind: str = "unread"


class Boot(NamedTuple):
    """One boot of a machine, which two machines never share: its id, its begin, and when it was seen to last still."""

    id: str
    begin: float  # seconds since 1970
    seen: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    name: str
    command: str = ""
    kind: str  # of ORDER
    rule: str | None = None  # that the verdict rests on, where it is not a yes
    reason: str = ""
    exit_code: int = 3
    when: str = ""
    source: str = ""
    node: str | None = None  # whose report it should be
    doubt: str = ""  # why it cannot be told whose it is: no green, and no sibling of anybody
    ids: str | None = None
    names: str | None = None
    uuids: tuple[str, ...] = ()
    boot: Boot | None = None
    traits: Mapping[str, str] = field(default_factory=dict)
    figures: Mapping[str, Figure] = field(default_factory=dict)

    @property
    def driver(self) -> str | None:
        return self.traits.get("driver")

    @property
    def said(self) -> str:
        """The reason, and the doubt where that is not the reason itself."""
        return f"{self.doubt}; {self.reason}" if self.doubt and self.doubt != self.reason else self.reason

    @property
    def order(self) -> tuple[object, ...]:
        """A total order, so that nothing depends on which report came first."""
        return (ORDER.index(self.kind), self.name, self.command, self.when, self.reason, self.source, self.uuids,
                str(self.boot), sorted(self.traits.items()), sorted(self.figures.items()))  # fmt: skip


def of(arrived: Arrived) -> Node:
    report = arrived.report
    code = report.exit_code
    ids, names = traits.model(report)
    cause = _cause(report)
    made = Node(
        name=short(report.host) or "without a name", command=_asked(report), exit_code=code,
        kind={0: "pass", 1: "fail"}.get(code, "unknown"),
        rule=short(cause.rule) if cause else None, reason=report.verdict.partition(": ")[2][:REASON],
        when=short(report.when), source=arrived.source[-NAME:], node=arrived.node, ids=ids, names=names,
        uuids=traits.uuids(report), boot=_boot(report), traits=traits.traits(report), figures=traits.figures(report),
    )  # fmt: skip
    return doubted(made, arrived.doubt) if arrived.doubt else made


def _asked(report: Report) -> str:
    """A doctor that gave the GPUs no work says nothing of one that did."""
    deep = report.command == "doctor" and any(each.rule.startswith("compute.") for each in report.findings)
    return "doctor --deep" if deep else short(report.command) or "no command"


def doubted(node: Node, doubt: str) -> Node:
    """A yes of nobody knows whom is none; a no stays one."""
    kind = min(node.kind, "unknown", key=ORDER.index)
    reason = doubt if node.kind == "pass" else node.reason
    return replace(node, kind=kind, doubt=doubt, reason=reason[:REASON], exit_code=node.exit_code or 3)


def unread(came: Unread) -> Node:
    return Node(name=came.node or came.source[-NAME:], kind=came.kind, reason=came.why[:REASON],
                source=came.source[-NAME:], node=came.node)  # fmt: skip


def _cause(report: Report) -> Finding | None:
    """What keeps the report from a yes; what report.verdict tells of it."""
    if report.exit_code == 0:
        return None
    if report.exit_code == 1:
        return report.root_cause or report.of(Status.FAIL, Severity.WARNING)[0]
    answer = next((f for f in report.findings if f.rule == report.answer and f.status is not Status.PASS), None)
    unknown = report.of(Status.UNKNOWN, Severity.ERROR) or report.of(Status.UNKNOWN)
    return answer or next(iter(unknown), None)


def _boot(report: Report) -> Boot | None:
    log, seen = report.facts.known.get(KernelLog), moment(report.when)
    if not log or not log.boot_id or log.uptime_s is None or seen is None:
        return None
    return Boot(short(log.boot_id), seen.timestamp() - log.uptime_s, seen.timestamp())


def moment(when: str) -> datetime | None:
    """ISO 8601; without a zone it is UTC. None for what is no time."""
    try:
        told = datetime.fromisoformat(when)
    except ValueError:
        return None
    return told if told.tzinfo else told.replace(tzinfo=UTC)


def age(node: Node) -> tuple[float, str]:
    """By this the newest is the greatest; what does not say when it was made is older than all."""
    told = moment(node.when)
    return (float("-inf") if told is None else told.timestamp(), node.when)


def short(text: str) -> str:
    return text[:NAME].strip()


def same_name(one: str, other: str) -> bool:
    """n1 is n1.cluster, where one of them has no domain; an address is only itself."""
    one, other = one.lower(), other.lower()
    first = bare(one)
    return one == other or (first == bare(other) and first in (one, other))


def bare(name: str) -> str:
    """Without its domain."""
    first = name.partition(".")[0]
    return name if first.isdigit() else first


def kept(node: str) -> str:
    """The file in which a run keeps the report of a node."""
    return f"{node.replace('/', '_')}.json"
