"""A fleet from the reports of its nodes, in whatever order they come: rows, causes, odd ones, and what has changed.

Of each report only a small row is kept. Whoever cannot be told from another node, or did not answer, is never green.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from gpucheck import alike, nodes, outliers, telling
from gpucheck.nodes import ORDER, Arrived, Node, Unread
from gpucheck.outliers import Odd, OddOnes

NO_REPORT = "no report came from it"
CHANGES = ("new", "still", "mended", "gone", "came")


class Cause(NamedTuple):
    """Rows that are not right for the same reason."""

    kind: str
    rule: str | None
    said: str
    nodes: tuple[str, ...]
    source: str  # of the first of them


class Change(NamedTuple):
    what: str  # of CHANGES
    node: str
    command: str
    kind: str  # now; of one that is gone, as it was
    said: str  # why it is not right; of one that is right again, why it was not


@dataclass(frozen=True, kw_only=True, slots=True)
class Fleet:
    nodes: tuple[Node, ...]  # the worst first
    causes: tuple[Cause, ...]  # the commonest first
    odd: tuple[Odd, ...]
    remarks: tuple[str, ...] = ()  # what is strange about the reports themselves, a sentence each
    changes: tuple[Change, ...] | None = None  # None = there was nothing to compare with

    @property
    def counts(self) -> dict[str, int]:
        found = Counter(node.kind for node in self.nodes)
        return {kind: found[kind] for kind in ORDER if found[kind]}

    @property
    def exit_code(self) -> int:
        """1 any fails; 3 any is missing, unread or unknown, or there is none at all; else 0."""
        if "fail" in self.counts:
            return 1
        return 0 if self.counts.keys() == {"pass"} else 3

    @property
    def odd_ones(self) -> tuple[OddOnes, ...]:
        return outliers.together(self.odd)


def collect(came: Iterable[Arrived | Unread], expected: Sequence[str] = ()) -> Fleet:
    """`expected`: every node that should be here. One of which nothing came is a row, and missing."""
    rows: dict[object, Node] = {}
    twice: Counter[str] = Counter()
    for each in came:
        row = nodes.of(each) if isinstance(each, Arrived) else nodes.unread(each)
        key = (row.name, row.command, row.node, row.uuids, row.boot and row.boot.id, "" if row.command else row.source)
        twice[row.name] += key in rows
        rows[key] = telling.newer(rows[key], row) if key in rows else row
    names = telling.Names(expected, (row.name for row in rows.values() if row.command))
    told = telling.told_apart(rows.values(), names, twice)
    there = {row.name for row in told}
    told += [
        Node(name=name, kind="missing", reason=NO_REPORT)
        for name in dict.fromkeys(filter(None, map(names.find, expected)))
        if name not in there
    ]
    causes = tuple(_causes(told))
    often = {name: -len(cause.nodes) for cause in reversed(causes) for name in cause.nodes}
    told.sort(key=lambda row: (ORDER.index(row.kind), often.get(row.name, 0), row.rule or "", row.order))
    return Fleet(
        nodes=tuple(told), causes=causes, odd=outliers.odd(row for row in told if row.command and not row.doubt),
        remarks=tuple(_remarks(+twice, expected, told)),
    )  # fmt: skip


def _causes(rows: Sequence[Node]) -> Iterator[Cause]:
    groups: dict[tuple[str, str | None, str], tuple[tuple[str, ...], list[Node]]] = {}
    for row in rows:
        if row.kind != "pass":
            pattern, own = alike.pattern(row.reason, row.name)
            had, members = groups.get((row.kind, row.rule, pattern), (own, []))
            groups[row.kind, row.rule, pattern] = alike.merged(had, own), members
            members.append(row)
    found = []
    for (kind, rule, pattern), (own, members) in groups.items():
        said = members[0].reason if len(members) == 1 else alike.sentence(pattern, own)
        first = min(members, key=lambda row: row.order)
        found.append(Cause(kind, rule, said, tuple(sorted({row.name for row in members})), first.source))
    yield from sorted(
        found, key=lambda each: (-len(each.nodes), ORDER.index(each.kind), each.rule or "", each.said, each.nodes)
    )


def _remarks(twice: Counter[str], expected: Sequence[str], rows: Sequence[Node]) -> Iterator[str]:
    if twice:
        yield f"{telling.few(twice)} {'has' if len(twice) == 1 else 'have'} several reports: the newest counts"
    others = {row.name for row in rows if row.command} - set(expected)
    if expected and others:
        yield f"nobody expected {telling.few(others)}; what came is judged all the same"


def changes(before: Fleet, now: Fleet) -> tuple[Change, ...]:
    """Node by node: what broke, what is broken still, what is mended, who went and who came."""
    was, are = _by_name(before), _by_name(now)
    found = [change for name in {**was, **are} for change in _changes(was.get(name), are.get(name))]
    return tuple(sorted(found, key=lambda each: (CHANGES.index(each.what), each)))


def _by_name(fleet: Fleet) -> dict[str, dict[str, Node]]:
    found: dict[str, dict[str, Node]] = {}
    for row in reversed(fleet.nodes):  # so that of twins the worse is told
        if row.command or row.kind == "missing" or row.name != row.source:
            found.setdefault(row.name.lower(), {})[row.command] = row
    return found


def _changes(was: Mapping[str, Node] | None, are: Mapping[str, Node] | None) -> Iterator[Change]:
    for command in sorted({*(was or {}), *(are or {})} - {""}) or [""]:
        old, new = ((side or {}).get(command) or (side or {}).get("") for side in (was, are))
        if not was or not are:
            there, what = (new, "came") if new else (old, "gone")
            if there and there.kind != "missing":
                yield Change(what, there.name, there.command, there.kind, there.said)
        elif old and new and (old.kind, new.kind) != ("pass", "pass"):
            what = "mended" if new.kind == "pass" else "new" if old.kind == "pass" else "still"
            yield Change(what, new.name, command, new.kind, old.said if what == "mended" else new.said)
