"""`gpucheck fleet run`: doctor or verify on every node, by an engine that is there already, and the fleet judged."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Annotated

import typer

from gpucheck.cli.fleet_report import Format, show
from gpucheck.cli.options import among, one_of
from gpucheck.cli.screen import give, progress
from gpucheck.consoles import clean
from gpucheck.fleets import FLEETS, LAUNCHERS, WORLDS, engine
from gpucheck.fleets.runs import Asked
from gpucheck.model import Failure

SECONDS = {"doctor": 300.0, "doctor --deep": 900.0, "verify": 3600.0}
OURS = ("--format", "--output", "--bundle", "--record", "--from", "--script", "--keep")  # they would take the report
NOT_KNOWN = 3
MONTH = 30 * 86_400.0  # seconds; and not for ever, which no engine can be told


def run(
    engine_name: Annotated[
        str,
        typer.Option(
            "--engine",
            help=f"{', '.join(FLEETS)}; with --render also {', '.join(LAUNCHERS)}.",
            callback=one_of(*FLEETS, *LAUNCHERS),
            autocompletion=among(*FLEETS, *LAUNCHERS),
        ),
    ],
    nodes: Annotated[
        list[str] | None,
        typer.Option(help="A set of nodes: 'n[1-40],@rack3'. Repeatable. Slurm: all, unless told.", metavar="SET"),
    ] = None,
    hostfile: Annotated[
        Path | None, typer.Option(help="Also the sets in this file, one a line; # begins a comment.", metavar="FILE")
    ] = None,
    command: Annotated[str, typer.Option(help="What each node runs: doctor, 'doctor --deep', verify.")] = "doctor",
    world: Annotated[
        bool, typer.Option("--world", help=f"One verify over all of them, each its node. {', '.join(WORLDS)}.")
    ] = False,
    remote: Annotated[
        str, typer.Option(help="How a node calls gpucheck: its path there, or 'python3 -m gpucheck'.")
    ] = "gpucheck",
    timeout: Annotated[
        float | None,
        typer.Option(
            help="Seconds for the whole run. Default: 300, deep 900, verify 3600.", min=1, max=MONTH, show_default=False
        ),
    ] = None,
    option: Annotated[
        list[str] | None,
        typer.Option("--option", "-O", help="Of the engine; a wrong one lists them. Repeatable.", metavar="NAME=VALUE"),
    ] = None,
    render: Annotated[
        bool, typer.Option("--render", help="Only print what others run: manifests, a playbook, a script, a task.")
    ] = False,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", "-o", help="Keep each node's report in this new folder; or what --render prints.", metavar="DIR"
        ),
    ] = None,
    format: Format = "terminal",
) -> int:
    """The same question on every node, a line each as it answers, and then the fleet.

    A node that does not answer is a row with the reason. Exit code: 1 any fails, 3 any is unknown or missing, else 0.
    """
    from gpucheck import matrix
    from gpucheck.cli.fleet_answers import Home

    words = _command(command)
    if world:
        _one_over_all(engine_name, words)
    module = engine(engine_name)
    asked = Asked(
        command=(*words, "--format", "json"), program=_words(remote, "--remote"),
        nodes=(*(nodes or ()), *_sets(hostfile)),
        deadline=timeout or next(SECONDS[each] for each in reversed(SECONDS) if " ".join(words).startswith(each)),
        options=options(option), world=world,
    )  # fmt: skip
    if render:
        if not hasattr(module, "render"):
            able = ", ".join(("kubernetes", *LAUNCHERS))
            raise Failure(f"the engine {engine_name} has nothing to print: gpucheck runs it", f"--render is of {able}")
        give(module.render(asked), _file(output, module.FILE) if output else None)
        return 0
    if engine_name in LAUNCHERS:
        who, what = LAUNCHERS[engine_name]
        raise Failure(f"{who} runs this itself", f"--render prints the {what}")
    home = Home(_folder(output), words[0])
    with progress() as shown:
        task = shown.add_task("asking", total=1.0)

        def say(line: str, share: float | None) -> None:
            shown.update(task, description=clean(line).replace("[", r"\["), completed=share or 0.0)

        with closing(module.run(asked, say)) as answers:
            fleet = matrix.collect(home.came(answers, shown), home.expected)
    home.close()
    code = show(fleet, format, None)
    if home.unwritten:
        raise Failure(*home.unwritten, code or NOT_KNOWN)
    return code


def _command(text: str) -> tuple[str, ...]:
    words = _words(text, "--command")
    if words[0] not in ("doctor", "verify"):
        raise Failure(f"a fleet runs doctor or verify, not {words[0]!r}", "--command 'doctor --deep'")
    for word in words:
        if word.partition("=")[0] in OURS or word == "-o":
            raise Failure(f"{word} is not for a fleet: its reports come home as JSON", "--output DIR keeps them")
        if word.partition("=")[0] == "--world":
            raise Failure(
                "each node of a world is told its own place in it", "`fleet run --world`, and not in --command"
            )
    return words


def _one_over_all(engine_name: str, words: Sequence[str]) -> None:
    """Raises Failure for a world that this engine does not start, or this command does not make."""
    if engine_name not in WORLDS:
        raise Failure(f"the engine {engine_name} starts no run over several nodes", f"--engine {' or '.join(WORLDS)}")
    if words[0] != "verify":
        raise Failure(f"a world is to be trained in, and {words[0]} trains nothing", "--command 'verify --framework …'")


def _words(text: str, name: str) -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(text))
    except ValueError as error:
        raise Failure(f"{name} is no command: {error}", "quote it as for a shell") from error
    if not words:
        raise Failure(f"{name} is empty", "leave it out")
    return words


def _sets(hostfile: Path | None) -> Sequence[str]:
    if hostfile is None:
        return ()
    try:
        lines = hostfile.read_text(errors="replace").splitlines()
    except OSError as error:
        raise Failure(f"{hostfile} cannot be read: {error.strerror}", "one set of nodes a line") from error
    return [words for line in lines if (words := line.partition("#")[0].strip())]


def options(told: Sequence[str] | None) -> dict[str, str]:
    """Those of `-O NAME=VALUE`. Raises Failure."""
    return dict(map(_option, told or ()))


def _option(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals:
        raise Failure(f"{text!r} is no NAME=VALUE", "as in `--option fanout=32`")
    return name, value


def _folder(output: Path | None) -> Path | None:
    """Raises Failure for one that cannot be written, and for one with reports: yesterday's would pass for today's."""
    if output is None:
        return None
    try:
        output.mkdir(parents=True, exist_ok=True)
        had = next((each.name for each in sorted(output.iterdir()) if each.suffix in (".json", ".jsonl")), None)
    except OSError as error:
        raise Failure(f"{output} cannot be a folder for the reports: {error.strerror}", "another --output") from error
    if had:
        raise Failure(f"{output} has reports already: {had}", "a new folder: --output DIR")
    if not os.access(output, os.W_OK | os.X_OK):
        raise Failure(f"nothing may be written to {output}", "another --output")
    return output


def _file(folder: Path, name: str) -> Path:
    """For a recipe. Raises Failure where there is one."""
    if (folder / name).exists():
        raise Failure(f"{folder / name} is there already; nothing was written", "another --output")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"{folder} cannot be a folder: {error.strerror}", "another --output") from error
    return folder / name
