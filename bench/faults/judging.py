"""What a fault may not do: hang a run, crash it, or make a rule pass on what it did not get.

A false pass is a rule that passes with the fault although it failed without it, or although it could have failed: an
answer that the fault took away is replaced by others that might have stood there, and one of them fails the rule.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from gpucheck import compat, engine
from gpucheck.facts import Facts, Version
from gpucheck.model import BUG, Finding, Status
from gpucheck.probes.nvml import words
from gpucheck.rules import HOST_RULES

TABLES = compat.load()
RULES = {rule.id: rule for rule in HOST_RULES}
WORDS: Mapping[str, tuple[Any, ...]] = {
    "compute_mode": tuple(words.COMPUTE_MODES.values()),
    "fabric_state": tuple(words.FABRIC_STATES.values()),
    "fabric_status": ("SUCCESS", "NOT_SUPPORTED"),
    "throttle_reasons": ((), ("hw_slowdown", "hw_thermal_slowdown", "hw_power_brake_slowdown"), ("sw_power_cap",)),
}
# What is known from elsewhere too: of a wheel whose own word on its CUDA is gone the tables have it, of a GPU whose
# compute capability is gone the bus, of a driver that /proc does not name NVML.
ELSEWHERE = (("packages", "cuda"), ("packages", "cpu_only"), ("gpus", "compute_capability"), ("version",))
NUMBERS = (0, 1, 2, 5, 64, 95, 513, 10**4, 10**7)


@dataclass
class Tally:
    runs: int = 0
    hangs: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)
    false_passes: list[str] = field(default_factory=list)

    def __add__(self, other: Tally) -> Tally:
        return Tally(*(getattr(self, f.name) + getattr(other, f.name) for f in dataclasses.fields(self)))

    @property
    def faults(self) -> list[str]:
        return [*self.hangs, *self.crashes, *self.false_passes]


def judge(facts: Facts) -> dict[str, Finding]:
    return {finding.rule: finding for finding in engine.judge(HOST_RULES, facts, TABLES)}


def examine(tally: Tally, case: str, before: Facts, found: dict[str, Finding], after: Facts) -> None:
    """Add one run to the tally: `found` is what the rules say of `before`, the same machine without the fault."""
    tally.runs += 1
    now = judge(after)
    bugs = [reason for reason in (*after.unknown.values(), *(f.message for f in now.values())) if BUG in reason]
    tally.crashes += [f"{case}: {reason}" for reason in dict.fromkeys(bugs)]
    for name, finding in now.items():
        if finding.status is Status.PASS:
            if found[name].status is Status.FAIL:
                tally.false_passes.append(f"{case}: {name} failed, and now says: {finding.message}")
            elif why := _could_have_failed(name, before, after):
                tally.false_passes.append(f"{case}: {name} says: {finding.message}; with {why} it fails")


def _could_have_failed(name: str, before: Facts, after: Facts) -> str | None:
    for subject, _ in RULES[name].needs.values():
        if subject not in before.known or subject not in after.known:
            continue
        for path in _lost(before.known[subject], after.known[subject], ()):
            was = _at(before.known[subject], path)
            for value in _others(path, was):
                known = {**after.known, subject: _put(after.known[subject], path, value)}
                (finding,) = engine.judge([RULES[name]], Facts(known=known, unknown=after.unknown), TABLES)
                if finding.status is Status.FAIL:
                    return f"{subject.__name__}.{'.'.join(map(str, path))} = {value!r} ({finding.message})"
    return None


def _lost(before: Any, after: Any, path: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    """Where an answer stood and now there is none."""
    if before == after:
        return
    if dataclasses.is_dataclass(before) and type(before) is type(after):
        for each in dataclasses.fields(before):
            yield from _lost(getattr(before, each.name), getattr(after, each.name), (*path, each.name))
    elif isinstance(before, tuple) and isinstance(after, tuple) and len(before) == len(after):
        for place, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _lost(old, new, (*path, place))
    elif path and after in (None, ()):
        yield path


def _others(path: tuple[Any, ...], was: Any) -> tuple[Any, ...]:
    names = [part for part in path if isinstance(part, str)]
    if tuple(names) in ELSEWHERE:
        return ()
    name = names[-1]
    if name in WORDS:
        return WORDS[name]
    if isinstance(was, bool):
        return (True, False)
    if isinstance(was, int):
        return (*NUMBERS, was // 2, was * 2)
    if isinstance(was, Version):
        return (Version("0.1"), Version("99999"))
    return ()


def _at(value: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        value = getattr(value, part) if isinstance(part, str) else value[part]
    return value


def _put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    first, rest = path[0], path[1:]
    if isinstance(first, str):
        return dataclasses.replace(value, **{first: _put(getattr(value, first), rest, new)})
    return (*value[:first], _put(value[first], rest, new), *value[first + 1 :])
