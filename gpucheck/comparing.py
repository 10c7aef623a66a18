"""What differs between two reports, what matters first: the answers, then the machine, then names, then readings."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from gpucheck import codec
from gpucheck.model import Report


class Rank(IntEnum):
    ANSWER = 0  # a rule's status, the root cause
    VERSION = 1
    MACHINE = 2  # what is there and how it is set
    NAME = 3  # identities and places: of two machines they always differ
    READING = 4  # what differs from one second to the next


MOST_TOLD = 4  # fields of an item that only one of the two has


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    rank: Rank
    what: str  # "Driver.version", "Nvml.gpus[0].vbios", "rule nvml.answers"
    before: str | None  # None = not there
    after: str | None


READINGS = re.compile(
    r"(^|_)(utilization_percent|temperature_c|power_mw|energy_mj|pstate|sm_mhz|memory_mhz|throttle_\w+|pcie_gen|"
    r"memory_used_bytes|memory_free_bytes|memory_reserved_bytes|bar1_used_bytes|processes|uptime_\w+|age_\w+|"
    r"pcie_replays|ecc_volatile_corrected|used_bytes|memory_bytes|\w+_age|\w+_seconds|\w+_s|boot_id|"
    r"h2d_\w+|d2h_\w+|seconds|gb_per_s)$"
)
NAMES = re.compile(r"(^|_)(uuid|serial|pci_address|address|path|id|cpu_affinity|numa_node|minor|python)$")
VERSIONS = re.compile(
    r"(^|_)(version|vbios|release|kernel|os|cuda|client|server|api|podman|gsp_firmware|cuda_version)$"
)
# What an item of a list is known by, where its place in the list says nothing.
KEYS = ("index", "name", "path", "address", "link", "call", "code", "unit", "pid")


def compare(before: Report, after: Report) -> tuple[Change, ...]:
    """Sorted: the most meaningful first, and in the reports' own order within a rank."""
    changes = [*_answers(before, after), *_facts(before, after)]
    return tuple(sorted(changes, key=lambda change: change.rank))


def _answers(before: Report, after: Report) -> Iterator[Change]:
    old, new = ({f.rule: f for f in report.findings} for report in (before, after))
    causes = [report.root_cause.rule if report.root_cause else None for report in (before, after)]
    if causes[0] != causes[1]:
        yield Change(rank=Rank.ANSWER, what="root cause", before=causes[0], after=causes[1])
    for name in dict.fromkeys((*old, *new)):
        told = [f"{f.status}: {f.message}" if (f := found.get(name)) else None for found in (old, new)]
        status = [found[name].status if name in found else None for found in (old, new)]
        waits = any(name in found and found[name].because for found in (old, new))
        if status[0] != status[1] and not waits:
            yield Change(rank=Rank.ANSWER, what=f"rule {name}", before=told[0], after=told[1])
    waiting = [sum(1 for f in found.values() if f.because) for found in (old, new)]
    if waiting[0] != waiting[1]:
        yield Change(rank=Rank.ANSWER, what="rules that wait", before=str(waiting[0]), after=str(waiting[1]))


def _facts(before: Report, after: Report) -> Iterator[Change]:
    facts = [codec.dump(report.facts) for report in (before, after)]
    for part, prefix in (("known", ""), ("unknown", "unknown: ")):
        old, new = facts[0][part], facts[1][part]
        for subject in dict.fromkeys((*old, *new)):
            if part == "unknown" or (subject in old and subject in new):
                for path, was, now in _differences(subject, old.get(subject), new.get(subject)):
                    yield Change(rank=_rank(path), what=prefix + path, before=_text(was), after=_text(now))


def _differences(path: str, old: Any, new: Any) -> Iterator[tuple[str, Any, Any]]:
    if isinstance(old, list) and isinstance(new, list):
        old, new = _by_key(old), _by_key(new)
        bracket = "[{}]".format
    else:
        bracket = ".{}".format
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in dict.fromkeys((*old, *new)):
            yield from _differences(path + bracket(key), old.get(key), new.get(key))
    elif old != new:
        yield path, old, new


def _by_key(items: list[Any]) -> dict[Any, Any]:
    """The items by what names them; plain values by themselves, so that an added one is one difference."""
    if all(isinstance(item, dict) for item in items):
        for key in KEYS:
            names = [item.get(key) for item in items]
            if None not in names and len(set(map(str, names))) == len(names):
                return {str(name): item for name, item in zip(names, items, strict=True)}
        return {str(place): item for place, item in enumerate(items)}
    return {str(item): "there" for item in items}


def _rank(path: str) -> Rank:
    last = re.sub(r"\[[^\]]*\]$", "", path.rpartition(".")[2])
    for pattern, rank in ((READINGS, Rank.READING), (NAMES, Rank.NAME), (VERSIONS, Rank.VERSION)):
        if pattern.search(last):
            return rank
    return Rank.MACHINE


def _text(value: Any) -> str | None:
    if value is None or value == [] or value == {}:
        return None
    if isinstance(value, dict):  # an item that only one of the two has
        told = [f"{key} {_text(item)}" for key, item in value.items() if item not in (None, [], {})]
        return ", ".join(told[:MOST_TOLD]) + (", …" if len(told) > MOST_TOLD else "")
    if isinstance(value, list):
        return ", ".join(str(_text(item)) for item in value)
    return str(value).lower() if isinstance(value, bool) else str(value)
