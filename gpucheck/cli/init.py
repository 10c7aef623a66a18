"""`gpucheck init`: three questions, and a small project that trains on the GPU and proves it."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import typer

from gpucheck import projects
from gpucheck.cli.options import among, one_of
from gpucheck.cli.screen import complain
from gpucheck.model import Failure

QUESTIONS = {
    "framework": ("Which framework?", projects.FRAMEWORKS), "runs": ("Where does it run?", projects.RUNS),
    "kind": ("A script or a notebook?", projects.KINDS),
}  # fmt: skip


def _option(name: str) -> typer.models.OptionInfo:
    question, choices = QUESTIONS[name]
    named: typer.models.OptionInfo = typer.Option(
        help=f"{question} {', '.join(choices)}.", callback=one_of(*choices), autocompletion=among(*choices)
    )
    return named


def init(
    folder: Annotated[Path, typer.Argument(help="Where; the folder's name is the project's.", metavar="DIR")] = Path(),
    framework: Annotated[str | None, _option("framework")] = None,
    runs: Annotated[str | None, _option("runs")] = None,
    kind: Annotated[str | None, _option("kind")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: the first answer where none is given.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite files that are in the way.")] = False,
) -> int:
    """A first project: trains a small network on the GPU, and proves it. It writes all its files or none.

    Example: gpucheck init my-project --framework pytorch --runs compose --kind script
    """
    given = {"framework": framework, "runs": runs, "kind": kind}
    asks = sys.stdin.isatty() and sys.stderr.isatty() and not yes
    try:
        answers = {name: answer or _answer(name, asks, yes) for name, answer in given.items()}
        texts = projects.files(projects.Project(name=projects.name_of(folder), **answers))
        taken = [] if force else projects.in_the_way(folder, texts)
        if taken and not (asks and typer.confirm(f"overwrite {', '.join(taken)}?", err=True)):
            there = f"{taken[0]} is" if len(taken) == 1 else f"{', '.join(taken)} are"
            raise Failure(f"{there} there already; nothing was written", "another folder, or `--force` overwrites")
    except typer.Abort as abort:
        raise Failure("there was no answer; nothing was written", "`--yes` asks nothing") from abort
    if force:
        projects.in_the_way(folder, texts)  # a folder is never overwritten
    try:
        projects.write(folder, texts)
    except OSError as error:
        where = error.filename or folder
        raise Failure(f"{where} cannot be written: {error.strerror}; nothing was", "give another folder") from error
    sys.stdout.writelines(f"{folder / name}\n" for name in texts)
    complain(f"{folder / 'README.md'} has the next steps", None)
    return 0


def _answer(name: str, asks: bool, yes: bool) -> str:
    """Raises Failure where nobody can be asked."""
    question, choices = QUESTIONS[name]
    if yes:
        return next(iter(choices))
    if not asks:
        flags = " ".join(f"--{each} {next(iter(QUESTIONS[each][1]))}" for each in QUESTIONS)
        raise Failure(f"{question} There is no terminal to ask on", f"`gpucheck init {flags}`, or --yes for just that")
    return _asked(question, choices)


def _asked(question: str, choices: Mapping[str, str]) -> str:
    """By its name or its number."""
    typer.echo(question, err=True)
    for number, (name, what) in enumerate(choices.items(), 1):
        typer.echo(f"  {number}  {name:<10}  {what}", err=True)
    names = list(choices)
    while True:
        answer = str(typer.prompt("", default=names[0], err=True, prompt_suffix="> ")).strip().lower()
        if answer in choices:
            return answer
        if answer.isdecimal() and 0 < int(answer) <= len(names):
            return names[int(answer) - 1]
        complain(f"{answer!r} is none of them", None)
