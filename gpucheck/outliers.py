"""The odd ones out, without configuration: what differs from the node's siblings, the same GPUs in the same number.

A setting is odd where a clear majority of the siblings has another; a figure where it is far from their median, by the
median of their own distances from it, and to the worse. Where there is no clear majority, or where the siblings are
few, nothing is said.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from gpucheck.nodes import Node, age
from gpucheck.traits import Figure

FEWEST = 4  # siblings, the node itself not counted
CLEAR = 0.75  # of the siblings agree
FAR = 6.0  # times what the siblings differ by: 1.4826 × MAD is a normal distribution's standard deviation
SIGMA = 1.4826
FLOOR = 0.10  # of the median; siblings that all agree to a hair make nobody odd
COUNT = "number of GPUs"


@dataclass(frozen=True, kw_only=True, slots=True)
class Odd:
    """`agree` of `siblings` have what is `usual`."""

    node: str
    model: str
    trait: str
    value: str
    usual: str
    agree: int
    siblings: int


@dataclass(frozen=True, kw_only=True, slots=True)
class OddOnes:
    """Those that differ in the same way, together."""

    nodes: tuple[str, ...]
    model: str
    trait: str
    value: str
    usual: str
    agree: int
    siblings: int


def odd(nodes: Iterable[Node]) -> tuple[Odd, ...]:
    """Of reports that can be told apart: what several reports of one node say counts once, and the newest counts."""
    machines = _machines(nodes)
    groups = _groups(machines)
    found = [*_counts(groups)]
    for (ids, model), group in groups.items():
        number, times, _ = ids.partition(" × ")
        label = f"{number} × {model}" if model and times and "+" not in ids else model or ids
        found += [*_settings(label, group), *_figures(label, group)]
    return tuple(sorted(found, key=lambda each: (each.trait, each.node, each.value)))


def together(found: Iterable[Odd]) -> tuple[OddOnes, ...]:
    """The most nodes first. Figures differ from node to node, so each is told alone."""
    groups: dict[tuple[str, ...], list[Odd]] = {}
    for each in found:
        groups.setdefault((each.trait, each.model, each.value, each.usual), []).append(each)
    made = [
        OddOnes(nodes=tuple(sorted({each.node for each in group})), model=one.model, trait=one.trait, value=one.value,
                usual=one.usual, agree=one.agree, siblings=one.siblings)
        for group in groups.values() for one in group[:1]
    ]  # fmt: skip
    return tuple(sorted(made, key=lambda each: (-len(each.nodes), each.trait, each.nodes, each.value)))


def _machines(nodes: Iterable[Node]) -> list[Node]:
    """One a name: of its reports the newest that has a thing has it."""
    found: dict[str, list[Node]] = {}
    for node in nodes:
        found.setdefault(node.name, []).append(node)
    return [_merged(sorted(each, key=lambda node: (age(node), node.order))) for each in found.values()]


def _merged(reports: Sequence[Node]) -> Node:
    newest = reports[-1]
    if len(reports) == 1:
        return newest
    return Node(
        name=newest.name, kind=newest.kind,
        ids=next((node.ids for node in reversed(reports) if node.ids), None),
        names=next((node.names for node in reversed(reports) if node.names), None),
        traits={name: value for node in reports for name, value in node.traits.items()},
        figures={name: figure for node in reports for name, figure in node.figures.items()},
    )  # fmt: skip


def _groups(machines: Sequence[Node]) -> dict[tuple[str, str], list[Node]]:
    """By what the GPUs are. One whose driver does not name them is with those of its PCI ids."""
    known = Counter((node.ids, node.names) for node in machines if node.ids and node.names)
    usual: dict[str | None, str | None] = {}
    for (ids, names), _ in sorted(known.items(), key=lambda item: (-item[1], str(item[0]))):
        usual.setdefault(ids, names)
    groups: dict[tuple[str, str], list[Node]] = {}
    for node in machines:
        if node.ids or node.names:
            names = node.names or usual.get(node.ids) or ""
            groups.setdefault((node.ids or "", names), []).append(node)
    return groups


def _settings(model: str, group: Sequence[Node]) -> Iterator[Odd]:
    for trait in dict.fromkeys(name for node in group for name in node.traits):
        had = [(node, node.traits[trait]) for node in group if trait in node.traits]
        votes, siblings = Counter(value for _, value in had), len(had) - 1
        usual, agree = max(votes.items(), key=lambda item: (item[1], item[0]))
        if siblings >= FEWEST and agree >= CLEAR * len(had):
            for node, value in had:
                if value != usual:
                    yield Odd(node=node.name, model=model, trait=trait, value=value, usual=usual, agree=agree,
                              siblings=siblings)  # fmt: skip


def _figures(model: str, group: Sequence[Node]) -> Iterator[Odd]:
    for name in dict.fromkeys(name for node in group for name in node.figures):
        had = [(node, node.figures[name]) for node in group if name in node.figures]
        siblings = len(had) - 1
        if siblings < FEWEST:
            continue
        median = statistics.median(figure.value for _, figure in had)
        spread = SIGMA * statistics.median(abs(figure.value - median) for _, figure in had)
        most = max(FAR * spread, FLOOR * median)
        far = [(node, figure) for node, figure in had if abs(figure.value - median) > most]
        agree = len(had) - len(far)
        if agree >= CLEAR * len(had):
            for node, figure in far:
                if (figure.value > median) is figure.more_is_worse:
                    yield Odd(node=node.name, model=model, trait=name, value=_told(figure),
                              usual=f"{median:.4g} {figure.unit} (median)", agree=agree, siblings=siblings)  # fmt: skip


def _told(figure: Figure) -> str:
    return f"{figure.value:.4g} {figure.unit}" + (f" ({figure.of})" if figure.of else "")


def _counts(groups: dict[tuple[str, str], list[Node]]) -> Iterator[Odd]:
    """A node that has fewer GPUs than nearly all of this model, and no class of its own: one left the bus unseen."""
    models: dict[tuple[str, str], list[tuple[int, Node]]] = {}
    for (ids, names), group in groups.items():
        written, _, device = ids.partition(" × ")
        if written.isdecimal() and "+" not in device:
            models.setdefault((device, names), []).extend((int(written), node) for node in group)
    for (_, names), had in models.items():
        votes, siblings = Counter(number for number, _ in had), len(had) - 1
        most, agree = max(votes.items(), key=lambda item: (item[1], item[0]))
        if siblings >= FEWEST and agree >= CLEAR * len(had):
            for number, node in had:
                if number < most and votes[number] < FEWEST:
                    yield Odd(node=node.name, model=names or "GPUs", trait=COUNT, value=str(number), usual=str(most),
                              agree=agree, siblings=siblings)  # fmt: skip
