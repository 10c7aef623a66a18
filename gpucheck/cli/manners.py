"""How every command talks: `--quiet`, `--verbose`, `--no-color`. app.py gives them to each command."""

from __future__ import annotations

import functools
import inspect
import os
from collections.abc import Callable
from typing import Annotated

import typer

from gpucheck.cli import screen
from gpucheck.model import Failure

Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="The verdict, its cause and fix; no progress.")]
Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Also what was not asked and why, and each step.")]
NoColor = Annotated[bool, typer.Option("--no-color", help="As NO_COLOR=1, for a command under `prove` too.")]
MANNERS = {"quiet": Quiet, "verbose": Verbose, "no_color": NoColor}


def mannered(command: Callable[..., int]) -> Callable[..., int]:
    """The command with these options beside its own; Typer reads them off the signature."""

    @functools.wraps(command)
    def talk(*, quiet: bool, verbose: bool, no_color: bool, **own: object) -> int:
        if quiet and verbose:
            raise Failure("--quiet and --verbose do not go together", "give one of them")
        screen.manners.detail = "quiet" if quiet else "verbose" if verbose else "normal"
        if no_color:
            os.environ["NO_COLOR"] = "1"
        return command(**own)

    own = inspect.signature(command, eval_str=True)
    more = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in MANNERS.items()
    ]
    talk.__signature__ = own.replace(parameters=[*own.parameters.values(), *more])  # type: ignore[attr-defined]
    talk.__annotations__ = {name: each.annotation for name, each in talk.__signature__.parameters.items()}  # type: ignore[attr-defined]
    return talk
