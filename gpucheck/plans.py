"""Which recipe fits a machine: a pure function of its facts, with the reason in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gpucheck.facts import Driver, Facts, Nvml, Pci
from gpucheck.model import Failure
from gpucheck.recipes import Recipe

KERAS_BACKEND = "tensorflow"  # Keras's own default


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    recipe: Recipe
    reason: str


def choose(
    recipes: Mapping[str, Recipe], facts: Facts, *, framework: str, device: str, backend: str | None = None
) -> Plan:
    """The recipe for `device` ("gpu" or "cpu") on this machine. Raises Failure where a GPU is there and none fits.

    `backend` is Keras's; the other frameworks have none.
    """
    rows = _rows(recipes, framework, backend)
    for_cpu = next(recipe for recipe in rows if recipe.device == "cpu")
    if device == "cpu":
        return Plan(recipe=for_cpu, reason="the CPU was asked for")
    pci, driver, nvml = (facts.known.get(subject) for subject in (Pci, Driver, Nvml))
    gpus = nvml.gpus if nvml else ()
    if not gpus and not (pci and pci.gpus):
        return Plan(recipe=for_cpu, reason="no NVIDIA GPU was found on this machine")
    version = (driver.version if driver else None) or (nvml.driver_version if nvml else None)
    capabilities = sorted({gpu.compute_capability for gpu in gpus if gpu.compute_capability is not None})
    refusals = []
    for recipe in rows:
        if recipe.device != "cuda":
            continue
        if version is not None and recipe.min_driver is not None and version < recipe.min_driver:
            refusals.append(f"{recipe.name} needs driver {recipe.min_driver} or newer; this is {version}")
        elif unfit := [c for c in capabilities if not recipe.fits(c)]:
            refusals.append(f"{recipe.name} has no code for compute capability {', '.join(map(str, unfit))}")
        else:
            have = f"driver {version}" if version else "no driver was found, so any"
            return Plan(recipe=recipe, reason=f"{have}; compute capability {', '.join(map(str, capabilities)) or '?'}")
    raise Failure("; ".join(refusals), "upgrade the driver, or name a recipe yourself: `--image`", 1)


def _rows(recipes: Mapping[str, Recipe], framework: str, backend: str | None) -> list[Recipe]:
    """Those of a framework with that backend. Raises Failure where there are none."""
    of_framework = [recipe for recipe in recipes.values() if recipe.framework == framework]
    if not of_framework:
        known = dict.fromkeys(recipe.framework for recipe in recipes.values())
        raise Failure(f"there is no recipe for {framework}", f"there are some for {', '.join(known)}")
    backends = {recipe.backend for recipe in of_framework if recipe.backend}
    wanted = backend or (KERAS_BACKEND if backends else None)
    rows = [recipe for recipe in of_framework if recipe.backend == wanted]
    if not rows:
        tip = f"there are {', '.join(sorted(backends))}" if backends else "Keras alone has backends"
        raise Failure(f"{framework} has no backend {wanted}", tip)
    return rows
