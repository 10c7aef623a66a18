"""What a command says on stderr while it works: progress on a terminal, a line for what went wrong."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from gpucheck.model import Failure, Report, Say
from gpucheck.render import renderer

if TYPE_CHECKING:
    from rich.progress import Progress, Task
    from rich.text import Text

    from gpucheck.render.terminal import Detail


@dataclass
class Manners:
    """How this process talks: `--quiet` and `--verbose` of the command line."""

    detail: Detail = "normal"


manners = Manners()


def complain(sentence: str, tip: str | None) -> None:
    sys.stderr.write(f"gpucheck: {sentence}\n" + (f"tip: {tip}\n" if tip else ""))


def show(report: Report, format: str, strict: bool, output: Path | None = None) -> int:
    """Print the report, or write it to a file; its exit code."""
    report = replace(report, strict=strict)
    give(text_of(report, format), output)
    return report.exit_code


def text_of(report: Report, format: str) -> str:
    if format != "terminal":
        return renderer(format)([report])
    from gpucheck.render import terminal

    return terminal.render([report], manners.detail)


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
def progress(beside: Callable[[], str] | None = None) -> Iterator[Progress]:
    """A Rich progress on stderr, removed at the end; silent where stderr is not a terminal.

    `beside` is asked several times a second, in a thread, for what to show at the end of the line. It must not wait.
    """
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        Progress,
        ProgressColumn,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Beside(ProgressColumn):
        def render(self, task: Task) -> Text:  # noqa: ARG002 - it is the same for each
            return Text(beside() if beside else "", no_wrap=True)

    class Clock(TimeRemainingColumn):
        def render(self, task: Task) -> Text:
            left = task.time_remaining is not None
            return super().render(task).append(" left") if left else TimeElapsedColumn().render(task)

    console = Console(stderr=True)
    columns = [SpinnerColumn(), TextColumn("{task.description}"), BarColumn(bar_width=10 if beside else 20),
               Clock(compact=True), *([Beside()] if beside else [])]  # fmt: skip
    hidden = not console.is_terminal or manners.detail == "quiet"
    with Progress(*columns, console=console, transient=True, disable=hidden) as shown:
        yield shown


def write_whole(path: Path, text: str | bytes) -> None:
    """All of it or nothing: a report is never half-written. A device or a pipe is written to, not replaced."""
    path = path.resolve()
    data = text if isinstance(text, bytes) else text.encode()
    if path.exists() and not path.is_file():
        path.write_bytes(data)
        return
    partial = path.with_name(f".{path.name}.partial")
    try:
        partial.write_bytes(data)
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def saying(beside: Callable[[], str] | None = None) -> Iterator[Say]:
    """A `say(line, share)` for long work: one moving line on a terminal, nothing elsewhere. `beside`: see progress."""
    with progress(beside) as shown:
        task = shown.add_task("starting", total=None)

        said = ""

        def say(line: str, share: float | None) -> None:
            nonlocal said
            step = re.sub(r"[0-9]+", "", line)  # "step 3 of 9" is told once
            if shown.disable and manners.detail == "verbose" and step != said:
                complain(line, None)
            said = step
            rest = 30 + len(beside()) if beside and not shown.disable else 39
            width = max(20, shown.console.width - rest)
            text = line if len(line) <= width else line[: width - 1] + "…"
            shown.update(task, description=text.replace("[", r"\["), total=None if share is None else 1.0,
                         completed=share or 0.0)  # fmt: skip

        yield say
