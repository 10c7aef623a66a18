"""`gpucheck build`: an image that fits this machine's driver and GPUs."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from gpucheck.cli.options import Backend, Base, CaBundle, Framework, Network, one_of
from gpucheck.cli.screen import saying
from gpucheck.host import Local


def build(
    recipe: Annotated[str | None, typer.Argument(help="A recipe's name; none: the one that fits this machine.")] = None,
    framework: Framework = "tensorflow",
    backend: Backend = None,
    device: Annotated[
        str, typer.Option(help="What the image is for: gpu or cpu.", callback=one_of("gpu", "cpu"))
    ] = "gpu",
    base: Base = None,
    ca_bundle: CaBundle = None,
    bake_ca: Annotated[bool, typer.Option("--bake-ca", help="Leave the CA bundle in the image too.")] = False,
    network: Network = None,
    list_recipes: Annotated[bool, typer.Option("--list", help="List the recipes and exit.")] = False,
) -> int:
    """Build the image that fits this machine's driver and GPUs."""
    from gpucheck import containers, engine, plans, recipes
    from gpucheck.facts import Driver, Nvml, Pci
    from gpucheck.probes import PROBES

    book = recipes.load()
    if list_recipes:
        rows = (f"{name}  {row.framework} {row.version}  {row.image_tag}\n" for name, row in book.items())
        sys.stdout.write("".join(rows))
        return 0
    with saying() as say:
        if recipe:
            plan = plans.Plan(recipe=recipes.find(book, recipe), reason="named")
        else:
            say("examining the machine", None)
            facts = engine.collect({subject: PROBES[subject] for subject in (Pci, Driver, Nvml)}, Local())
            plan = plans.choose(book, facts, framework=framework, backend=backend, device=device)
        say(f"{plan.recipe.name}: {plan.reason}", None)
        image = containers.build(plan.recipe, base=base, ca_bundle=ca_bundle, bake_ca=bake_ca, network=network, say=say)
    sys.stdout.write(f"{plan.recipe.image_tag}  {image}\nrecipe {plan.recipe.name}: {plan.reason}\n")
    return 0
