"""What several formats say alike: text that steers nothing, a remedy in lines, and which findings weigh."""

from __future__ import annotations

from gpucheck.facts import System
from gpucheck.model import BUG, Finding, Report, Severity, Status


def printable(text: str) -> str:
    """One line in which nothing that came from a machine can steer a terminal, a parser or a shell."""
    return text if text.isprintable() else "".join(char if char.isprintable() else " " for char in text)


def sentence(finding: Finding) -> str:
    """What was seen, and of what."""
    return printable(finding.message + (f" ({', '.join(finding.affects)})" if finding.affects else ""))


def remedy_lines(report: Report, finding: Finding) -> list[str]:
    """How to put it right on this host, a line each; none where there is no remedy."""
    remedy = finding.remedy
    if not remedy:
        return []
    system = report.facts.known.get(System)
    lines = [f"fix (impact: {remedy.impact}): {remedy.text}"]
    lines += [f"needs: {remedy.precondition}"] if remedy.precondition else []
    lines += [f"  $ {command}" for command in remedy.commands_for(system.os_family if system else None)]
    lines += [f"see {remedy.url}"] if remedy.url else []
    return [printable(line) for line in (*lines, f"then: {remedy.verify} · why: gpucheck explain {finding.rule}")]


def weighs(report: Report, finding: Finding) -> bool:
    """Whether this finding alone keeps the exit code from 0, by the same law as Report.exit_code."""
    if finding.rule == report.answer and finding.status is not Status.PASS:
        return True
    if finding.status is Status.FAIL:
        return finding.severity is Severity.ERROR or (report.strict and finding.severity is Severity.WARNING)
    if finding.status is Status.UNKNOWN:
        return finding.severity is Severity.ERROR or report.strict or finding.message.startswith(BUG)
    return False
