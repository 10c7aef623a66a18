"""Which nodes are taken out of scheduling for what their reports say, and which are given back. Asks and tells nobody.

Out goes who failed with error severity: not knowing drains nobody. Back comes who was clean so often in a row, each
time by a newer report in which the rule that failed was asked again. A share is never exceeded: of too many, those
whose cause is the rarest go first, because what fails everywhere may be a wrong table.
"""

from __future__ import annotations

import difflib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from gpucheck.looks import Look, Wrong, failing, old, unsure
from gpucheck.marks import Memory, counted, others
from gpucheck.nodes import Node, moment
from gpucheck.telling import Names

OUT, BACK, COUNTED, TIDIED = "drained", "given back", "counted", "put right"  # what is told to the scheduler
NEAREST = 20  # strangers whose nearest name is looked for: with thousands that takes minutes
UNDONE, LEFT, WELL, UNKNOWN = "not drained", "left alone", "well", "not known"


@dataclass(frozen=True, kw_only=True, slots=True)
class Standing:
    """A node as its scheduler has it."""

    name: str
    gpus: bool  # whether it should have any
    out: bool = False  # by our mark
    memory: Memory | None = None
    keeps: bool = True  # whether its scheduler keeps what is counted
    shown: str | None = None  # why it is out, where the scheduler shows it beside
    otherwise: str = ""  # what somebody else has done to it, which stays
    born: datetime | None = None  # what is from before is of another machine, which had the name
    closed: str = ""  # by whom it is out otherwise, where a mark of ours would take the place of theirs


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    clean: int = 2  # reports in a row, and it is given back
    share: float = 5.0  # percent of the GPU nodes that may be out by us at once
    age: timedelta = timedelta(hours=24)  # an older report is none


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    node: str
    do: str
    said: str
    memory: Memory | None = None  # as it is then
    failing: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    decisions: tuple[Decision, ...]  # in this order: who comes back makes room
    nodes: int  # that have GPUs
    out: int  # of them, by us, before
    most: int
    over: str | None = None  # why not all is done that is wanted


def decide(
    looks: Iterable[Look], judged: Sequence[Node], standings: Sequence[Standing], limits: Limits, now: datetime,
    most: Callable[[int, float], int],
) -> Plan:  # fmt: skip
    """`judged`: the rows of the fleet report, which tell whose report is in doubt, and who is missing."""
    there = {each.name: each for each in standings}
    names = Names(there, ())
    seen: dict[str, list[Look]] = defaultdict(list)
    for look in looks:
        name, should = names.find(look.host), names.find(look.node)
        if name and should in (None, name):
            seen[name].append(look)
    rows: dict[str, list[Node]] = defaultdict(list)
    for row in judged:
        rows[names.find(row.name) or row.name].append(row)
    decided = (_of(there[name], rows[name], seen[name], limits, now) for name in sorted(there))
    found = [each for each in decided if each]
    found += _strangers({name: own for name, own in rows.items() if name not in there}, list(there), limits, now)
    return _within(found, standings, limits, most)


def _of(at: Standing, rows: Sequence[Node], looks: Sequence[Look], limits: Limits, now: datetime) -> Decision | None:
    doubt = any(row.doubt for row in rows)
    own = [each for each in looks if not (at.born and each.when and each.when < at.born)]
    fresh = [(each.when, each) for each in own if each.when and not (doubt or old(each.when, limits.age, now))]
    known = [(when, each) for when, each in fresh if each.failed is not None]
    known.sort(key=lambda pair: (pair[0], pair[1].failed))  # of the same moment the worse counts
    wrong = failing(known)
    why = unsure(rows, own, limits.age, now) if own or not looks else f"its report is older than the node: {at.born}"
    if at.out:
        return _held(at, known, wrong, why, limits)
    if wrong:
        return _failing(at, wrong, now)
    if at.keeps and ((known and at.memory) or (at.shown and not at.memory)):
        return Decision(node=at.name, do=TIDIED, said="its mark is gone, and so is what was left beside it")
    if known:
        return Decision(node=at.name, do=WELL, said="")
    return Decision(node=at.name, do=UNKNOWN, said=why) if rows else None


