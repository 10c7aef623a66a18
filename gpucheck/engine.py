"""collect() asks every probe, judge() every rule. Neither names a subject, and nothing hides another's answer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from graphlib import TopologicalSorter
from typing import Any, TypeVar

from gpucheck import __version__
from gpucheck.compat import Compat
from gpucheck.facts import Facts
from gpucheck.host import CannotLook
from gpucheck.model import BUG, Finding, Outcome, Report, Rule, Status, unsure

Source = TypeVar("Source")


def collect(probes: Mapping[type, Callable[[Source], Any]], source: Source, deadline: float = 40.0) -> Facts:
    """Every subject at once, each in its own thread; a source is a host, or the evidence folder of a run.

    A probe that has not answered after `deadline` seconds is left behind, and its subject is unknown.
    """
    known: dict[type, Any] = {}
    unknown: dict[type, str] = {}

    def ask(subject: type, probe: Callable[[Source], Any]) -> None:
        try:
            known[subject] = probe(source)
        except CannotLook as reason:
            unknown[subject] = str(reason)
        except Exception as error:  # noqa: BLE001 - isolation is this function's purpose
            unknown[subject] = f"{BUG}: {type(error).__name__}: {error}"

    threads = {
        subject: threading.Thread(target=ask, args=(subject, probe), daemon=True) for subject, probe in probes.items()
    }
    for thread in threads.values():
        thread.start()
    end = time.monotonic() + deadline
    for subject, thread in threads.items():
        thread.join(max(0.0, end - time.monotonic()))
        if thread.is_alive():
            unknown[subject] = f"not answered within {deadline:g} s"
    late = dict(unknown)
    return Facts(known={s: known[s] for s in probes if s in known and s not in late}, unknown=late)


def judge(rules: Sequence[Rule], facts: Facts, compat: Compat) -> tuple[Finding, ...]:
    """One finding for each rule, in the rules' own order; a rule after a failed one is skipped and names it."""
    by_id = {rule.id: rule for rule in rules}
    graph = {rule.id: [name for name in rule.after if name in by_id] for rule in rules}
    findings: dict[str, Finding] = {}
    for name in TopologicalSorter(graph).static_order():
        rule = by_id[name]
        cause = next((root for root in map(findings.__getitem__, graph[name]) if _blocks(root)), None)
        if cause:
            root = cause.because or cause.rule
            findings[name] = _finding(rule, Outcome(status=Status.SKIP, message=f"waits for {root}"), because=root)
        else:
            findings[name] = _finding(rule, _outcome(rule, facts, compat))
    return tuple(findings[rule.id] for rule in rules)


def _blocks(finding: Finding) -> bool:
    return finding.status is Status.FAIL or finding.because is not None


def _outcome(rule: Rule, facts: Facts, compat: Compat) -> Outcome:
    arguments: dict[str, Any] = {}
    for name, (subject, optional) in rule.needs.items():
        if subject is Compat:
            arguments[name] = compat
        elif subject in facts.known:
            arguments[name] = facts.known[subject]
        elif optional:
            arguments[name] = None
        else:
            return unsure(facts.unknown.get(subject, f"{subject.__name__} was not gathered"))
    try:
        return rule.judge(**arguments)
    except Exception as error:  # noqa: BLE001 - one rule's bug must not hide another's answer
        return unsure(f"{BUG}: {type(error).__name__}: {error}")


def _finding(rule: Rule, outcome: Outcome, because: str | None = None) -> Finding:
    remedy = (outcome.remedy or rule.remedy) if outcome.status is Status.FAIL else None
    return Finding(
        rule=rule.id, title=rule.title, severity=rule.severity, status=outcome.status, message=outcome.message,
        affects=outcome.affects, because=because, remedy=remedy,
    )  # fmt: skip


def report(
    command: str, facts: Facts, findings: tuple[Finding, ...], *, host: str | None = None, answer: str | None = None
) -> Report:
    """`host` is this machine's name unless the facts are another's."""
    return Report(
        tool=f"gpucheck {__version__}", when=datetime.now(UTC).isoformat(timespec="seconds"),
        host=host or socket.gethostname(), command=command, facts=facts, findings=findings, answer=answer,
    )  # fmt: skip
