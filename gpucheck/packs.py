"""`gpucheck pack`: base, wheels, lock and Dockerfile of a recipe in one folder, for machines that reach no network."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import secrets
import shutil
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import fields
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from gpucheck import __version__, building, containers, keeping, packed
from gpucheck.facts import Version
from gpucheck.model import Failure, Say
from gpucheck.recipes import Recipe
from gpucheck.refusals import sentence, told

if TYPE_CHECKING:
    from docker import DockerClient
    from requests import Response

TARGET = "wheels"  # of the Dockerfile: what the lock names, downloaded and not installed
CHUNK = 2**20


def pack(
    recipe: Recipe, folder: Path, *, base: str | None = None, ca_bundle: Path | None = None,
    network: str | None = None, say: Say = lambda _line, _share: None, client: DockerClient | None = None,
) -> int:  # fmt: skip
    """Write a pack of the recipe to a new folder, whole or not at all; its size in bytes. Raises Failure."""
    name = base or recipe.base
    with _whole(folder) as unfinished, containers.connected(client) as engine, told("the packing"):
        image = containers.fetch_image(name, engine, say)
        free, of_base = shutil.disk_usage(unfinished).free, int(engine.images.get(image).attrs["Size"])
        if recipe.download and free < (need := recipe.download * building.MB + of_base):
            needs = f"a pack of {recipe.name} needs about {need / 1e9:.1f} GB"
            raise Failure(f"{needs}; the disk of {folder} has {free / 1e9:.1f} GB free", "take another disk", 1)
        sums = dict(_images(recipe, unfinished / packed.IMAGES))
        with _built(engine, recipe, name, ca_bundle, network, say) as wheels:
            say("taking the wheels out", None)
            sums |= _take_wheels(engine, wheels, unfinished / packed.WHEELS)
        say(f"saving the base {name}", None)
        with _asked(engine, f"images/{image}/get") as answer:  # by its id: no tag moves where it is loaded
            sums[packed.BASE] = _write(unfinished / packed.BASE, answer.iter_content(CHUNK))
        contents = {
            "schema": packed.SCHEMA, "gpucheck": __version__, "made": keeping.now(), "recipe": recipe.name,
            "digest": recipe.digest,
            "base": {"name": name, "id": image, "digest": building.base_digest(engine, name)},
            "files": dict(sorted(sums.items())),
        }  # fmt: skip
        (unfinished / packed.CONTENTS).write_text(json.dumps(contents, indent=2) + "\n")
        return sum(path.stat().st_size for path in unfinished.rglob("*") if path.is_file())


def row(recipe: Recipe) -> str:
    """The recipe as recipes.load reads it."""
    lines = []
    for field in fields(Recipe):
        value = getattr(recipe, field.name)
        if field.name != "folder" and value is not None:
            lines.append(f"{field.name} = {_toml(value)}")
    return "\n".join(("[[recipe]]", *lines, ""))


def _toml(value: Any) -> str:
    match value:
        case (Version() as low, Version() as below):
            return f'{{ min = "{low}", below = "{below}" }}'
        case tuple():
            return json.dumps(list(value))
        case str() | Version():
            return json.dumps(str(value), ensure_ascii=False)
    return str(value)  # a date or a number


@contextmanager
def _whole(folder: Path) -> Iterator[Path]:
    """A folder beside the one that is wanted, which takes its place at the end; where it came not so far, none is left.

    Raises Failure where something is there already, or the disk is full.
    """
    folder = folder.resolve()
    if folder.is_mount() or folder == Path.cwd():  # neither can be replaced at the end
        raise Failure(f"{folder} is a disk, or the current folder", f"name a new folder in it: {folder / 'pack'}")
    try:
        full = folder.exists() and any(folder.iterdir())
        if full:
            raise Failure(f"{folder} is not empty", "give a new folder: a pack is whole or not there")
        folder.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise Failure(f"{folder} cannot be used: {error.strerror}", "give a new folder where you may write") from error
    try:
        yield unfinished
        unfinished.chmod(0o755)  # mkdtemp's is for one user
        unfinished.replace(folder)
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise Failure(f"the disk of {folder} is full", "take another disk", 1) from error
        if error.errno in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
            raise Failure(f"{folder} was made by someone else meanwhile", "give a new folder", 1) from error
        raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


@contextmanager
def _built(
    engine: DockerClient, recipe: Recipe, base: str, ca_bundle: Path | None, network: str | None, say: Say
) -> Iterator[str]:
    """The id of a container, never started, that holds the wheels; it and its image are gone at the end."""
    from docker.errors import APIError, NotFound

    tag = name = f"gpucheck-wheels-{secrets.token_hex(6)}"
    try:
        image = building.solve(
            engine, recipe, base, tag, ca_bundle=ca_bundle, network=network, target=TARGET, say=say
        )  # fmt: skip
        yield str(engine.containers.create(image, ["true"], name=name, labels={building.LABEL: "pack"}).id)
    finally:
        with suppress(NotFound):
            engine.api.remove_container(name, force=True)
        with suppress(APIError):  # an interrupted build tagged nothing
            engine.images.remove(tag)


def _take_wheels(engine: DockerClient, container: str, folder: Path) -> Iterator[tuple[str, str]]:
    """Write the wheels of a container to a new folder, as they come; (path in the pack, sha256) of each."""
    folder.mkdir()
    with (
        _asked(engine, f"containers/{container}/archive?path=/{TARGET}") as answer,
        tarfile.open(fileobj=answer.raw, mode="r|") as tar,
    ):
        for member in tar:
            name = PurePosixPath(member.name).name
            content = tar.extractfile(member) if member.isfile() and name.endswith(".whl") else None
            if content:
                yield f"{packed.WHEELS}/{name}", _write(folder / name, iter(partial(content.read, CHUNK), b""))


def _images(recipe: Recipe, folder: Path) -> Iterator[tuple[str, str]]:
    """Write the recipe's own files and its row to a new folder; (path in the pack, sha256) of each."""
    files = {name: path.read_bytes() for name, path in recipe.files.items()}
    for name, content in {**files, "recipes.toml": row(recipe).encode()}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        yield f"{packed.IMAGES}/{name}", _write(folder / name, [content])


def _write(path: Path, chunks: Iterable[bytes]) -> str:
    """The sha256 of what is written."""
    whole = hashlib.sha256()
    with path.open("xb") as file:
        for chunk in chunks:
            whole.update(chunk)
            file.write(chunk)
        file.flush()
        os.fsync(file.fileno())  # it is carried away on a disk
    return whole.hexdigest()


@contextmanager
def _asked(engine: DockerClient, path: str) -> Iterator[Response]:
    plain = {"Accept-Encoding": "identity"}  # the engine would compress what is compressed already
    with engine.api.get(building.url(engine, path), headers=plain, stream=True) as answer:
        if not answer.ok:
            raise Failure(*sentence(answer.json().get("message", "")), 1)
        yield answer
