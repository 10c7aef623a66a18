"""Every renderer over the same reports, and what each of them promises."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gpucheck import codec, schema
from gpucheck.facts import Facts, Pci, System
from gpucheck.model import Finding, Remedy, Report, Severity, Status
from gpucheck.render import FORMATS, renderer
from gpucheck.render import json as json_lines

SYSTEM = System(
    os="Debian GNU/Linux 12 (bookworm)", os_family="debian", os_id="debian", kernel="6.1.0", arch="x86_64", cpus=2,
    memory_bytes=2**34, shm_bytes=None, container=None, wsl=False, environment={"CUDA_VISIBLE_DEVICES": "-1"},
)  # fmt: skip
REMEDY = Remedy(text="install it", commands={"debian": ("apt install x",), "": ("get x",)}, url="https://example.com/x")


def finding(rule: str, status: Status, **more: Any) -> Finding:
    given = {"title": f"title of {rule}", "severity": Severity.ERROR, "message": f"message of {rule}", **more}
    return Finding(rule=rule, status=status, **given)


def report(*findings: Finding, answer: str | None = None, host: str = "box") -> Report:
    facts = Facts(known={System: SYSTEM}, unknown={Pci: "no /sys here"})
    return Report(tool="gpucheck 0", when="2026-01-01T00:00:00+00:00", host=host, command="doctor", facts=facts,
                  findings=findings, answer=answer)  # fmt: skip


BROKEN = report(
    finding("pci.gpu-present", Status.PASS),
    finding("driver.module-loaded", Status.FAIL, remedy=REMEDY),
    finding("nvml.answers", Status.SKIP, because="driver.module-loaded"),
    finding("docker.reachable", Status.FAIL, severity=Severity.WARNING, affects=("/run/docker.sock",), remedy=REMEDY),
    finding("cudnn.supports-gpu", Status.UNKNOWN),
)
HEALTHY = report(finding("pci.gpu-present", Status.PASS))


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("hostile", ["<script>alert(1)</script>", "[red]x[/red]", "\x1b[31mred", "line\nbreak"])
def test_every_format_renders_whatever_a_machine_is_called(name: str, hostile: str) -> None:
    page = renderer(name)([report(finding("pci.gpu-present", Status.FAIL, message=hostile), host=hostile), BROKEN])
    assert page.endswith("\n")
    assert "\x1b" not in page


def test_json_reads_back_as_what_was_written() -> None:
    page = json_lines.render([BROKEN, HEALTHY])
    assert [json_lines.read(line) for line in page.splitlines()] == [BROKEN, HEALTHY]


def test_json_refuses_a_verdict_that_does_not_follow() -> None:
    line = json.loads(json_lines.render([BROKEN]))
    assert line["exit_code"] == 1
    with pytest.raises(codec.WrongShape, match="does not follow"):
        json_lines.read(json.dumps({**line, "exit_code": 0}))
    with pytest.raises(codec.WrongShape, match="not JSON"):
        json_lines.read(json_lines.render([BROKEN])[:-40])


def test_the_published_schema_is_the_code_s() -> None:
    from importlib.resources import files

    published = json.loads((files("gpucheck") / "data" / "report.schema.json").read_text())
    assert published == schema.report_schema(), "scripts/fix writes it"


@pytest.mark.parametrize("one", [BROKEN, HEALTHY])
def test_reports_are_valid_by_the_schema(one: Report) -> None:
    import jsonschema

    jsonschema.validate(json.loads(json_lines.render([one])), schema.report_schema())
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**json.loads(json_lines.render([one])), "more": 1}, schema.report_schema())


def test_terminal_puts_the_cause_and_its_fix_first() -> None:
    lines = renderer("terminal")([BROKEN]).splitlines()
    assert lines[1] == "no: message of driver.module-loaded"
    assert lines[3:6] == ["fix: install it", "  $ apt install x", "  see https://example.com/x"]
    page = "\n".join(lines)
    assert "1 further rule waits on this" in page
    assert "also: docker.reachable" in page
    assert "(/run/docker.sock)" in page
    assert "exit code 1" in lines[-1]


def test_terminal_says_of_health_only_what_was_seen() -> None:
    assert "yes: 1 of 1 rules hold" in renderer("terminal")([HEALTHY])


@pytest.mark.parametrize(("no_color", "coloured"), [("", True), ("1", False)])
def test_colour_only_on_a_terminal_that_wants_it(
    monkeypatch: pytest.MonkeyPatch, no_color: str, coloured: bool
) -> None:
    monkeypatch.setenv("NO_COLOR", no_color)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    assert ("\x1b[1;31m" in renderer("terminal")([BROKEN])) is coloured


def test_a_command_is_whole_on_a_narrow_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    long = f"curl -fsSL https://example.com/{'x' * 90} | sudo gpg --dearmor -o /usr/share/keyrings/a-keyring.gpg"
    remedy = Remedy(text="install it", commands={"": (long,)}, url=f"https://example.com/{'y' * 90}")
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    page = renderer("terminal")([report(finding("pci.gpu-present", Status.FAIL, remedy=remedy))])
    assert long in page
    assert remedy.url in page if remedy.url else False


def test_a_path_in_a_command_cannot_steer_the_terminal() -> None:
    remedy = Remedy(text="look at \x1b[31mit", commands={"": ("cat '/etc/cdi/\x1b[2Jx.yaml'",)})
    assert "\x1b" not in renderer("terminal")([report(finding("pci.gpu-present", Status.FAIL, remedy=remedy))])


def test_terminal_tells_one_reason_once() -> None:
    """A GPU that gave no answer leaves many rules unknown for one reason."""
    many = [finding(f"nvml.rule-{n}", Status.UNKNOWN, message="GPU 3: lost") for n in range(3)]
    page = renderer("terminal")([report(*many, finding("nvml.other", Status.UNKNOWN, message="else"))])
    assert "? 3 rules could not be judged: GPU 3: lost" in page
    assert page.count("GPU 3: lost") == 2  # in the verdict too
    assert "title of nvml.other: else" in page


def test_terminal_says_what_a_fix_needs_and_does() -> None:
    remedy = Remedy(text="restart it", impact="service", precondition="it is installed")
    page = renderer("terminal")([report(finding("docker.reachable", Status.FAIL, remedy=remedy))])
    assert "  needs: it is installed\n  impact: restarts a service\n" in page
