"""Which report is whose: reports under another name, two machines with one name, one machine twice, nobody's report."""

from __future__ import annotations

import functools
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace

from gpucheck.nodes import ORDER, Node, age, bare, doubted

FEW = 3  # names in a sentence
TOGETHER = 600.0  # seconds that two boots went on beside each other: more than a clock that was set right, or a restart


class Names:
    """The nodes that are known, in one spelling: n1 is n1.cluster where one of them has no domain."""

    def __init__(self, expected: Iterable[str], there: Iterable[str]) -> None:
        self.exact: dict[str, str] = {}
        self.bare: dict[str, set[str]] = defaultdict(set)
        self._add(expected)
        self._add(sorted(name for name in set(there) if self.find(name) is None))

    def _add(self, names: Iterable[str]) -> None:
        for name in names:
            self.exact.setdefault(name.lower(), name)
            self.bare[bare(name.lower())].add(self.exact[name.lower()])

    def find(self, name: str | None) -> str | None:
        low = (name or "").lower()
        if low in self.exact:
            return self.exact[low]
        first = bare(low)
        near = {each for each in self.bare.get(first, ()) if first == low or "." not in each}
        return near.pop() if len(near) == 1 else None


def told_apart(rows: Iterable[Node], names: Names, twice: Counter[str]) -> list[Node]:
    """The rows under the names that they have, and those in doubt never green; counts what newer ones took away."""
    groups: dict[tuple[str, str], list[Node]] = defaultdict(list)
    for row in rows:
        named = _named(row, names)
        groups[named.name, named.command].append(named)
    found: list[Node] = []
    for (name, _), group in groups.items():
        machines = list(_machines(group))
        twice[name] += len(group) - len(machines)
        found += machines
    return _shared(found)


def newer(one: Node, other: Node) -> Node:
    """Of two reports of one machine the newest; of the same moment the worse."""
    return max(one, other, key=lambda row: (age(row)[0], -ORDER.index(row.kind), str(row.order)))


def _named(row: Node, names: Names) -> Node:
    """Under the name of the node that it should be of, where that is a node's and the report claims another."""
    own, should = names.find(row.name) or row.name, names.find(row.node)
    if should is None or should == own or not row.command:
        return replace(row, name=(should or row.name) if not row.command else own)
    return doubted(replace(row, name=should), f"its report ({row.source}) says that it is {own}")


def _machines(group: Sequence[Node]) -> Iterator[Node]:
    """Of one name and command: one row a machine, which its GPUs tell, be it one of them; else what boot it was."""
    machines: list[list[Node]] = []
    for row in group:
        if row.uuids:
            same = [rows for rows in machines if any(set(row.uuids) & set(other.uuids) for other in rows)]
            machines = [rows for rows in machines if rows not in same]
            machines.append([row, *(other for rows in same for other in rows)])
    sighted = machines if len(machines) == 1 else []
    blind: list[list[Node]] = []
    for row in sorted((row for row in group if not row.uuids), key=lambda row: str(row.order)):
        fits = [rows for rows in (*sighted, *blind) if not any(_apart(row, other) for other in rows)]
        if fits:
            fits[0].append(row)
        else:
            blind.append([row])
    machines += blind
    newest = [functools.reduce(newer, rows) for rows in machines]
    sources = ", ".join(sorted({row.source for row in newest})[:FEW])
    for row in newest:
        yield row if len(newest) == 1 else doubted(row, f"{len(newest)} machines have this name ({sources})")


def _apart(one: Node, other: Node) -> bool:
    """Whether these were two boots at the same time: one after the other is one machine, restarted."""
    if not one.boot or not other.boot or one.boot.id == other.boot.id:
        return False
    return min(one.boot.seen, other.boot.seen) - max(one.boot.begin, other.boot.begin) > TOGETHER


def _shared(rows: list[Node]) -> list[Node]:
    """A GPU is in one machine: who reports that of another node is not who it says, or is the other by another name."""
    owners: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        if not row.doubt:
            for uuid in row.uuids:
                owners[uuid].add(row.name)
    return [_alone(row, {name for uuid in row.uuids for name in owners.get(uuid, ())}) for row in rows]


def _alone(row: Node, owners: set[str]) -> Node:
    others = owners - {row.name}
    return doubted(row, f"its GPUs are those of {few(others)} too") if others and not row.doubt else row


def few(names: Iterable[str]) -> str:
    told = sorted(set(names))
    return ", ".join(told[:FEW]) + (f" and {len(told) - FEW:,} more" if len(told) > FEW else "")
