"""Which nodes a cluster has and which of them a run may ask, as `sinfo` tells.

Its text formats, and not --json: that is another document in every release (Slurm 22.05 to 25), these are the same.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from gpucheck.fleets.runs import Asked, none_such, printable
from gpucheck.model import Failure

Ask = Callable[[Sequence[str]], str]  # a Slurm command -> what it printed
FORMAT = "%N|%P|%T|%G|%b|%n|%E"  # node, partition (the default with *), state, GRES, active features, host, reason
# Its states and what it marks them with: sinfo(1), NODE STATE CODES; which of both it shows of a node that has several:
# SchedMD/slurm, src/common/slurm_protocol_defs.c, node_state_string().
FREE = ("idle", "planned")
BUSY = ("mixed", "allocated", "completing", "blocked")  # blocked: by a job that has its switch for itself
RESERVED = ("reserved", "maint")  # idle, for the jobs of a reservation
MEANT = {
    "maint": "in a reservation for maintenance", "inval": "it has not what slurm.conf says",
    "future": "it is not set up yet", "perfctrs": "its network counters are in use",
    "unknown": "slurmctld has just begun",
}  # fmt: skip
MARKS = {
    "*": " and does not respond", "~": ", powered down", "#": ", powering up", "!": ", to be powered down",
    "%": ", powering down", "^": ", with a reboot on the way", "$": ", in a reservation for maintenance",
    "@": ", to be rebooted", "-": ", planned for another job", "+": ", with jobs that end",
}  # fmt: skip
AWAY = "*~#!%^"
NAMES = re.compile(r"\w[\w.,\[\]-]*")  # of nodes and partitions: nothing that a command takes for an option
RESERVATION = re.compile(r"(?m)^ReservationName=(\S+) .*? Nodes=(\S+) .*? Flags=(\S*)")
GPUS = re.compile(r"(?:^|,)gpu(?::[^:,()]+)?:(\d+)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    name: str
    partitions: tuple[str, ...]  # the default one first
    state: str  # as sinfo has it: "idle", "down*"
    gpus: int
    features: frozenset[str]
    host: str  # what the machine calls itself: NodeHostname
    reason: str
    reserved: bool = False  # the run's jobs are of a reservation that it is in

    @property
    def told(self) -> str:
        """Its state in words, with the reason that the administrator or a health check gave."""
        state, marks = self._state
        meant = f" ({MEANT[state]})" if state in MEANT else ""
        stale = state in (*FREE, *BUSY, *RESERVED)  # a reason stays when the node is resumed
        reason = "" if stale or self.reason.casefold() in ("", "none") else f": {self.reason}"
        return printable(f"{state}{meant}{''.join(MARKS[mark] for mark in marks)}{reason}")

    def unfit(self, busy: bool) -> str | None:
        """Why no job is sent to it; None where one is."""
        state, marks = self._state
        works = state in (*FREE, *RESERVED) or (busy and state in BUSY)
        if not works or set(marks) & set(AWAY):
            tip = ", and only idle nodes were asked for (busy waits for it)" if state in BUSY else ""
            return f"it is {self.told}{tip}"
        others = (state in RESERVED or "$" in marks) and not self.reserved
        return f"it is {self.told}, and of no reservation that was asked for" if others else None

    @property
    def _state(self) -> tuple[str, str]:
        state = self.state.rstrip("".join(MARKS))
        return state, self.state[len(state) :]


def parse(text: str) -> dict[str, Node]:
    """Of `sinfo --noheader --Node --format FORMAT`: a line for each node in each partition."""
    found: dict[str, Node] = {}
    for line in text.splitlines():
        cells = line.strip().split("|", 6)
        if len(cells) < 7:
            continue
        name, partition, state, gres, features, host, reason = cells
        before = found[name].partitions if name in found else ()
        own = partition.rstrip("*")
        found[name] = Node(
            name=name, partitions=(own, *before) if partition.endswith("*") else (*before, own), state=state,
            gpus=sum(map(int, GPUS.findall(gres))), features=frozenset(features.split(",")) - {"(null)"},
            host=host, reason=reason,
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
    reservation = asked.options.get("reservation") or os.environ.get("SBATCH_RESERVATION", "")
    allowed = _of_reservations(there, ask, reservation)
    named = _named(asked.nodes, there, ask)
    picked = [_within(allowed[name], partitions) if name in allowed else None for name in named]
    if asked.nodes and None in picked:
        outside = named[picked.index(None)]
        if outside not in allowed:
            raise Failure(f"{outside} is not in reservation {printable(reservation)}",
                          "`scontrol show reservation` shows its nodes")  # fmt: skip
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


def _of_reservations(there: Mapping[str, Node], ask: Ask, wanted: str) -> Mapping[str, Node]:
    """The nodes that a job of these reservations may have; where one is of licences alone, or flexible, all."""
    if not wanted:
        return there
    told = ask(("scontrol", "--oneliner", "show", "reservation"))
    known = {name: (nodes, flags) for name, nodes, flags in RESERVATION.findall(told)}
    inside: set[str] = set()
    anywhere = False
    for name in wanted.split(","):
        if name not in known:
            raise none_such("reservation", name, known)
        nodes, flags = known[name]
        anywhere = anywhere or nodes == "(null)" or "FLEX" in flags.split(",")
        if nodes != "(null)":
            inside.update(ask(("scontrol", "show", "hostnames", nodes)).split())
    return {name: replace(node, reserved=name in inside) for name, node in there.items() if anywhere or name in inside}


def _within(node: Node, partitions: tuple[str, ...]) -> Node | None:
    own = tuple(each for each in node.partitions if not partitions or each in partitions)
    return replace(node, partitions=own) if own else None


def _features(constraint: str, there: Mapping[str, Node]) -> Callable[[frozenset[str]], bool]:
    """Slurm's own `a&b|c`, without its counts and brackets, which are about jobs of several nodes."""
    ways = [frozenset(way.split("&")) for way in constraint.split("|")] if constraint else []
    known = {feature for node in there.values() for feature in node.features}
    for feature in sorted(frozenset().union(*ways)):
        if feature not in known:
            raise none_such("feature", feature, known)
    return lambda features: not ways or any(way <= features for way in ways)
