"""What a command says on stderr while it works: progress on a terminal, a line for what went wrong."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from gpucheck.model import Failure, Report, Say
from gpucheck.render import renderer

if TYPE_CHECKING:
    from rich.progress import Progress


def complain(sentence: str, tip: str | None) -> None:
    sys.stderr.write(f"gpucheck: {sentence}\n" + (f"tip: {tip}\n" if tip else ""))


def show(report: Report, format: str, strict: bool, output: Path | None = None) -> int:
    """Print the report, or write it to a file; its exit code."""
    report = replace(report, strict=strict)
    give(renderer(format)([report]), output)
    return report.exit_code


def give(text: str, output: Path | None) -> None:
    """To stdout, or to a file: whole or not at all. Raises Failure."""
    if output is None:
        sys.stdout.write(text)
        return
    try:
        write_whole(output, text)
    except OSError as error:
        raise Failure(f"{output} cannot be written: {error.strerror}", "give another file") from error


@contextmanager
def progress() -> Iterator[Progress]:
    """A Rich progress on stderr, removed at the end; silent where stderr is not a terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=20), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as shown:
        yield shown


def write_whole(path: Path, text: str) -> None:
    """All of it or nothing: a report is never half-written. A device or a pipe is written to, not replaced."""
    path = path.resolve()
    if path.exists() and not path.is_file():
        path.write_text(text)
        return
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_text(text)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def saying() -> Iterator[Say]:
    """A `say(line, share)` for long work: one moving line on a terminal, nothing elsewhere."""
    with progress() as shown:
        task = shown.add_task("starting", total=None)

        def say(line: str, share: float | None) -> None:
            width = max(20, shown.console.width - 34)
            text = line if len(line) <= width else line[: width - 1] + "…"
            shown.update(task, description=text.replace("[", r"\["), total=None if share is None else 1.0,
                         completed=share or 0.0)  # fmt: skip

        yield say
