"""Is what an image has installed what its recipe's lock says? `gpucheck build --check`."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from gpucheck import building, codec, containers, locks
from gpucheck.facts import fact
from gpucheck.model import Failure, Say
from gpucheck.recipes import Recipe

VENV, SHARE = "/opt/venv", "/usr/share/gpucheck"  # of images/wheels/Dockerfile
INSIDE = "/opt/gpucheck-check"
PROGRAM = Path(__file__).with_name("records.py")
OF_VENV = ("pip", "setuptools")  # `python3 -m venv` installs them, in the version that the base brings
MOST = 8  # files that a sentence names
LABEL = containers.LABEL


@fact
class Distribution:
    name: str
    version: str


@fact
class Records:
    """What records.py found in an image; lists of files are relative to site-packages."""

    environment: Mapping[str, str]  # the variables of markers
    distributions: tuple[Distribution, ...]
    shipped: Mapping[str, str]  # sha256 of the lock and the SBOM that the image carries
    files: int  # in all RECORDs
    bytecode: int
    without_record: tuple[str, ...]
    changed: tuple[str, ...]
    missing: tuple[str, ...]
    unreadable: tuple[str, ...]
    unhashed: tuple[str, ...]
    unowned: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    problems: tuple[str, ...]  # sentences; () = the image is what the recipe says
    examined: str  # what was looked at, in a sentence


def check(image: str, recipe: Recipe, client: containers.Engine, say: Say = lambda _line, _share: None) -> Checked:
    """Compare an image with its recipe: labels, base, and in a container of it, without network, each installed file
    with the RECORD of its package and the packages with the lock. Raises Failure where the image cannot be examined.

    What this cannot see: RECORD, slimmed.txt and the labels lie in the image themselves, and its own Python reads them,
    so it finds damage, drift and mistakes, and not who changed a file and its RECORD alike. Bytecode is compared with
    nothing. Outside of site-packages it sees only what a RECORD lists: nothing of the base, nor what runs at its start.
    That the wheels were the lock's was proven by pip while building, which installs no file with another hash.
    """
    labels = containers.labels_of(image, client)
    if labels is None:
        raise Failure(f"there is no image {image}", f"`gpucheck build {recipe.name}` builds it", 1)
    records = _examined(image, client, say)
    problems = (*_labels(labels, recipe), *_packages(records, recipe), *_files(records), *_shipped(records, recipe))
    python = records.environment.get("python_full_version")
    examined = (
        f"{records.files} files of {len(records.distributions)} packages for Python {python}; "
        f"{records.bytecode} files of bytecode are compared with nothing"
    )
    return Checked(problems=problems, examined=examined)


def _examined(image: str, client: containers.Engine, say: Say) -> Records:
    command = [
        f"{VENV}/bin/python",
        "-I",
        "-S",
        "-B",
        f"{INSIDE}/records.py",
        VENV,
        SHARE,
        f"{INSIDE}/out/records.json",
    ]
    with tempfile.TemporaryDirectory(prefix="gpucheck-") as folder:
        ran = containers.run(
            image, command, gpus=False, files_in={f"{INSIDE}/records.py": PROGRAM},
            collect={f"{INSIDE}/out": Path(folder)}, say=say, client=client,
        )  # fmt: skip
        if ran.exit_code:
            last = ran.last_lines[-1] if ran.last_lines else f"exit code {ran.exit_code}"
            raise Failure(f"{image} cannot be examined: {last}", "is it an image that gpucheck built?", 1)
        try:
            return codec.load(Records, json.loads((Path(folder) / "records.json").read_text()))
        except (OSError, ValueError) as error:
            raise Failure(f"what the check left in {image} is not readable: {error}", "build it anew", 1) from error


def _labels(labels: Mapping[str, str], recipe: Recipe) -> Iterator[str]:
    name = labels.get(f"{LABEL}.recipe")
    if name != recipe.name:
        yield f"the image is of recipe {name}, not of {recipe.name}" if name else "the image's label names no recipe"
    lock, mine = labels.get(f"{LABEL}.lock-sha256"), recipe.arguments["LOCK_SHA256"]
    if lock != mine:
        yield f"the image is of another {recipe.lock}: its label says {_short(lock)}, here it is {_short(mine)}"
    elif labels.get(f"{LABEL}.digest") != recipe.digest:
        what = f"its row, its SBOM, {recipe.dockerfile} or a file beside that"
        yield f"the image is older than its recipe: {what} has changed since"
    base, _, pinned = recipe.base.partition("@")
    used = labels.get(building.BASE_DIGEST_LABEL)
    if pinned and used != pinned:
        what = f"{labels.get(building.BASE_LABEL)} with digest {used}" if used else "a base whose digest nobody told"
        yield f"the image was built on {what}, and the recipe's is {base} with {pinned}"


def _packages(records: Records, recipe: Recipe) -> Iterator[str]:
    try:
        wanted = locks.installs(locks.read(recipe.lock_path.read_text()), records.environment)
    except ValueError as error:
        raise Failure(f"{recipe.lock}: {error}", "it is `scripts/fix --locks` that makes it", 1) from error
    here: dict[str, list[str]] = {}
    for distribution in records.distributions:
        here.setdefault(locks.normalized(distribution.name), []).append(distribution.version)
    for name, versions in sorted(here.items()):
        if len(versions) > 1:
            yield f"{name} is installed {len(versions)} times: {', '.join(versions)}"
        elif name not in wanted:
            if name not in OF_VENV:
                yield f"{name} {versions[0]} is installed, and the lock does not name it"
        elif versions[0] != wanted[name].version:
            yield f"{name} {versions[0]} is installed, and the lock has {wanted[name].version}"
    for name in sorted(wanted.keys() - here.keys()):
        yield f"{name} {wanted[name].version} is in the lock, and not installed"


def _files(records: Records) -> Iterator[str]:
    for paths, one, many in (
        (records.changed, "is not as its package's RECORD says", "are not as their packages' RECORDs say"),
        (records.missing, "is missing, though a RECORD lists it", "are missing, though RECORDs list them"),
        (records.unreadable, "cannot be read", "cannot be read"),
        (records.unhashed, "has no hash in its RECORD", "have no hash in their RECORDs"),
        (records.unowned, "is in site-packages and in no RECORD", "are in site-packages and in no RECORD"),
        (records.without_record, "has no RECORD to compare with", "have no RECORD to compare with"),
    ):
        if paths:
            rest = f" and {len(paths) - MOST} more" if len(paths) > MOST else ""
            yield f"{', '.join(paths[:MOST])}{rest} {one if len(paths) == 1 else many}"


def _shipped(records: Records, recipe: Recipe) -> Iterator[str]:
    """The lock and the SBOM that the image carries, where the recipe has them."""
    for path in (recipe.lock_path, recipe.sbom_path):
        if path.is_file() and records.shipped.get(path.name) != hashlib.sha256(path.read_bytes()).hexdigest():
            yield f"the image's own {SHARE}/{path.name} is not the recipe's"


def _short(digest: str | None) -> str:
    return f"{digest[:12]}…" if digest else "nothing"
