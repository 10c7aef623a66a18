"""Every recipe that is named, or every CPU recipe: really built, and its training verified on the CPU in the image.

No GPU is needed; what a CUDA recipe does on a GPU is not seen here. Run as `scripts/bench recipes [NAME...]`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from contextlib import closing

from rich.console import Console
from rich.table import Table

from gpucheck import containers, recipes
from gpucheck.model import Failure

VERIFY = ("--device", "cpu", "--data", "synthetic", "--epochs", "1", "--format", "json")


def verdict(name: str, base: list[str]) -> str:
    """Of `gpucheck verify` in the recipe's image: "yes: …"; or what it said instead."""
    recipe = recipes.load()[name]
    options = ["--framework", recipe.framework, *(["--backend", recipe.backend] if recipe.backend else [])]
    command = [sys.executable, "-m", "gpucheck", "verify", "--on", "docker", "--image", name, *options, *base, *VERIFY]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return str(json.loads(done.stdout)["verdict"]) if done.stdout else done.stderr.strip().splitlines()[0]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME")
    parser.add_argument("--base", help="build on this image")
    parser.add_argument("--remove", action="store_true", help="remove each image once it is verified: they are large")
    options = parser.parse_args()
    book = recipes.load()
    names = options.names or [name for name, recipe in book.items() if recipe.device == "cpu"]
    table = Table("recipe", "built in", "on disk", "verified in", "verdict on the CPU", box=None)
    wrong = 0
    for recipe in [recipes.find(book, name) for name in names]:
        began = time.monotonic()
        with closing(containers.connect()) as client:
            try:
                image = containers.build(recipe, base=options.base, client=client)
            except Failure as failure:
                table.add_row(recipe.name, "-", "-", "-", str(failure).splitlines()[0])
                wrong += 1
                continue
            built = time.monotonic()
            said = verdict(recipe.name, ["--base", options.base] if options.base else [])
            seconds = time.monotonic() - built
            size = client.images.get(image).attrs["Size"] / 1e9
            table.add_row(
                recipe.name, f"{built - began:.0f} s", f"{size:.2f} GB", f"{seconds:.0f} s", said.split(" (")[0]
            )
            wrong += not said.startswith("yes")
            if options.remove:
                client.images.remove(recipe.image_tag)
    Console().print(table)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
