"""Each failure mode: doctor names its cause on the machines that show it, prints the fix, and is silent downstream.

`pytest --update` writes docs/failures.md.
"""

from __future__ import annotations

import json
import re
import tomllib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gpucheck import answers, compat, engine, signatures
from gpucheck.facts import System
from gpucheck.host import Recorded
from gpucheck.model import Finding, Report, Severity, Status
from gpucheck.probes import PROBES
from gpucheck.render import renderer
from gpucheck.rules import HOST_RULES
from tests.conftest import Gpucheck

ROOT = Path(__file__).parents[1]
MACHINES, RUNS, PAGE = ROOT / "tests" / "machines", ROOT / "tests" / "runs", ROOT / "docs" / "failures.md"
TABLE: dict[str, list[dict[str, Any]]] = tomllib.loads((MACHINES / "failures.toml").read_text())
FAILURES, HEALTHY, UNTOLD = TABLE["failure"], TABLE["healthy"], TABLE["untold"]
SHOWN = [(row, name) for row in FAILURES for name in row.get("shown", ())]
each_machine = pytest.mark.parametrize(
    ("row", "name"), SHOWN, ids=[f"{row['number']}-{row['rule']}-{name}" for row, name in SHOWN]
)
SAMPLES = {row.id: row.samples[0][0] for row in signatures.load()}
COUNTS = (Severity.ERROR, Severity.WARNING)
AFTER = {rule.id: rule.after for rule in HOST_RULES}
HEAD = """# Failure modes

What you see, what `gpucheck doctor` names as its cause, and the fix that it prints, on the recorded machines of
[tests/machines](../tests/machines/README.md). Written by `pytest tests/test_failures.py --update`; the test holds it to
what doctor says. ✗ is an error, and then the root cause; ! is a warning or a note, of what is slower or of a risk that
files show before it strikes: doctor exits 0. The fix is shortened: doctor prints all of it, with the commands of the
machine's distribution. Where only a message tells, `gpucheck explain` knows it. A mode keeps its number.
"""


@cache
def judged(name: str) -> Report:
    facts = engine.collect(PROBES, Recorded.load(MACHINES / name / "recording.json"))
    return engine.report("doctor", facts, engine.judge(HOST_RULES, facts, compat.load()), host=name)


def finding(rule: str, name: str) -> Finding:
    return next(found for found in judged(name).findings if found.rule == rule)


def failed(name: str) -> set[str]:
    return {found.rule for found in judged(name).of(Status.FAIL, *COUNTS)}


def follows(rule: str, cause: str) -> bool:
    return any(earlier == cause or follows(earlier, cause) for earlier in AFTER[rule])


@each_machine
def test_the_cause_is_named_and_its_fix_printed(row: dict[str, Any], name: str) -> None:
    report, found = judged(name), finding(row["rule"], name)
    assert found.status is Status.FAIL
    assert report.root_cause == (found if found.severity is Severity.ERROR else None)
    assert found.remedy
    commands = found.remedy.commands_for(report.facts.known[System].os_family)
    assert bool(commands) is (name not in row.get("by_hand", ()))
    page = renderer("terminal")([report])
    assert found.remedy.text in page
    assert all(f"  $ {command}\n" in page for command in commands)


@each_machine
def test_what_follows_from_it_is_silent(row: dict[str, Any], name: str) -> None:
    beside = row.get("beside", {}).get(name, [])
    assert failed(name) - {row["rule"]} == set(beside)
    assert not any(follows(rule, row["rule"]) for rule in beside)
    after = [found for found in judged(name).findings if follows(found.rule, row["rule"])]
    assert [found.rule for found in after if found.status is not Status.SKIP] == []


@pytest.mark.parametrize("name", [name for row in FAILURES for name in row.get("explained", ())])
def test_a_message_is_explained_and_its_fix_printed(name: str, gpucheck: Gpucheck) -> None:
    code, out, _ = gpucheck("explain", "--format", "json", SAMPLES[name])
    assert code == 0
    first = json.loads(out)["answers"][0]
    assert first["id"] == name
    assert first["fix"]["text"]
    _, page, _ = gpucheck("explain", SAMPLES[name])
    assert first["fix"]["text"] in " ".join(page.split())


