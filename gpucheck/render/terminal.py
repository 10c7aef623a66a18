"""The page for people: the verdict and its cause first, the fix under it, then everything seen, by subject."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Literal

from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from gpucheck.facts import System
from gpucheck.model import Finding, Report
from gpucheck.render.grouping import IMPACTS, SIGNS, Row, by_subject, counts, others, rows, waiting
from gpucheck.render.wording import printable

STYLES = {"pass": "green", "fail": "red", "warning": "yellow", "unknown": "yellow", "skip": "dim"}
PLAIN_WIDTH = 100
Detail = Literal["quiet", "normal", "verbose"]  # the verdict and its fix; what was judged; what was not asked, too


def render(reports: Sequence[Report], detail: Detail = "normal") -> str:
    """In colour and at the terminal's width where stdout is one and NO_COLOR is not set; plain text otherwise."""
    return page(parts(reports, detail))


def parts(reports: Sequence[Report], detail: Detail = "normal") -> Iterable[RenderableType]:
    """What the page is made of, for any console of Rich's."""
    return (_report(report, detail) for report in reports)


def page(parts: Iterable[RenderableType]) -> str:
    """What Rich makes of them, as render() says."""
    terminal = sys.stdout.isatty()
    page = io.StringIO()
    console = Console(
        file=page, force_terminal=terminal, no_color=bool(os.environ.get("NO_COLOR")) or not terminal, highlight=False,
        width=None if terminal else PLAIN_WIDTH, emoji=False, soft_wrap=not terminal,
        force_jupyter=False,  # in a notebook it would show the page itself, and leave none
    )  # fmt: skip
    for part in parts:
        console.print(part, crop=False)
    return "".join(f"{line.rstrip()}\n" for line in page.getvalue().splitlines())


def _report(report: Report, detail: Detail) -> RenderableType:
    parts: list[RenderableType] = [_headline(report), Text()]
    cause = report.root_cause
    if cause:
        parts += [*_fix(report, cause), Text()]
    if detail == "quiet":
        return Group(*parts, _count(report))
    for subject, group in by_subject(report, skipped=detail == "verbose").items():
        parts += [Text(subject, style="bold"), *map(_row, rows(group))]
    for finding in others(report):
        parts += [Text(), Text(f"also: {finding.rule}", style="bold"), *_fix(report, finding)]
    return Group(*parts, Text(), _count(report))


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
    if number := waiting(report, finding):
        text = f"{number} further rule{'s wait' if number > 1 else ' waits'} on this"
        lines.append(_hanging("–", "dim", Text(text, style="dim")))
    return lines


def _row(row: Row) -> RenderableType:
    title = Text(row.title, style="dim" if row.kind == "skip" else "")
    return _hanging(SIGNS[row.kind], STYLES[row.kind], title.append(f": {row.said}", style="dim"))


def _hanging(mark: str, style: str, text: Text) -> RenderableType:
    row = Table.grid(padding=(0, 1))
    row.add_column(width=1, style=style)
    row.add_column()
    row.add_row(mark, text)
    return Padding(row, (0, 0, 0, 2))


def _count(report: Report) -> Text:
    text = ", ".join(f"{number} {name}" for name, number in counts(report).items())
    return Text(f"{text} · exit code {report.exit_code}", style="dim")
