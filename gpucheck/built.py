"""What gpucheck built on an engine: which images, are they up to date, do they fit this machine, and which may go."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from gpucheck import building, containers, fitting
from gpucheck.compat import Compat
from gpucheck.machines import Machine
from gpucheck.recipes import Recipe
from gpucheck.refusals import told

if TYPE_CHECKING:
    from docker import DockerClient

LABEL = containers.LABEL
OUR_STEP = re.compile(rf"\bLABEL\b.*\b{re.escape(LABEL)}\.", re.DOTALL)
BASE_STEP = re.compile(rf"#\(nop\) +LABEL ({re.escape(building.BASE_LABEL)}|{re.escape(building.BASE_DIGEST_LABEL)})=")
OURS = "gpucheck/"  # how the name of an image starts that we gave
FIRST = 2000  # no image is of an earlier year: a build may write a fixed date for "created"


@dataclass(frozen=True, kw_only=True, slots=True)
class Built:
    id: str
    tags: tuple[str, ...]  # () = a newer build has taken its name
    also: tuple[str, ...]  # names that somebody else gave it
    labels: Mapping[str, str]
    size: int  # bytes, with the layers that it shares with other images
    created: datetime | None
    containers: int  # of it, running or not

    @property
    def recipe(self) -> str:
        return self.labels[f"{LABEL}.recipe"]

    @property
    def plan(self) -> str | None:
        return self.labels.get(f"{LABEL}.plan")


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    fits: bool | None  # None: not known
    why: str


def images(client: DockerClient) -> tuple[Built, ...]:
    """What we built, newest first. Raises Failure.

    An image that was made from one of ours has inherited its labels: it is not ours. Its history goes on after them, or
    it has only names that others gave.
    """
    with told("the list of images"):
        used = [row["ImageID"] for row in client.api.containers(all=True)]
        found = []
        for image in client.images.list(filters={"label": f"{LABEL}.recipe"}):
            tags = tuple(sorted(image.tags))
            mine = tuple(tag for tag in tags if tag.startswith(OURS))
            named = image.labels.get(f"{LABEL}.recipe")  # a build by hand names none
            if named and (mine or not tags) and _ends_with_our_labels(image.history()):
                found.append(
                    Built(
                        id=str(image.id), tags=mine, also=tuple(tag for tag in tags if tag not in mine),
                        labels=image.labels, size=int(image.attrs["Size"]), created=_created(image.attrs),
                        containers=used.count(image.id),
                    )
                )  # fmt: skip
    long_ago = datetime.min.replace(tzinfo=UTC)
    return tuple(sorted(found, key=lambda image: (image.created or long_ago, image.id), reverse=True))


def up_to_date(image: Built, book: Mapping[str, Recipe]) -> bool | None:
    """Whether the recipe's files are still those it was built from; None where there is no such recipe any more."""
    recipe = book.get(image.recipe)
    return recipe.digest == image.labels.get(f"{LABEL}.digest") if recipe else None


def fit(image: Built, book: Mapping[str, Recipe], machine: Machine, compat: Compat) -> Fit:
    """Whether an image fits a machine, by its recipe's row."""
    recipe = book.get(image.recipe)
    if recipe is None:
        return Fit(fits=None, why=f"this gpucheck has no recipe {image.recipe}")
    rows = {"framework-version": recipe.version, "cuda": recipe.cuda, "min-driver": recipe.min_driver}
    for label, now in rows.items():
        was = image.labels.get(f"{LABEL}.{label}") or None
        if was != (str(now) if now else None):
            return Fit(fits=None, why=f"its {label} is {was or 'none'}, and its recipe's {now or 'none'} now")
    if recipe.device == "cpu":
        return Fit(fits=True, why="it runs on the CPU")
    if machine.unknown:
        return Fit(fits=None, why=machine.unknown)
    if not machine.gpus:
        return Fit(fits=False, why=f"no NVIDIA GPU was found on this machine ({machine.how})")
    if machine.driver is None:
        return Fit(fits=False, why=f"no driver was found, and it needs {recipe.min_driver} or newer")
    verdict = fitting.judge(recipe, book, machine, compat)
    unserved = [c for c in machine.capabilities if compat.driver_serves(machine.driver, c) is False]
    against = [f"driver {machine.driver} does not serve {machine.named(unserved)}"] if unserved else []
    if fault := verdict.against(allow_jit=True):
        against.append(f"{fault}; this is {machine.driver}" if verdict.driver else fault)
    if against:
        return Fit(fits=False, why="; ".join(against))
    if unknown := [label for label, capability in machine.gpus if capability is None]:
        return Fit(fits=None, why=f"the compute capability of {', '.join(unknown)} is not known")
    native = [capability for capability in machine.capabilities if capability not in verdict.jit]
    code = [f"it has machine code for {machine.named(native)}"] if native else []
    code += [f"for {machine.named(verdict.jit)} the driver compiles at the first start"] if verdict.jit else []
    return Fit(fits=True, why="; ".join([f"driver {machine.driver} runs CUDA {recipe.cuda}", *code, *verdict.silent]))


def going(found: Iterable[Built], *, tagged: bool) -> tuple[Built, ...]:
    """Which of them a prune removes: old builds whose name has moved on, and then, if `tagged`, all others. None that
    has a container, running or not.
    """
    free = [image for image in found if not image.containers]
    return tuple(i for i in free if not i.tags) + tuple(i for i in free if i.tags and tagged)


def remove(image: Built, client: DockerClient) -> str | None:
    """Remove an image, or of one that others named too our names alone; why the engine keeps it, where it does.

    Never by force, and never what it was built from.
    """
    from docker.errors import APIError, ImageNotFound

    with told("the removal"):
        for name in image.tags or (image.id,):
            try:
                now = client.images.get(name)
                if now.id == image.id and (image.tags or not now.tags):  # nobody gave or took a name meanwhile
                    client.images.remove(name, noprune=True)
            except ImageNotFound:  # somebody else was quicker
                continue
            except APIError as error:
                if error.status_code != 409:
                    raise
                return str(error.explanation)
    return None


def _ends_with_our_labels(history: Iterable[Mapping[str, Any]]) -> bool:
    """The classic builder makes a step of each label that a build asks for, those of the base last."""
    steps = (str(step.get("CreatedBy", "")) for step in history)
    last = next((step for step in steps if not BASE_STEP.search(step)), "")
    return bool(OUR_STEP.search(last))


def _created(attributes: Mapping[str, Any]) -> datetime | None:
    """When it was built, or else when it got its name."""
    for time in (attributes.get("Created"), (attributes.get("Metadata") or {}).get("LastTagTime")):
        try:
            when = datetime.fromisoformat(str(time))
        except ValueError:
            continue
        if when.year >= FIRST:
            return when.astimezone(UTC)
    return None
