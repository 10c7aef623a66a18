"""`gpucheck images`: what gpucheck built, is it up to date, does it fit this machine; `images prune` removes of it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from contextlib import closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from gpucheck.cli.options import one_of
from gpucheck.cli.screen import complain
from gpucheck.host import Local
from gpucheck.model import Failure

if TYPE_CHECKING:
    from rich.console import RenderableType

    from gpucheck.built import Built, Fit
    from gpucheck.recipes import Recipe

MARKS = {True: ("✓", "green"), False: ("✗", "red"), None: ("?", "yellow")}
CURRENT = {True: "up to date", False: "older than its recipe", None: "its recipe is gone"}
UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))

app = typer.Typer(help="List the images that gpucheck built, and whether they still fit this machine; prune them.")


@app.callback(invoke_without_command=True)
def images(
    context: typer.Context,
    format: Annotated[
        str, typer.Option(help="terminal, or json: an image a line.", callback=one_of("terminal", "json"))
    ] = "terminal",
) -> int | None:
    """List the images that gpucheck built, and whether they still fit this machine."""
    if context.invoked_subcommand:
        return None
    from gpucheck import built, compat, containers, engine, recipes
    from gpucheck.facts import Driver, Nvml, Pci
    from gpucheck.machines import Machine, machine_of
    from gpucheck.probes import PROBES

    tables, book = compat.load(), recipes.load()
    with closing(containers.connect()) as client:
        found, near = built.images(client), containers.is_local(client)
    machine = (
        machine_of(engine.collect({subject: PROBES[subject] for subject in (Pci, Driver, Nvml)}, Local()), tables)
        if near else Machine(driver=None, gpus=(), how="", unknown="the engine is on another machine")
    )  # fmt: skip
    fits = {image.id: built.fit(image, book, machine, tables) for image in found}
    if format == "json":
        sys.stdout.write("".join(f"{json.dumps(_row(image, book, fits[image.id]))}\n" for image in found))
    elif found:
        from gpucheck.render.terminal import page

        sys.stdout.write(page([_block(image, book, fits[image.id]) for image in found]))
    else:
        sys.stdout.write("gpucheck has built nothing on this engine\n")
    return 0


@app.command()
def prune(
    everything: Annotated[
        bool, typer.Option("--all", help="Not only old builds, whose name a newer one has: all that have no container.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> int:
    """Remove images that gpucheck built: nobody else's, and none that has a container, running or not."""
    from gpucheck import built, containers

    with closing(containers.connect()) as client:
        found = built.images(client)
        going = built.going(found, tagged=everything)
        for image in found:
            if image.containers and (everything or not image.tags):
                complain(f"{_name(image)} stays: {image.containers} container(s) of it are there", None)
        if not going:
            sys.stdout.write("there is nothing to remove\n")
            return 0
        sys.stdout.write("".join(f"{_name(image)}  {_size(image)}\n" for image in going))
        if not yes and not _agreed(len(going)):
            return 1
        kept = [(image, why) for image in going if (why := built.remove(image, client))]
    for image, why in kept:
        complain(f"{_name(image)} stays: {why}", None)
    sys.stdout.write(f"removed {len(going) - len(kept)} of {len(going)}\n")
    return int(bool(kept))


def _agreed(number: int) -> bool:
    """Raises Failure where there is nobody to ask."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Failure("nothing was removed: there is no terminal to ask on", "remove these with `--yes`")
    sys.stderr.write(f"remove {'this' if number == 1 else f'these {number}'}? [y/N] ")
    sys.stderr.flush()
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _row(image: Built, book: Mapping[str, Recipe], fit: Fit) -> dict[str, object]:
    from gpucheck import built

    return {
        "id": image.id, "tags": [*image.tags, *image.also], "recipe": image.recipe, "plan": image.plan,
        "size": image.size, "created": image.created.isoformat() if image.created else None,
        "up_to_date": built.up_to_date(image, book), "fits": fit.fits, "why": fit.why, "containers": image.containers,
    }  # fmt: skip


def _block(image: Built, book: Mapping[str, Recipe], fit: Fit) -> RenderableType:
    """Four lines: its name, what it is, why it was chosen, whether it fits here."""
    from rich.console import Group
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    from gpucheck import built
    from gpucheck.render.wording import printable

    rows = Table.grid(padding=(0, 1))
    rows.add_column(width=1)
    rows.add_column()
    age = _age((datetime.now(UTC) - image.created).total_seconds()) if image.created else "of unknown age"
    rows.add_row("", f"{image.recipe} · {_size(image)} · {age} · {CURRENT[built.up_to_date(image, book)]}")
    if image.plan:
        rows.add_row("", Text(f"chosen because: {printable(image.plan)}", style="dim"))
    mark, style = MARKS[fit.fits]
    said = {True: "fits this machine", False: "does not fit this machine", None: "not known whether it fits"}[fit.fits]
    rows.add_row(Text(mark, style=style), Text(printable(f"{said}: {fit.why}")))
    return Group(Text(_name(image), style="bold"), Padding(rows, (0, 0, 0, 2)))


def _name(image: Built) -> str:
    return ", ".join(image.tags) or f"{image.id.removeprefix('sha256:')[:12]}, an old build of {image.recipe}"


def _size(image: Built) -> str:
    return f"{image.size / 1e9:.1f} GB" if image.size >= 1e9 else f"{image.size / 1e6:.0f} MB"


def _age(seconds: float) -> str:
    for length, unit in UNITS:
        if number := int(seconds // length):
            return f"{number} {unit}{'s' if number > 1 else ''} old"
    return "new"