@pytest.mark.parametrize("name", [name for row in FAILURES for name in row.get("runs", ())])
def test_what_only_a_run_shows_is_no_pass_of_verify(name: str) -> None:
    """tests/test_runs.py holds what is expected to what verify says."""
    assert verdict(name).startswith("no: ")


@pytest.mark.parametrize("row", HEALTHY, ids=lambda row: row["name"])
def test_a_healthy_machine_is_called_healthy(row: dict[str, Any]) -> None:
    assert failed(row["name"]) == set(row.get("beside", ()))
    assert (judged(row["name"]).root_cause, judged(row["name"]).exit_code) == (None, 0)


@pytest.mark.parametrize("row", UNTOLD, ids=lambda row: row["name"])
def test_a_machine_that_shows_too_little_is_not_called_healthy(row: dict[str, Any]) -> None:
    report, found = judged(row["name"]), finding(row["rule"], row["name"])
    assert (report.root_cause, report.exit_code, found.status) == (None, 3, Status.UNKNOWN)
    assert report.verdict == f"not proven: {found.message}"


def test_every_mode_has_a_row_and_every_machine_too() -> None:
    numbers = {row["number"] for row in FAILURES}
    assert numbers == set(range(1, len(numbers) + 1))
    assert len(numbers) >= 63
    kinds = [{"rule", "explained", "runs", "left_out"} & set(row) for row in FAILURES]
    assert {len(kind) for kind in kinds} == {1}
    shown = {name for _, name in SHOWN} | {row["name"] for row in (*HEALTHY, *UNTOLD)}
    assert shown == {path.parent.name for path in MACHINES.glob("*/recording.json")}


def test_the_page_is_current(request: pytest.FixtureRequest) -> None:
    if request.config.getoption("--update"):
        PAGE.write_text(page())
    assert PAGE.read_text() == page()


def page() -> str:
    lines = [HEAD]
    for area in dict.fromkeys(row["area"] for row in FAILURES):
        lines += [f"## {area}\n", "| | You see | The cause | Fix | Shown by |", "|---|---|---|---|---|"]
        lines += [_line(row) for row in FAILURES if row["area"] == area] + [""]
    lines += ["## Healthy machines\n", "| Machine | What it is | doctor says |", "|---|---|---|"]
    lines += [f"| {_link(row['name'])} | {row['is']} | {judged(row['name']).verdict} |" for row in HEALTHY]
    lines += ["", "## Machines that show too little\n", "| Machine | What it is | doctor says |", "|---|---|---|"]
    lines += [f"| {_link(row['name'])} | {row['is']} | {judged(row['name']).verdict} |" for row in UNTOLD]
    return "\n".join(lines) + "\n"


def _line(row: dict[str, Any]) -> str:
    if "rule" in row:
        found = finding(row["rule"], row["shown"][0])
        assert found.remedy
        cause = f"{'✗' if found.severity is Severity.ERROR else '!'} `{found.rule}`: {found.message}"
        fix, shown = _short(found.remedy.text), ", ".join(map(_link, row["shown"]))
    elif "explained" in row:
        told = [answers.in_text(SAMPLES[name])[0][0] for name in row["explained"]]
        cause = "; ".join([*(answer.meaning for answer in told), *([row["also"]] if "also" in row else [])])
        fix, shown = _short(told[0].fix.text), f"`gpucheck explain`: {', '.join(row['explained'])}"
    elif "runs" in row:
        cause, fix = f"`gpucheck verify`: {verdict(row['runs'][0])}", ""
        shown = ", ".join(f"[{name}](../tests/runs/{name}/expected.json)" for name in row["runs"])
    else:
        cause, fix, shown = f"left out: {row['left_out']}", "", ""
    cells = (str(row["number"]), row["sees"], cause.replace("|", "\\|"), fix, shown)
    return f"| {' | '.join(cells)} |"


def _short(text: str) -> str:
    """Its first sentence, or the first part of that; what stands in brackets stays whole."""
    return re.split(r"[;.] (?![^()]*\))", text, maxsplit=1)[0]


def verdict(run: str) -> str:
    return str(json.loads((RUNS / run / "expected.json").read_text())["verdict"])


def _link(name: str) -> str:
    return f"[{name}](../tests/machines/{name}/expected.json)"
