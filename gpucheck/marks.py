"""What is kept with a node that is out by us, and what newer reports make of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import zip_longest

from gpucheck.looks import FEW, Look
from gpucheck.nodes import moment


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    rule: str
    reason: str
    since: str  # ISO 8601, as all times here
    counted: str  # of the newest report that was counted: none is counted twice
    clean: int = 0  # in a row
    gpus: tuple[int, ...] = ()  # how many were seen then
    also: tuple[str, ...] = ()  # the other rules that failed, and were not clean since

    @property
    def message(self) -> str:
        return f"{self.rule}: {self.reason}"


def counted(before: Memory, known: Sequence[tuple[datetime, Look]], failing: Iterable[str]) -> Memory:
    """A report counts that is newer than the mark and than all that were counted before.

    `known`: all that are given, the oldest first; `failing`: the rules that by these fail still, counted or not.
    """
    after, floor = before, max(filter(None, map(moment, (before.since, before.counted))))
    also = set(before.also)
    for when, each in known:
        asked = each.holds(after.rule, after.gpus)
        if when <= floor or not (each.failed or asked or also & each.clean):
            continue
        floor, also = when, also - each.clean
        if each.failed:
            also |= {*each.also} if asked else {*each.also, after.rule}
            had = after.gpus if each.rule == after.rule else ()
            gpus = tuple(map(max, zip_longest(each.gpus, had, fillvalue=0)))
            after = replace(after, rule=each.rule, reason=each.reason, gpus=gpus, clean=0, counted=when.isoformat())
        else:
            after = replace(after, clean=after.clean + asked, counted=when.isoformat())
    return replace(after, also=others({*also, *failing}, after.rule))


def others(rules: Iterable[str], rule: str) -> tuple[str, ...]:
    return tuple(each for each in sorted(set(rules)) if each != rule)[:FEW]
