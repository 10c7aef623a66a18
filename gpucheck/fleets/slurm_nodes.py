"""Which nodes a cluster has and which of them a run may ask, as `sinfo` tells.

Its text formats, and not --json: that is another document in every release (Slurm 22.05 to 25), these are the same.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from gpucheck.fleets.runs import Asked, none_such, printable
from gpucheck.model import Failure

Ask = Callable[[Sequence[str]], str]  # a Slurm command -> what it printed
FORMAT = "%N|%P|%T|%G|%b|%E"  # node, partition (the default one with *), state, GRES, active features, reason
FREE = ("idle", "planned")
BUSY = ("mixed", "allocated", "completing")
NAMES = re.compile(r"\w[\w.,\[\]-]*")  # of nodes and partitions: nothing that a command takes for an option
GPUS = re.compile(r"(?:^|,)gpu(?::[^:,()]+)?:(\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    name: str
    partitions: tuple[str, ...]  # the default one first
    state: str  # as sinfo has it: "idle", "down*"
    gpus: int
    features: frozenset[str]
    reason: str

    @property
    def told(self) -> str:
        """Its state in words, with the reason that the administrator or a health check gave."""
        silent = " and does not respond" if self.state.endswith("*") else ""
        asleep = " (powered down or on the way)" if self.state[-1:] in "~#!%" else ""
        state = self.state.rstrip("*~#!%$@^-")
        stale = state in (*FREE, *BUSY)  # a reason stays when the node is resumed
        reason = "" if stale or self.reason.casefold() in ("", "none") else f": {self.reason}"
        return printable(f"{state}{silent}{asleep}{reason}")

    def unfit(self, busy: bool) -> str | None:
        """Why no job is sent to it; None where one is."""
        state = self.state.rstrip("-@")  # planned for a job later; to be rebooted when it is free
        if state in FREE or (busy and state in BUSY):
            return None
        tip = ", and only idle nodes were asked for (busy waits for it)" if state in BUSY else ""
        return f"it is {self.told}{tip}"


def parse(text: str) -> dict[str, Node]:
    """Of `sinfo --noheader --Node --format FORMAT`: a line for each node in each partition."""
    found: dict[str, Node] = {}
    for line in text.splitlines():
        cells = line.strip().split("|", 5)
        if len(cells) < 6:
            continue
        name, partition, state, gres, features, reason = cells
        before = found[name].partitions if name in found else ()
        own = partition.rstrip("*")
        found[name] = Node(
            name=name, partitions=(own, *before) if partition.endswith("*") else (*before, own), state=state,
            gpus=sum(map(int, GPUS.findall(gres))), features=frozenset(features.split(",")) - {"(null)"},
            reason=reason,
        )  # fmt: skip
    return found


def sinfo(ask: Ask) -> dict[str, Node]:
    return parse(ask(("sinfo", "--noheader", "--Node", "--format", FORMAT)))


def chosen(asked: Asked, there: Mapping[str, Node], ask: Ask) -> tuple[Node, ...]:
    """The expected nodes, by name, partition and feature, each with the partition that is meant first.

    Raises Failure for a name that does not exist, and where there is none.
    """
    partitions = tuple(filter(None, asked.options.get("partition", "").split(",")))
    known = {partition for node in there.values() for partition in node.partitions}
    for partition in partitions:
        if partition not in known:
            raise none_such("partition", partition, known)
    picked = [_within(there[name], partitions) for name in _named(asked.nodes, there, ask)]
    if asked.nodes and None in picked:
        outside = next(name for name, node in zip(_named(asked.nodes, there, ask), picked, strict=True) if node is None)
        raise Failure(
            f"{outside} is not in partition {','.join(partitions)}", f"`sinfo --nodes={outside}` shows its own"
        )
    fits = _features(asked.options.get("constraint", ""), there)
    found = tuple(node for node in picked if node and fits(node.features))
    if not found:
        raise Failure(
            "no node of this cluster is meant", "`sinfo` shows nodes and partitions, `sinfo -o '%n %b'` features"
        )
    return found


def _named(names: Sequence[str], there: Mapping[str, Node], ask: Ask) -> list[str]:
    if not names:
        return sorted(there)
    expanded: dict[str, None] = {}
    for name in names:
        if not NAMES.fullmatch(name):
            raise none_such("node", name, there)
        for each in ask(("scontrol", "show", "hostnames", name)).split():
            if each not in there:
                raise none_such("node", each, there)
            expanded[each] = None
    return list(expanded)


def _within(node: Node, partitions: tuple[str, ...]) -> Node | None:
    own = tuple(each for each in node.partitions if not partitions or each in partitions)
    return Node(
        name=node.name, partitions=own, state=node.state, gpus=node.gpus, features=node.features, reason=node.reason
    ) if own else None  # fmt: skip


def _features(constraint: str, there: Mapping[str, Node]) -> Callable[[frozenset[str]], bool]:
    """Slurm's own `a&b|c`, without its counts and brackets, which are about jobs of several nodes."""
    ways = [frozenset(way.split("&")) for way in constraint.split("|")] if constraint else []
    known = {feature for node in there.values() for feature in node.features}
    for feature in sorted(frozenset().union(*ways)):
        if feature not in known:
            raise none_such("feature", feature, known)
    return lambda features: not ways or any(way <= features for way in ways)
