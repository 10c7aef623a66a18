"""The page for people: the verdict and its cause first, the fix under it, then everything seen, by subject."""

from __future__ import annotations

import io
import os
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gpucheck.facts import System
from gpucheck.model import Finding, Report, Severity, Status
from gpucheck.render.wording import printable, sentence

MARKS = {
    Status.PASS: ("✓", "green"),
    Status.FAIL: ("✗", "red"),
    Status.SKIP: ("–", "dim"),
    Status.UNKNOWN: ("?", "yellow"),
}
SUBJECTS = {
    "pci": "PCI bus", "kernel": "Kernel", "driver": "Driver", "nvml": "NVML", "toolkit": "CUDA toolkit",
    "cudnn": "cuDNN", "docker": "Docker", "container_toolkit": "Container toolkit", "frameworks": "Frameworks",
    "system": "System", "run": "Run", "placement": "Placement", "training": "Training", "verdict": "Verdict",
    "image": "Image", "kernel_log": "Kernel log", "services": "Services",
    "linker": "Libraries", "pcie": "PCIe", "packages": "Packages", "cloud": "Cloud",
    "compute": "Active probe", "kernels": "Profiler", "gpu-use": "NVML, from outside", "control": "Control run",
    "timing": "Speed",
}  # fmt: skip
PLAIN_WIDTH = 100
IMPACTS = {"service": "restarts a service", "reboot": "needs a reboot", "data": "work or data are at risk"}


def render(reports: Sequence[Report]) -> str:
    """In colour and at the terminal's width where stdout is one and NO_COLOR is not set; plain text otherwise."""
    return page(parts(reports))


def parts(reports: Sequence[Report]) -> Iterable[RenderableType]:
    """What the page is made of, for any console of Rich's."""
    return map(_report, reports)


def page(parts: Iterable[RenderableType]) -> str:
    """What Rich makes of them, as render() says."""
    terminal = sys.stdout.isatty()
    page = io.StringIO()
    console = Console(
        file=page, force_terminal=terminal, no_color=bool(os.environ.get("NO_COLOR")) or not terminal, highlight=False,
        width=None if terminal else PLAIN_WIDTH, emoji=False, soft_wrap=not terminal,
    )  # fmt: skip
    for part in parts:
        console.print(part, crop=False)
    return "".join(f"{line.rstrip()}\n" for line in page.getvalue().splitlines())


def _report(report: Report) -> RenderableType:
    parts: list[RenderableType] = [_headline(report), Text()]
    cause = report.root_cause
    if cause:
        parts += [*_fix(report, cause), Text()]
    subjects: dict[str, list[Finding]] = {}
    for finding in report.findings:
        if finding.status is not Status.SKIP and finding.rule != report.answer:  # that one is the headline
            subjects.setdefault(finding.rule.split(".")[0], []).append(finding)
    for subject, group in subjects.items():
        parts += [Text(SUBJECTS.get(subject, subject), style="bold"), *_rows(group)]
    others = [f for f in report.of(Status.FAIL) if f is not cause and (f.remedy or _waiting(report, f))]
    for finding in others:
        parts += [Text(), Text(f"also: {finding.rule}", style="bold"), *_fix(report, finding)]
    return Group(*parts, Text(), _count(report))


def _waiting(report: Report, root: Finding) -> int:
    return sum(finding.because == root.rule for finding in report.findings)


def _headline(report: Report) -> Text:
    system = report.facts.known.get(System)
    about = [f"gpucheck {report.command}", report.host]
    if system:
        about += [system.os or "unknown system", f"kernel {system.kernel}"]
    style = {0: "bold green", 1: "bold red"}.get(report.exit_code, "bold yellow")
    return Text.assemble((printable(" · ".join(about)), "dim"), "\n", (printable(report.verdict), style))


def _fix(report: Report, finding: Finding) -> list[RenderableType]:
    lines: list[RenderableType] = []
    remedy, system = finding.remedy, report.facts.known.get(System)
    if remedy:
        lines.append(Text("fix: ", style="bold").append(printable(remedy.text), style="not bold"))
        # Never wrapped: what is pasted must be whole.
        lines += [
            Text(f"  $ {printable(command)}", style="cyan", no_wrap=True, overflow="ignore")
            for command in remedy.commands_for(system.os_family if system else None)
        ]
        if remedy.precondition:
            lines.append(Text(f"  needs: {printable(remedy.precondition)}"))
        if IMPACTS.get(remedy.impact):
            lines.append(Text(f"  impact: {IMPACTS[remedy.impact]}"))
        if remedy.url:
            lines.append(Text(f"  see {remedy.url}", no_wrap=True, overflow="ignore"))
        lines.append(Text(f"  then: {remedy.verify} · why: gpucheck explain {finding.rule}", style="dim"))
    if number := _waiting(report, finding):
        text = f"{number} further rule{'s wait' if number > 1 else ' waits'} on this"
        lines.append(_hanging("–", "dim", Text(text, style="dim")))
    return lines


def _rows(group: Sequence[Finding]) -> Iterator[RenderableType]:
    """A row each; one for all that could not be judged for the same reason, at the place of the first."""
    reasons = Counter(finding.message for finding in group if finding.status is Status.UNKNOWN)
    for finding in group:
        if finding.status is not Status.UNKNOWN or reasons[finding.message] == 1:
            yield _row(finding)
        elif number := reasons.pop(finding.message, 0):
            mark, style = MARKS[Status.UNKNOWN]
            title = Text(f"{number} rules could not be judged")
            yield _hanging(mark, style, title.append(f": {sentence(finding)}", style="dim"))


def _row(finding: Finding) -> RenderableType:
    mark, style = MARKS[finding.status]
    if finding.status is Status.FAIL and finding.severity is not Severity.ERROR:
        mark, style = "!", "yellow"
    title = Text(finding.title, style="dim" if finding.status is Status.SKIP else "")
    return _hanging(mark, style, title.append(f": {sentence(finding)}", style="dim"))


def _hanging(mark: str, style: str, text: Text) -> RenderableType:
    row = Table.grid(padding=(0, 1))
    row.add_column(width=1, style=style)
    row.add_column()
    row.add_row(mark, text)
    return Padding(row, (0, 0, 0, 2))


def _count(report: Report) -> Text:
    failed, warned = report.of(Status.FAIL, Severity.ERROR), report.of(Status.FAIL, Severity.WARNING, Severity.NOTE)
    counts = {
        "hold": len(report.of(Status.PASS)), "failed": len(failed), "to look at": len(warned),
        "unknown": len(report.of(Status.UNKNOWN)), "did not apply or wait": len(report.of(Status.SKIP)),
    }  # fmt: skip
    text = ", ".join(f"{number} {name}" for name, number in counts.items() if number)
    return Text(f"{text} · exit code {report.exit_code}", style="dim")
