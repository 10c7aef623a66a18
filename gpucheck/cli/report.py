"""`gpucheck report FILES… -o report.html`: saved reports as one page for people, of one machine or of a thousand."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from gpucheck.cli.options import a_format, among
from gpucheck.cli.screen import give, write_whole
from gpucheck.model import Failure, Report
from gpucheck.render import FORMATS, renderer, streaming


def report(
    files: Annotated[
        list[Path],
        typer.Argument(
            help="Reports of `--format json`, bundles, folders of them; - is stdin.",
            metavar="FILES...",
            show_default=False,
        ),
    ],
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Write the page here.", metavar="FILE")] = None,
    format: Annotated[
        str,
        typer.Option(
            help=f"What to make of them: {', '.join(FORMATS)}.",
            callback=a_format,
            autocompletion=among(*FORMATS),
        ),
    ] = "html",
    plots: Annotated[
        Path | None,
        typer.Option(help="Write every chart to this folder as PNG; without -o nothing else.", metavar="DIR"),
    ] = None,
) -> int:
    """One self-contained page of saved reports: to read, to mail, to print. Its exit code tells nothing of them."""
    from gpucheck import reports

    given = reports.files(files)
    if output and reports.is_one_of(output, given):
        raise Failure(f"{output} is one of the reports", "write the page to another file")
    if plots:
        found = list(reports.read(given))
        _draw(found, plots)
        if output:
            give(renderer(format)(found), output)
        return 0
    if output is None and format == "html" and sys.stdout.isatty():
        raise Failure("a page is not for a terminal", "`-o report.html` writes it to a file")
    give(streaming(format)(reports.read(given)), output)
    return 0


def _draw(found: Sequence[Report], folder: Path) -> None:
    """All charts first, and then the files: a folder of half of them is not left behind by a report without any."""
    from gpucheck.render import charts

    drawn = {
        f"{_stem(each, number, found)}{chart.name}.png": charts.png(chart, charts.LIGHT)
        for number, each in enumerate(found, 1)
        for chart in charts.charts(each)
    }
    if not drawn:
        raise Failure("none of the reports has anything to plot", "a report of `gpucheck verify` has")
    try:
        folder.mkdir(exist_ok=True)
        for name, picture in drawn.items():
            write_whole(folder / name, picture)
    except OSError as error:
        raise Failure(f"{folder} cannot be written: {error.strerror}", "give another folder") from error


def _stem(report: Report, number: int, all_of_them: Sequence[Report]) -> str:
    """Nothing for one; of many the report's number and as much of its host as a file may be called."""
    if len(all_of_them) == 1:
        return ""
    return f"{number}-{re.sub(r'[^A-Za-z0-9]+', '-', report.host)[:40].strip('-') or 'host'}-"