def _failing(at: Standing, wrong: Mapping[str, Wrong], now: datetime) -> Decision:
    rule = max(wrong, key=lambda each: wrong[each].when)
    when, reason, gpus = wrong[rule]
    memory = Memory(rule=rule, reason=reason, gpus=gpus, since=now.isoformat(), counted=when.isoformat(),
                    also=others(wrong, rule))  # fmt: skip
    before = moment(at.memory.counted) if at.memory else None
    if before and when <= before:
        said = f"somebody has put it back since that report, and a newer one decides: {memory.message}"
        return Decision(node=at.name, do=LEFT, said=said)
    if not at.gpus:
        return Decision(node=at.name, do=LEFT, said=f"no GPU is expected of it: {memory.message}")
    if at.closed:
        return Decision(node=at.name, do=LEFT, said=f"it is {at.closed}: {memory.message}", failing=True)
    also = f" ({at.otherwise})" if at.otherwise else ""
    return Decision(node=at.name, do=OUT, said=memory.message + also, memory=memory, failing=True)


def _held(
    at: Standing, known: Sequence[tuple[datetime, Look]], wrong: Mapping[str, Wrong], why: str,
    limits: Limits,
) -> Decision:  # fmt: skip
    """One that is out."""
    if at.memory is None:
        return Decision(node=at.name, do=LEFT, said="it has our mark and no state of ours, so it is somebody's own")
    after, worst = counted(at.memory, known, wrong), max(wrong, key=lambda each: wrong[each].when, default=None)
    mended = after.clean >= limits.clean and not after.also and not worst
    if mended and at.closed:
        return Decision(node=at.name, do=LEFT, said=f"it is clean, and {at.closed}: {after.message}")
    if mended:
        stays = f", and is {at.otherwise} still" if at.otherwise else ""
        said = f"{after.clean} clean reports in a row after {after.message}{stays}"
        return Decision(node=at.name, do=BACK, said=said)
    said = f"{after.clean} of {limits.clean} clean reports until it is given back: {after.message}"
    if after.also and after.clean >= limits.clean:
        said = f"it failed for {after.also[0]} too, which was not asked again"
    if worst:
        said = f"it fails still: {worst}: {wrong[worst].why}"
    if after != at.memory:
        do = COUNTED if at.keeps else LEFT
        return Decision(node=at.name, do=do, said=said, memory=after, failing=bool(worst))
    if at.shown != after.message:
        said = f"its condition did not tell what its mark does: {after.message}"
        return Decision(node=at.name, do=TIDIED, said=said, memory=after, failing=bool(worst))
    told = f"{said} ({why or 'no newer report that asked the rule, and of as many GPUs'})"
    return Decision(node=at.name, do=LEFT, said=told, failing=bool(worst))


def _within(found: Sequence[Decision], standings: Sequence[Standing], limits: Limits,
            most: Callable[[int, float], int]) -> Plan:  # fmt: skip
    nodes, out = sum(each.gpus or each.out for each in standings), sum(each.out for each in standings)
    limit = most(nodes, limits.share)
    back = [each for each in found if each.do == BACK]
    rules = {each.node: each.memory.rule for each in found if each.do == OUT and each.memory}
    often, wanted = Counter(rules.values()), [each for each in found if each.do == OUT]
    wanted.sort(key=lambda each: (often[rules[each.node]], rules[each.node], each.node))
    room = max(0, limit - out + len(back))
    over = None
    if wanted[room:]:
        failed = sum(each.failing for each in found)
        had = f", {out} already" if out else ""
        over = (f"{failed} of {nodes} nodes failed, at most {limit} may be drained at once ({limits.share:g} %){had}: "
                "a wrong table must not empty a cluster; those with the rarest cause go first")  # fmt: skip
    undone = [replace(each, do=UNDONE, said=f"too many at once: {each.said}") for each in wanted[room:]]
    rest = (each for each in found if each.do not in (BACK, OUT))
    return Plan(decisions=(*back, *wanted[:room], *undone, *rest), nodes=nodes, out=out, most=limit, over=over)


def _strangers(
    rows: Mapping[str, Sequence[Node]], there: Sequence[str], limits: Limits, now: datetime
) -> Iterator[Decision]:
    """Whose reports came, and whom the cluster does not have."""
    for number, (name, own) in enumerate(sorted(rows.items())):
        for row in own[:1]:
            if not row.command and row.kind != "missing":
                yield Decision(node=name, do=UNKNOWN, said=row.reason)
                continue
            near = difflib.get_close_matches(name, there, n=1, cutoff=0.5) if number < NEAREST else []
            said = "the cluster has no node of this name" + (f"; perhaps {near[0]}" if near else "")
            when = moment(row.when)
            counts = row.kind == "fail" and not row.doubt and when and not old(when, limits.age, now)
            yield Decision(node=name, do=UNDONE if counts else UNKNOWN, said=said)
