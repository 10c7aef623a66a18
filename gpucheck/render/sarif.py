"""SARIF 2.1.0, a run a report: what failed, and what is unknown as a result of kind "open".

A passed or skipped rule has no result, because some readers (GitHub's code scanning) take every result for an alarm.
What could not be looked at is a notification too, and `executionSuccessful` is false where that leaves the question
open: an empty list of results alone never means healthy.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from gpucheck.model import Finding, Report, Severity, Status
from gpucheck.nodes import moment
from gpucheck.render.wording import printable, remedy_lines, sentence, weighs

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
LEVELS = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}
DECIDED = (0, 1)  # the exit codes of an answer


def render(reports: Sequence[Report]) -> str:
    document = {"$schema": SCHEMA, "version": "2.1.0", "runs": [_run(report) for report in reports]}
    return json.dumps(document, indent=1) + "\n"


def _run(report: Report) -> dict[str, Any]:
    name, _, version = printable(report.tool).partition(" ")
    shown = [f for f in report.findings if f.status in (Status.FAIL, Status.UNKNOWN)]
    return {
        "tool": {
            "driver": {
                "name": name, "version": version, "rules": [_rule(report, finding) for finding in report.findings],
            }
        },
        "automationDetails": {"id": f"gpucheck/{quote(printable(report.command))}/{quote(printable(report.host))}/"},
        "invocations": [
            {
                "executionSuccessful": report.exit_code in DECIDED,
                "exitCode": report.exit_code,
                "exitCodeDescription": printable(report.verdict),
                "machine": printable(report.host),
                **({"endTimeUtc": f"{made:%Y-%m-%dT%H:%M:%SZ}"} if (made := moment(report.when)) else {}),
                "toolExecutionNotifications": [
                    {
                        "level": "error" if weighs(report, finding) else "warning",
                        "message": {"text": f"unknown: {sentence(finding)}"},
                        "associatedRule": {"id": finding.rule},
                    }
                    for finding in report.of(Status.UNKNOWN)
                ],
            }
        ],
        "results": [_result(report, finding) for finding in shown],
    }  # fmt: skip


def _rule(report: Report, finding: Finding) -> dict[str, Any]:
    why = f"why: gpucheck explain {finding.rule}"
    rule: dict[str, Any] = {
        "id": finding.rule,
        "shortDescription": {"text": printable(finding.title)},
        "defaultConfiguration": {"level": LEVELS[finding.severity]},
        "help": {"text": "\n".join(remedy_lines(report, finding) or [why])},
    }
    if finding.remedy and finding.remedy.url:
        rule["helpUri"] = finding.remedy.url
    return rule


def _result(report: Report, finding: Finding) -> dict[str, Any]:
    """By SARIF a result of another kind than fail has the level none; the text says unknown to who reads no kinds."""
    failed = finding.status is Status.FAIL
    return {
        "ruleId": finding.rule,
        "ruleIndex": report.findings.index(finding),
        "kind": "fail" if failed else "open",
        "level": LEVELS[finding.severity] if failed else "none",
        "message": {"text": sentence(finding) if failed else f"unknown: {sentence(finding)}"},
        "locations": [_location(report, path) for path in _paths(finding) or ("/",)],
        "partialFingerprints": {"hostAndRule/v1": f"{printable(report.host)} {finding.rule}"},
    }


def _paths(finding: Finding) -> tuple[str, ...]:
    return tuple(name for name in finding.affects if name.startswith("/"))


def _location(report: Report, path: str) -> dict[str, Any]:
    """A file of the host, or the host itself: RFC 8089."""
    host = printable(report.host)
    return {
        "physicalLocation": {"artifactLocation": {"uri": f"file://{quote(host, safe='')}{quote(printable(path))}"}},
        "logicalLocations": [{"name": host, "kind": "machine"}],
    }
