"""Each failure mode: doctor names its cause on the machines that show it, prints the fix, and is silent downstream.

`pytest --update` writes docs/failures.md.
"""

from __future__ import annotations

import json
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gpucheck import compat, engine, tables
from gpucheck.facts import System
from gpucheck.host import Recorded
from gpucheck.model import Finding, Report, Severity, Status
from gpucheck.probes import PROBES
from gpucheck.render import renderer
from gpucheck.rules import HOST_RULES
from tests.conftest import Gpucheck

ROOT = Path(__file__).parents[1]
MACHINES, PAGE = ROOT / "tests" / "machines", ROOT / "docs" / "failures.md"
FAILURES: list[dict[str, Any]] = tomllib.loads((MACHINES / "failures.toml").read_text())["failure"]
MESSAGES = [row for row in FAILURES if row["rule"] == "signature"]
SHOWN = [(row["rule"], name) for row in FAILURES if row not in MESSAGES for name in row["shown"]]
HEAD = """# Failure modes

What you see, what `gpucheck doctor` names as its cause, and the fix that it prints, on the recorded machines of
[tests/machines](../tests/machines/README.md). Written by `pytest tests/test_failures.py --update`; the test holds it to
what doctor says. ✗ is an error, and then the root cause; ! is a risk that files show before it strikes: doctor warns
and exits 0. Where only a message tells, `gpucheck explain` knows it.
"""


@cache
def judged(name: str) -> Report:
    facts = engine.collect(PROBES, Recorded.load(MACHINES / name / "recording.json"))
    return engine.report("doctor", facts, engine.judge(HOST_RULES, facts, compat.load()), host=name)


def finding(rule: str, name: str) -> Finding:
    return next(found for found in judged(name).findings if found.rule == rule)


@pytest.mark.parametrize(("rule", "name"), dict.fromkeys(SHOWN))
def test_the_cause_is_named_and_its_fix_printed(rule: str, name: str) -> None:
    report, found = judged(name), finding(rule, name)
    assert found.status is Status.FAIL
    if found.severity is Severity.ERROR:
        assert report.root_cause == found
    else:
        assert report.root_cause is None
    assert found.remedy
    system = report.facts.known[System]
    page = renderer("terminal")([report])
    assert found.remedy.text in page
    assert all(f"  $ {command}\n" in page for command in found.remedy.commands_for(system.os_family))


@pytest.mark.parametrize(("rule", "name"), dict.fromkeys(SHOWN))
def test_what_follows_from_it_is_silent(rule: str, name: str) -> None:
    """An error beside the cause is one that has nothing to do with it: the engine's, where the driver is the cause."""
    errors = {found.rule for found in judged(name).of(Status.FAIL, Severity.ERROR)} - {rule}
    assert errors <= {"docker.installed", "docker.reachable", "container_toolkit.installed"}


@pytest.mark.parametrize("row", MESSAGES, ids=lambda row: row["shown"][0])
def test_a_message_is_explained(row: dict[str, Any], gpucheck: Gpucheck) -> None:
    book = {row["id"]: row for row in tomllib.loads((tables.FOLDER / "signatures.toml").read_text())["signature"]}
    for name in row["shown"]:
        code, out, _ = gpucheck("explain", "--format", "json", book[name]["samples"][0][0])
        assert code == 0
        assert name in [answer["id"] for answer in json.loads(out)["answers"]]


def test_each_machine_that_fails_is_a_failure_of_the_page() -> None:
    broken = {path.parent.name for path in MACHINES.glob("*/recording.json") if judged(path.parent.name).root_cause}
    assert broken - {name for _, name in SHOWN} == {
        "h100-confidential-not-ready",
        "h100x8-reset-required",
        "xid-74-nvlink",
    }


def test_the_page_is_current(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update"):
        PAGE.write_text(page())
    assert PAGE.read_text() == page()


def page() -> str:
    lines = [HEAD]
    for area in dict.fromkeys(row["area"] for row in FAILURES):
        lines += [f"## {area}\n", "| You see | doctor says | Fix | Shown by |", "|---|---|---|---|"]
        lines += [_row(row) for row in FAILURES if row["area"] == area] + [""]
    healthy = sorted(p.parent.name for p in MACHINES.glob("*/recording.json") if not judged(p.parent.name).root_cause)
    risky = {name for _, name in SHOWN}
    lines += ["## Healthy machines\n", "| Machine | doctor says |", "|---|---|"]
    lines += [f"| {_link(name)} | {judged(name).verdict} |" for name in healthy if name not in risky]
    return "\n".join(lines) + "\n"


def _row(row: dict[str, Any]) -> str:
    if row in MESSAGES:
        return f"| {row['sees']} | `gpucheck explain`: {', '.join(row['shown'])} | | |"
    found = finding(row["rule"], row["shown"][0])
    assert found.remedy
    mark = "✗" if found.severity is Severity.ERROR else "!"
    said = found.message.replace("|", "\\|")
    links = ", ".join(map(_link, row["shown"]))
    return f"| {row['sees']} | {mark} `{found.rule}`: {said} | {found.remedy.text} | {links} |"


def _link(name: str) -> str:
    return f"[{name}](../tests/machines/{name}/expected.json)"
