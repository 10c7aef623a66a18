"""Small reports, and the fleet that the command line makes of them."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from gpucheck.facts import Facts
from gpucheck.model import Finding, Report, Severity, Status
from gpucheck.render import json as json_lines
from tests.conftest import Gpucheck

Judged = Callable[..., tuple[int, dict[str, Any]]]
GOOD = Report(
    tool="gpucheck 0", when="2026-01-02T03:04:05+00:00", host="n1", command="doctor", facts=Facts(),
    findings=(Finding(rule="pci.gpu-present", title="t", severity=Severity.ERROR, status=Status.PASS, message="m"),),
)  # fmt: skip


def bad(host: str, message: str = "GPU 3 of 8 is lost", status: Status = Status.FAIL) -> Report:
    return replace(GOOD, host=host, findings=(replace(GOOD.findings[0], status=status, message=message),))


def good(host: str) -> Report:
    return replace(GOOD, host=host)


def write(folder: Path, *reports: Report) -> Path:
    folder.mkdir(exist_ok=True)
    for report in reports:
        (folder / f"{report.host}.json").write_text(json_lines.render([report]))
    return folder


def lines(*reports: Report) -> str:
    return json_lines.render(reports)


def judge(gpucheck: Gpucheck) -> Judged:
    """A function (arguments) to exit code and the fleet as JSON."""

    def run(*arguments: str | Path) -> tuple[int, dict[str, Any]]:
        code, out, err = gpucheck("fleet", "report", *arguments, "--format", "json")
        assert err == ""
        made = json.loads(out)
        assert made["exit_code"] == code
        return code, made

    return run


def verdicts(made: Mapping[str, Any]) -> dict[str, str]:
    return {row["node"]: row["verdict"] for row in made["nodes"]}
