"""`gpucheck build`: an image that fits this machine's driver and GPUs, or another machine's."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpucheck.cli.options import BACKENDS, Base, CaBundle, Network, one_of, recipe_names
from gpucheck.cli.screen import complain, saying
from gpucheck.host import Local
from gpucheck.model import Failure, Say

if TYPE_CHECKING:
    from gpucheck.compat import Compat
    from gpucheck.containers import Engine
    from gpucheck.machines import Machine
    from gpucheck.recipes import Recipe


def build(
    recipe: Annotated[
        str | None,
        typer.Argument(help="A recipe's name; none: the one that fits this machine.", autocompletion=recipe_names),
    ] = None,
    framework: Annotated[
        str, typer.Option(help="tensorflow, keras, pytorch, jax, xgboost; with ==VERSION for one version of it.")
    ] = "tensorflow",
    backend: Annotated[
        str | None, typer.Option(help=f"Keras's: {', '.join(BACKENDS)}.", callback=one_of(*BACKENDS))
    ] = None,
    device: Annotated[
        str, typer.Option(help="What the image is for: gpu or cpu.", callback=one_of("gpu", "cpu"))
    ] = "gpu",
    notebook: Annotated[bool, typer.Option("--notebook", help="With JupyterLab.")] = False,
    allow_jit: Annotated[
        bool, typer.Option("--allow-jit", help="Take a recipe whose code the driver must compile at the first start.")
    ] = False,
    assume_driver: Annotated[
        str | None, typer.Option(help="Plan for a machine with this driver, not for this one.", metavar="VERSION")
    ] = None,
    assume_gpu: Annotated[
        list[str] | None,
        typer.Option(help='Plan for a machine with this GPU: "T4", or a compute capability. Repeatable.'),
    ] = None,
    explain: Annotated[bool, typer.Option("--explain", help="Say what would be built and why, and build nothing.")] = (
        False
    ),
    from_pack: Annotated[
        Path | None, typer.Option(help="Build from a folder of `gpucheck pack`, without a network.", metavar="DIR")
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Build nothing: compare what is in the image with its lock.")
    ] = False,
    where: Annotated[
        str,
        typer.Option(
            "--on",
            help="docker, podman, or auto: Docker where an engine answers.",
            callback=one_of("auto", "docker", "podman"),
        ),
    ] = "auto",
    base: Base = None,
    ca_bundle: CaBundle = None,
    bake_ca: Annotated[bool, typer.Option("--bake-ca", help="Leave the CA bundle in the image too.")] = False,
    network: Network = None,
    list_recipes: Annotated[bool, typer.Option("--list", help="List the recipes and exit.")] = False,
) -> int:
    """Build the image that fits this machine's driver and GPUs."""
    from gpucheck import compat, containers, offers, packed, plans, recipes

    book, tables = recipes.load(), compat.load()
    if list_recipes:
        sys.stdout.write("".join(f"{name}  {row.title}  {row.image_tag}\n" for name, row in book.items()))
        return 0
    if from_pack:
        packed_recipe = packed.read(from_pack).recipe
        recipe = recipe or packed_recipe.name
        book = {**book, packed_recipe.name: packed_recipe}
    if recipe and (explain or assume_driver or assume_gpu):
        raise Failure("a recipe that is named needs no plan", "name none, or leave out --explain and --assume-…")
    if recipe and (notebook or backend or allow_jit or framework != "tensorflow" or device != "gpu"):
        raise Failure("a recipe that is named says all this itself", "leave out --framework, --backend, --device, …")
    name, _, version = framework.partition("==")
    wish = offers.Wish(
        framework=name, version=version or None, backend=backend, device=device,
        variant="notebook" if notebook else None, allow_jit=allow_jit,
    )  # fmt: skip
    with saying() as say:
        if recipe:
            plan = plans.Plan(recipe=recipes.find(book, recipe), reason="named")
        else:
            say("examining the machine", None)
            machine = _machine(tables, assume_driver, assume_gpu or ())
            try:
                plan = plans.choose(book, machine, wish, tables)
            except plans.Refusal as refusal:
                if explain:
                    sys.stdout.write(plans.explained(refusal, machine))
                    return refusal.exit_code
                raise
            if explain:
                sys.stdout.write(plans.explained(plan, machine))
                return 0
        say(f"{plan.recipe.name}: {plan.reason}", None)
        with closing(containers.choose(where, say)) as client:
            if not (recipe or assume_driver or assume_gpu or device == "cpu" or containers.is_local(client)):
                raise Failure(
                    "the Docker Engine is on another machine, whose driver and GPUs are not known here",
                    'say what it has (--assume-driver 570.124.06 --assume-gpu "A100"), or name a recipe',
                )
            if check:
                return _checked(plan.recipe, client, say)
            image = containers.build(
                plan.recipe, base=base, ca_bundle=ca_bundle, bake_ca=bake_ca, network=network, plan=plan.reason,
                pack=from_pack, say=say, client=client,
            )  # fmt: skip
    sys.stdout.write(f"{plan.recipe.image_tag}  {image}\nrecipe {plan.recipe.name}: {plan.reason}\n")
    return 0


def _machine(tables: Compat, driver: str | None, gpus: Sequence[str]) -> Machine:
    """The one that is assumed, or else this one. Raises Failure."""
    from gpucheck import engine, machines
    from gpucheck.facts import Driver, Nvml, Pci
    from gpucheck.probes import PROBES

    if driver and not gpus:
        raise Failure("a driver alone is no machine", '--assume-gpu says which GPU it has: --assume-gpu "T4"')
    if gpus:
        return machines.assumed(tables, driver, gpus)
    facts = engine.collect({subject: PROBES[subject] for subject in (Pci, Driver, Nvml)}, Local())
    return machines.machine_of(facts, tables)


def _checked(recipe: Recipe, client: Engine, say: Say) -> int:
    """Compare the recipe's image with its lock, and print what is wrong; the exit code."""
    from gpucheck import installed

    found = installed.check(recipe.image_tag, recipe, client, say)
    for problem in found.problems:
        complain(problem, None)
    wrong = f"{len(found.problems)} problems" if found.problems else f"as {recipe.lock} says"
    sys.stdout.write(f"{recipe.image_tag}: {wrong} ({found.examined})\n")
    return int(bool(found.problems))
