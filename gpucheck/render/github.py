"""Annotations of a GitHub Actions run, as workflow commands: the verdict first, then what failed and what is unknown.

GitHub shows ten of each level in a step, in this order; the rest is in the log. A passed or skipped rule says nothing.
Every line is a command of ours, so nothing from a machine can be one.
"""

from __future__ import annotations

from collections.abc import Sequence

from gpucheck.model import Finding, Report, Severity, Status
from gpucheck.render.wording import printable, remedy_lines, sentence, weighs

LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}
MOST = 4000  # characters of one line of a message


def render(reports: Sequence[Report]) -> str:
    return "".join(f"{line}\n" for report in reports for line in _lines(report))


def _lines(report: Report) -> list[str]:
    about = f"gpucheck {report.command} on {report.host}"
    cause = report.root_cause
    lines = [_command("notice" if report.exit_code == 0 else "error", about, [report.verdict])]
    failed = sorted(report.of(Status.FAIL), key=lambda finding: finding is not cause)
    for finding in (*failed, *report.of(Status.UNKNOWN)):
        known = "" if finding.status is Status.FAIL else "unknown: "
        lines.append(
            _command(
                _level(report, finding), f"{known}{finding.rule} on {report.host}",
                [f"{known}{sentence(finding)}", *remedy_lines(report, finding)],
            )
        )  # fmt: skip
    return lines


def _level(report: Report, finding: Finding) -> str:
    if weighs(report, finding):
        return "error"
    return "warning" if finding.status is Status.UNKNOWN else LEVELS[finding.severity]


def _command(level: str, title: str, message: list[str]) -> str:
    """Escaped as the runner undoes it: https://github.com/actions/runner, src/Runner.Common/ActionCommand.cs."""
    shown = (line if len(line) <= MOST else f"{line[:MOST]}…" for line in map(printable, message))
    data = "\n".join(shown).replace("%", "%25").replace("\n", "%0A")
    name = printable(title)[:200].replace("%", "%25").replace(":", "%3A").replace(",", "%2C")
    return f"::{level} title={name}::{data}"
