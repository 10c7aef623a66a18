"""The options that several commands share, and the choice of rules."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Annotated

import typer

from gpucheck.model import Failure, Rule
from gpucheck.render import FORMATS
from gpucheck.render import check as check_format


def one_of(*choices: str) -> Callable[[str], str]:
    """A callback for an option with few values."""

    def check(value: str) -> str:
        if value is not None and value not in choices:
            raise typer.BadParameter(f"{value!r} is not one of {', '.join(choices)}")
        return value

    return check


def among(*choices: str) -> Callable[[str], list[str]]:
    """For the shell's completion of an option with few values."""

    def complete(incomplete: str) -> list[str]:
        return [choice for choice in choices if choice.startswith(incomplete)]

    return complete


def rule_ids(incomplete: str) -> list[str]:
    """For the shell's completion."""
    from gpucheck.rules import DEEP_RULES, HOST_RULES, IMAGE_RULES, RUN_RULES, WORLD_RULES

    rules = (*HOST_RULES, *IMAGE_RULES, *DEEP_RULES, *RUN_RULES, *WORLD_RULES)
    return [rule.id for rule in rules if rule.id.startswith(incomplete)]


def recipe_names(incomplete: str) -> list[str]:
    """For the shell's completion."""
    from gpucheck import recipes

    return [name for name in recipes.load() if name.startswith(incomplete)]


def a_format(value: str) -> str:
    """A callback for --format: one that this installation can make."""
    check_format(one_of(*FORMATS)(value))
    return value


Format = Annotated[
    str,
    typer.Option(
        help=f"How to print the report: {', '.join(FORMATS)}.",
        callback=a_format,
        autocompletion=among(*FORMATS),
    ),
]
Output = Annotated[Path | None, typer.Option(help="Write the report to this file instead.", metavar="FILE")]
Only = Annotated[
    list[str] | None,
    typer.Option(
        help="Only these rules and what they rest on: an id or its start. Repeatable.", autocompletion=rule_ids
    ),
]
Skip = Annotated[
    list[str] | None,
    typer.Option(help="All but these rules: an id or its start. Repeatable.", autocompletion=rule_ids),
]
FRAMEWORKS = ("tensorflow", "keras", "pytorch", "jax", "xgboost")
Framework = Annotated[
    str, typer.Option(help=f"{', '.join(FRAMEWORKS)}.", callback=one_of(*FRAMEWORKS), autocompletion=among(*FRAMEWORKS))
]
BACKENDS = ("tensorflow", "torch", "jax")
Backend = Annotated[
    str | None,
    typer.Option(
        help=f"Keras's: {', '.join(BACKENDS)}; the first unless told.",
        callback=one_of(*BACKENDS),
        autocompletion=among(*BACKENDS),
    ),
]
Device = Annotated[
    str,
    typer.Option(
        help="Where the ops must run: gpu or cpu.", callback=one_of("gpu", "cpu"), autocompletion=among("gpu", "cpu")
    ),
]
Keep = Annotated[Path | None, typer.Option(help="Keep the evidence in this new folder.", metavar="DIR")]
Evidence = Annotated[Path | None, typer.Option("--from", help="Judge the evidence of an earlier run.", metavar="DIR")]
Image = Annotated[
    str | None,
    typer.Option(
        help="A recipe's name (`gpucheck build --list`), or anybody's image with its tag: name:tag.",
        autocompletion=recipe_names,
    ),
]
Base = Annotated[str | None, typer.Option(help="Build on this image instead of the recipe's base.", metavar="IMAGE")]
CaBundle = Annotated[
    Path | None,
    typer.Option(help="CA bundle for the build. Default: SSL_CERT_FILE, REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE."),
]
Network = Annotated[str | None, typer.Option(help="The build's network, as in `docker build --network`.")]
Strict = Annotated[bool, typer.Option("--strict", help="Exit 1 on warnings and 3 on any unknown.")]


def chosen(rules: Sequence[Rule], only: Sequence[str] | None, skip: Sequence[str] | None) -> tuple[Rule, ...]:
    """The rules that are asked for. Raises Failure where a name is no rule's."""
    names = {name: rule for rule in rules for name in (rule.id, *rule.aliases)}
    for name in (*(only or ()), *(skip or ())):
        if not any(_names(rule, name) for rule in rules):
            raise Failure(f"there is no rule {name!r}", nearest(name, names) or "`gpucheck explain` lists them")
    wanted = {r.id for r in rules if not only or any(_names(r, name) for name in only)}
    for rule in reversed(rules):  # each stands after what it comes after
        if rule.id in wanted:
            wanted.update(rule.after)
    return tuple(r for r in rules if r.id in wanted and not any(_names(r, name) for name in skip or ()))


def nearest(name: str, names: Sequence[str] | dict[str, Rule]) -> str | None:
    near = difflib.get_close_matches(name, list(names), n=1)
    return f"did you mean {near[0]}?" if near else None


def _names(rule: Rule, name: str) -> bool:
    return any(known == name or known.startswith(f"{name}.") for known in (rule.id, *rule.aliases))
