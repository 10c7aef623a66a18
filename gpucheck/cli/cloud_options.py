"""What may be said of an instance to be rented: the options that verify, create and render have in common."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Annotated

import typer

from gpucheck.cli.options import Framework, among, one_of
from gpucheck.clouds import CLOUDS, Asked
from gpucheck.model import Failure


def a_name(value: str | None) -> str | None:
    """A callback for NAME: what can be a run's, before it is part of a filter or of a path. Raises Failure."""
    from gpucheck.ordering import NAME

    if value is not None and not NAME.fullmatch(value):
        raise Failure(f"{value!r} is no run's name", "`gpucheck cloud list` has the names")
    return value


Where = Annotated[
    str,
    typer.Argument(
        help=f"{', '.join(CLOUDS)}.", metavar="CLOUD", callback=one_of(*CLOUDS), autocompletion=among(*CLOUDS)
    ),
]
Package = Annotated[
    str | None,
    typer.Option(
        help="What pip installs there: the address of a wheel.", metavar="REQUIREMENT", envvar="GPUCHECK_PACKAGE"
    ),
]
OPTIONS: dict[str, tuple[object, object]] = {  # name: annotation, default
    "instance_type": (
        Annotated[str | None, typer.Option("--type", help="Default: the cheapest with that GPU.", metavar="TYPE")],
        None,
    ),
    "gpu": (Annotated[str | None, typer.Option(help="T4, L4, A100, H100 ... Default: the cheapest.")], None),
    "region": (Annotated[str | None, typer.Option(help="Default: the one that prices are listed for.")], None),
    "image": (Annotated[str | None, typer.Option(help="`gpucheck cloud offers --images` has the names.")], None),
    "framework": (Framework, "tensorflow"),
    "minutes": (Annotated[int, typer.Option(help="To live: then the instance ends itself.")], 60),
    "spot": (Annotated[bool, typer.Option("--spot", help="Cheaper, and may be taken away at any time.")], False),
    "name": (Annotated[str | None, typer.Option(help="The run's name. Default: of you and the type.")], None),
    "package": (Package, None),
}


def of_an_order(command: Callable[..., int]) -> Callable[..., int]:
    """The command, which takes an Asked, with these options beside its own; Typer reads them off the signature."""

    @functools.wraps(command)
    def ask(cloud: str, **given: object) -> int:
        return command(Asked(provider=cloud, **{name: given.pop(name) for name in OPTIONS}), **given)  # type: ignore[arg-type]

    own = list(inspect.signature(command, eval_str=True).parameters.values())[1:]
    keyword = inspect.Parameter.KEYWORD_ONLY
    options = [
        inspect.Parameter(name, keyword, default=usual, annotation=kind) for name, (kind, usual) in OPTIONS.items()
    ]
    where = inspect.Parameter("cloud", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=Where)
    parameters = [where, *(each.replace(kind=keyword) for each in [*options, *own])]
    ask.__signature__ = inspect.Signature(parameters, return_annotation=int)  # type: ignore[attr-defined]
    ask.__annotations__ = {each.name: each.annotation for each in parameters}
    return ask
