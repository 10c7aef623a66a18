"""A pack: a folder with all that the build of one recipe needs where there is no network. packs.py writes it."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from gpucheck import recipes
from gpucheck.model import Failure, Say
from gpucheck.recipes import Recipe

if TYPE_CHECKING:
    from docker import DockerClient

SCHEMA = 1
CONTENTS = "pack.json"  # what it holds, with the sums of all other files
BASE = "base.tar"  # as `docker save` writes it
WHEELS = "wheels"
IMAGES = "images"  # the recipe's own files, and its row
MAKE = "`gpucheck pack RECIPE DIR` makes one"


@dataclass(frozen=True, kw_only=True, slots=True)
class Pack:
    folder: Path
    recipe: Recipe  # of the pack's own images folder
    base: str  # the base image's name where the pack was made
    base_id: str
    base_digest: str | None  # that its registry gave it
    made: str  # UTC, ISO 8601
    sums: Mapping[str, str]  # sha256 by the file's path in the folder

    @property
    def wheels(self) -> dict[str, Path]:
        """By their names."""
        return {Path(name).name: self.folder / name for name in self.sums if name.startswith(f"{WHEELS}/")}


def read(folder: Path) -> Pack:
    """What a pack says of itself; its files are not looked into. Raises Failure."""
    if not (folder / CONTENTS).is_file():
        raise Failure(f"{folder} is no pack: it has no {CONTENTS}", MAKE)
    try:
        told: dict[str, Any] = json.loads((folder / CONTENTS).read_text())
        if told["schema"] != SCHEMA:
            raise Failure(f"{folder} is a pack of schema {told['schema']}; this gpucheck reads {SCHEMA}", MAKE)
        sums = {str(name): str(value) for name, value in told["files"].items()}
        if BASE not in sums or any(PurePosixPath(n).is_absolute() or ".." in PurePosixPath(n).parts for n in sums):
            raise ValueError("files")
        recipe = recipes.load(folder / IMAGES)[told["recipe"]]
        base = told["base"]
        return Pack(
            folder=folder, recipe=recipe, base=base["name"], base_id=base["id"], base_digest=base["digest"],
            made=told["made"], sums=sums,
        )  # fmt: skip
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise Failure(f"{folder} is a torn pack, or one of another gpucheck: {error}", MAKE) from error


def check(pack: Pack, say: Say) -> None:
    """Compare every file with its sum. Raises Failure with the name of one that is missing or has changed."""
    again = "copy the pack again, or make it anew: `gpucheck pack`"
    added = [name for name in pack.recipe.files if f"{IMAGES}/{name}" not in pack.sums]
    if added:
        raise Failure(f"the pack's file {IMAGES}/{added[0]} was not packed", again)
    for name, wanted in pack.sums.items():
        say(f"checking {name}", None)
        try:
            with (pack.folder / name).open("rb") as file:
                found = hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise Failure(f"the pack's file {name} cannot be read: {error.strerror}", again) from error
        if found != wanted:
            raise Failure(f"the pack's file {name} is not what was packed", again)


def load_base(engine: DockerClient, pack: Pack, say: Say) -> str:
    """A name of the pack's base on the engine, which gets it where it has none. Nobody's own tag is moved."""
    from docker.errors import ImageNotFound

    repository, tag = "gpucheck/base", pack.base_id.removeprefix("sha256:")[:12]
    try:
        image = engine.images.get(pack.base_id)
    except ImageNotFound:
        say(f"loading the base {pack.base}", None)
        with (pack.folder / BASE).open("rb") as file:
            loaded = engine.images.load(file)
        if len(loaded) != 1:
            raise Failure(f"the pack's {BASE} holds {len(loaded)} images, not one", MAKE) from None
        image = loaded[0]  # its id is another one where the two engines keep images differently
    image.tag(repository, tag)
    return f"{repository}:{tag}"
