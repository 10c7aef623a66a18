"""`gpucheck pack`: all that a recipe's build needs, in a folder to carry to a machine without a network."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from gpucheck.cli.options import Base, CaBundle, Network, recipe_names
from gpucheck.cli.screen import saying


def pack(
    recipe: Annotated[
        str, typer.Argument(help="A recipe's name: `gpucheck build --list`.", autocompletion=recipe_names)
    ],
    folder: Annotated[Path, typer.Argument(help="A new folder.", metavar="DIR")],
    base: Base = None,
    ca_bundle: CaBundle = None,
    network: Network = None,
) -> int:
    """Write all that a recipe's build needs to a folder; `gpucheck build --from-pack DIR` needs no network then."""
    from gpucheck import packs, recipes

    chosen = recipes.find(recipes.load(), recipe)
    with saying() as say:
        size = packs.pack(chosen, folder, base=base, ca_bundle=ca_bundle, network=network, say=say)
    sys.stdout.write(f"{folder}  {size / 1e9:.1f} GB\nrecipe {chosen.name}; `gpucheck build --from-pack {folder}`\n")
    return 0
