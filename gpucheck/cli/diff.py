"""`gpucheck diff A B`: what differs between two machines, or between two days of one."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from gpucheck import bundles, comparing, compat, engine
from gpucheck.cli.options import one_of
from gpucheck.comparing import Change, Rank
from gpucheck.model import Report
from gpucheck.probes import PROBES
from gpucheck.rules import HOST_RULES

HEADINGS = {
    Rank.ANSWER: "Answers", Rank.VERSION: "Versions", Rank.MACHINE: "The machine", Rank.NAME: "Names and places",
    Rank.READING: "Readings",
}  # fmt: skip
File = Annotated[Path, typer.Argument(help="A bundle, a recording, or a report in JSON.", metavar="FILE")]


def diff(
    before: File,
    after: File,
    everything: Annotated[
        bool, typer.Option("--all", help="Readings too, which differ from one second to the next.")
    ] = False,
    format: Annotated[str, typer.Option(help="terminal or json.", callback=one_of("terminal", "json"))] = "terminal",
) -> int:
    """What differs between two machines or two days, what matters first. Exit code 1 where something does."""
    reports = [_report(path) for path in (before, after)]
    changes = comparing.compare(*reports)
    shown = [change for change in changes if everything or change.rank is not Rank.READING]
    if format == "json":
        lines = (json.dumps({**asdict(change), "rank": change.rank.name.lower()}) for change in shown)
        sys.stdout.write("".join(f"{line}\n" for line in lines))
    else:
        sys.stdout.write(_page([_title(path, report) for path, report in zip((before, after), reports, strict=True)],
                               shown, len(changes) - len(shown)))  # fmt: skip
    return 1 if shown else 0


def _report(path: Path) -> Report:
    found = bundles.load(path)
    if isinstance(found, Report):
        return found
    facts = engine.collect(PROBES, found)
    return engine.report("doctor", facts, engine.judge(HOST_RULES, facts, compat.load()), host=path.stem)


def _title(path: Path, report: Report) -> str:
    return f"{path.name}: {report.verdict}"


def _page(titles: list[str], changes: list[Change], readings: int) -> str:
    from rich.table import Table
    from rich.text import Text

    from gpucheck.render.terminal import page
    from gpucheck.render.wording import printable

    parts: list[Text | Table] = [Text(printable(f"{mark} {title}")) for mark, title in zip("AB", titles, strict=True)]
    for rank in Rank:
        rows = [change for change in changes if change.rank is rank]
        if rows:
            table = Table(
                box=None, padding=(0, 2, 0, 0), title=HEADINGS[rank], title_justify="left", title_style="bold"
            )
            for name, style in (("", ""), ("A", "red"), ("B", "green")):
                table.add_column(name, style=style, overflow="fold")
            for change in rows:
                table.add_row(*(Text(printable("–" if cell is None else cell))
                                for cell in (change.what, change.before, change.after)))  # fmt: skip
            parts += [Text(), table]
    if not changes:
        parts += [Text(), Text("no difference" + (" but in readings" if readings else ""))]
    if readings:
        parts += [Text(), Text(f"{readings} readings differ too: --all shows them", style="dim")]
    return page(parts)
