"""Over all drivers and pairs of GPUs: never a plan that a table forbids, never a refusal that none asks for.

What the tables say is asked here without gpucheck's own questions.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache

import pytest

from gpucheck import compat, plans, recipes
from gpucheck.facts import Version
from gpucheck.machines import Machine
from gpucheck.offers import Wish
from gpucheck.recipes import Recipe
from gpucheck.tables import FrameworkBuild

BOOK, TABLES = recipes.load(), compat.load()
WISHES = (
    *(Wish(framework=name) for name in ("tensorflow", "pytorch", "jax", "xgboost")),
    *(Wish(framework="keras", backend=backend) for backend in ("tensorflow", "torch", "jax")),
)
each_wish = pytest.mark.parametrize("wish", WISHES, ids=lambda wish: f"{wish.framework}-{wish.backend}")
FLOORS, RELEASES = {row.driver for row in TABLES.floors}, {row.driver for row in TABLES.releases}
DRIVERS = sorted(FLOORS | RELEASES | {Version("525.60.12")})
KNOWN, MODELS = {row.capability for row in TABLES.capabilities}, {row.capability for row in TABLES.models}
CAPABILITIES = sorted(KNOWN | MODELS)
WHEELS = {"tensorflow": ("tensorflow",), "pytorch": ("torch",), "xgboost": ("xgboost",), "torch": ("torch",),
          "jax": ("jax-cuda12-plugin", "jax-cuda13-plugin")}  # fmt: skip


@cache
def pinned(recipe: Recipe) -> dict[str, Version]:
    pins = re.findall(r"^([a-z0-9-]+)==([0-9.]+)", recipe.lock_path.read_text(), re.MULTILINE)
    return {name: Version(version) for name, version in pins}


@cache
def wheel(recipe: Recipe) -> FrameworkBuild:
    """The row of the wheel that the lock pins, of the row's CUDA."""
    (name,) = (name for name in WHEELS[recipe.backend or recipe.framework] if name in pinned(recipe))
    (row,) = (
        row
        for row in TABLES.builds
        if row.name == name
        and str(pinned(recipe)[name]).startswith(f"{row.version}.")
        and f"{row.cuda}.".startswith(f"{recipe.cuda}.")
    )
    return row


@cache
def forbidden(recipe: Recipe, driver: Version, capability: Version, ptx: bool) -> str | None:
    """The table that forbids it."""
    row = wheel(recipe)
    (floor,) = (floor.driver for floor in TABLES.floors if floor.cuda == row.cuda.major)
    branches = [branch for branch in TABLES.branches if branch.capability == capability]
    spans = [span for span in TABLES.capabilities if span.capability == capability]
    cudnn = [version for name, version in pinned(recipe).items() if name.startswith("nvidia-cudnn-")]
    native = any(have.major == capability.major and have <= capability for have in row.sass or ())
    shipped = [release.driver for release in TABLES.releases if release.cuda == row.cuda]
    newer = row.ptx is not None and row.ptx <= capability and capability not in row.jit_fails
    compiled = ptx and newer and bool(shipped) and driver >= shipped[0]
    if driver < floor:
        return "floor"
    if any(driver.major < (branch.first or 0) or driver.major > (branch.last or 10**6) for branch in branches):
        return "branch"
    if any(span.last and row.cuda.major > span.last for span in spans):
        return "CUDA dropped it"
    if any(capability < drop.below and version >= drop.first for drop in TABLES.cudnn for version in cudnn):
        return "cuDNN"
    if not native and not compiled:
        return "code"
    return None


def grid() -> Iterator[tuple[Version, Version, Version]]:
    for driver, (first, second) in itertools.product(DRIVERS, itertools.combinations_with_replacement(CAPABILITIES, 2)):
        yield driver, first, second


@pytest.mark.parametrize("allow_jit", [False, True], ids=["native", "jit"])
@each_wish
def test_no_plan_that_a_table_forbids(wish: Wish, allow_jit: bool) -> None:
    """Every driver and every pair of GPUs of the tables: a recipe that no table forbids, or a refusal with numbers."""
    wish = replace(wish, allow_jit=allow_jit)
    seen: set[str | None] = set()
    for driver, first, second in grid():
        machine = Machine(driver=driver, gpus=(("a", first), ("b", second)), how="")
        try:
            plan: plans.Plan | None = plans.choose(BOOK, machine, wish, TABLES)
        except plans.Refusal as refusal:
            plan, told = None, str(refusal)
            named = {str(driver), str(first), str(second)} & set(re.findall(r"\d+(?:\.\d+)+", told))
            said = bool(named and refusal.tip)
        if plan is None:
            assert said, f"{driver}, {first}, {second}: {told}"
            seen.add(None)
            continue
        for capability in (first, second):
            found = forbidden(plan.recipe, driver, capability, ptx=allow_jit)
            assert found is None, f"{plan.recipe.name} on {driver} and {capability}: {found}"
            native = forbidden(plan.recipe, driver, capability, ptx=False) is None
            assert native == (capability not in plan.jit)
        seen.add(plan.recipe.name)
    of_wish = {r.name for r in BOOK.values() if (r.framework, r.backend) == (wish.framework, wish.backend) and r.cuda}
    assert seen == {name for name in of_wish if not BOOK[name].variant} | {None}, "a recipe that is never chosen"


@each_wish
def test_no_refusal_that_no_table_asks_for(wish: Wish) -> None:
    """Where every table lets a recipe pass for each GPU, save that its CUDA is older than the GPU, there is a plan."""
    rows = [r for r in BOOK.values() if (r.framework, r.backend, r.variant) == (wish.framework, wish.backend, None)]
    first_cuda = {span.capability: span.first for span in TABLES.capabilities}
    known = {branch.capability for branch in TABLES.branches} | first_cuda.keys()
    for driver, first, second in grid():
        could = [
            row.name for row in rows if row.cuda and all(
                c in known and not forbidden(row, driver, c, ptx=False)
                and (c not in first_cuda or first_cuda[c] <= wheel(row).cuda) and TABLES.driver_serves(driver, c)
                for c in (first, second)
            )
        ]  # fmt: skip
        if could:
            machine = Machine(driver=driver, gpus=(("a", first), ("b", second)), how="")
            assert plans.choose(BOOK, machine, wish, TABLES).recipe.name == could[0]
