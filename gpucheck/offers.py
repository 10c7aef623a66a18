"""What a plan is wished for, and the recipes that are offered for it."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gpucheck.facts import Version
from gpucheck.model import Failure
from gpucheck.recipes import TITLES, Recipe

KERAS_BACKEND = "tensorflow"  # Keras's own default
NETWORKS = ("tensorflow", "pytorch", "jax")  # each can do another's work; XGBoost trains trees


@dataclass(frozen=True, kw_only=True, slots=True)
class Wish:
    framework: str
    version: str | None = None  # "2.10" or "2.10.0"
    backend: str | None = None  # Keras's
    device: str = "gpu"  # or "cpu"
    variant: str | None = None  # "notebook"
    allow_jit: bool = False  # PTX, which the driver compiles at the first start, is good enough


def offered(recipes: Mapping[str, Recipe], wish: Wish, device: str) -> list[Recipe]:
    """Those that are just what was wished, for `device` ("cpu" or "cuda"), newest first as the file has them.

    Raises Failure, with what there is, where there are none.
    """
    rows = [recipe for recipe in recipes.values() if recipe.framework == wish.framework]
    if not rows:
        known = dict.fromkeys(recipe.framework for recipe in recipes.values())
        near = difflib.get_close_matches(wish.framework.lower(), known, n=1)
        guess = f"did you mean {near[0]}? " if near else ""
        raise Failure(f"there is no recipe for {wish.framework}", f"{guess}there are some for {', '.join(known)}")
    backends = sorted({recipe.backend for recipe in rows if recipe.backend})
    backend = wish.backend or (KERAS_BACKEND if backends else None)
    if backend and backend not in backends:
        tip = f"there are {', '.join(backends)}" if backends else "Keras alone has backends"
        raise Failure(f"{wish.framework} has no backend {backend}", tip)
    rows = [recipe for recipe in rows if recipe.backend == backend]
    of_variant = [recipe for recipe in rows if recipe.variant == wish.variant]
    if not of_variant:
        have = dict.fromkeys(recipe.framework for recipe in recipes.values() if recipe.variant == wish.variant)
        known = dict.fromkeys(recipe.variant for recipe in recipes.values() if recipe.variant)
        tip = f"{', '.join(have)} have one" if have else f"there are {', '.join(known)}"
        raise Failure(f"there is no {wish.variant} variant of {wish.framework}", tip)
    found = [r for r in of_variant if r.device == device and (wish.version is None or _is(r.version, wish.version))]
    if not found:
        where = {"cpu": "the CPU", "cuda": "a GPU"}[device]
        versions = [recipe.version for recipe in of_variant if recipe.device == device]
        raise Failure(
            f"there is no recipe of {TITLES.get(wish.framework, wish.framework)} {wish.version or ''} for {where}",
            f"did you mean {_nearest(versions, wish.version)}? there are {', '.join(versions)} for {where}"
            if versions and wish.version else "`gpucheck build --list` shows what there is",
        )  # fmt: skip
    return found


def peers(recipes: Mapping[str, Recipe], wish: Wish) -> list[Recipe]:
    """For a GPU, what does the same work as what was wished: the other versions, backends and frameworks."""
    alike = ("keras",) if wish.framework == "keras" else NETWORKS if wish.framework in NETWORKS else (wish.framework,)
    rows = [recipe for recipe in recipes.values() if recipe.device == "cuda" and recipe.variant == wish.variant]
    return [recipe for recipe in rows if recipe.framework in alike]


def _is(version: str, wanted: str) -> bool:
    return f"{version}.".startswith(f"{wanted}.")


def _nearest(versions: Iterable[str], wanted: str | None) -> str:
    """By its numbers, or by its letters where it has none."""
    try:
        major, minor = Version(str(wanted)).series
    except ValueError:
        return max(versions, key=lambda version: difflib.SequenceMatcher(a=version, b=str(wanted)).ratio())
    return min(
        versions, key=lambda version: [abs(a - b) for a, b in zip(Version(version).series, (major, minor), strict=True)]
    )
