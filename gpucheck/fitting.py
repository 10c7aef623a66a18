"""Whether one recipe fits a machine, by every table: driver, CUDA, machine code, PTX, cuDNN. Silence is never a pass:
what no table says is said."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gpucheck.compat import Compat, runs_on
from gpucheck.facts import Version
from gpucheck.machines import Machine
from gpucheck.recipes import Recipe
from gpucheck.tables import FrameworkBuild


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    recipe: Recipe
    driver: str | None  # what of the driver is against it
    code: tuple[str, ...] = ()  # what of the code
    lacking: tuple[Version, ...] = ()  # the compute capabilities that its wheel has no machine code for
    jit: tuple[Version, ...] = ()  # those of them that its PTX could be compiled for
    jit_needs: str | None = None  # what is against that here
    silent: tuple[str, ...] = ()  # what no table says

    @property
    def native(self) -> bool:
        """Whether it runs without a compiler."""
        return not (self.driver or self.code or self.jit)

    def against(self, allow_jit: bool) -> str | None:
        """Why it does not fit: None where it does."""
        ptx = None
        if self.jit and (self.jit_needs or not allow_jit):
            then = self.jit_needs or "which --allow-jit lets the driver compile at the first start"
            ptx = f"has only PTX for compute capability {_listed(self.jit)}, {then}"
        return ", and ".join(filter(None, (self.driver, *self.code, ptx))) or None


def wheel_of(recipe: Recipe, recipes: Mapping[str, Recipe], compat: Compat) -> FrameworkBuild | None:
    """The table's row of the wheel that touches the GPU: of Keras the backend's, which is in the same lock."""
    sharing = (other for other in recipes.values() if other.lock == recipe.lock and not other.backend)
    row = next(sharing, recipe)
    if row.cuda is None:
        return None
    cuda = Version(row.cuda)
    name = {"pytorch": "torch", "jax": f"jax-cuda{cuda.major}-plugin"}.get(row.framework, row.framework)
    return compat.framework(name, Version(row.version), cuda)


def judge(recipe: Recipe, recipes: Mapping[str, Recipe], machine: Machine, compat: Compat) -> Verdict:
    """What the tables have against a CUDA recipe on that machine, whose driver is not checked where it is None."""
    if recipe.cuda is None or recipe.min_driver is None:
        raise ValueError(f"{recipe.name} is not for a GPU")
    build = wheel_of(recipe, recipes, compat)
    driver = None
    if machine.driver is not None and machine.driver < recipe.min_driver:
        driver = f"needs driver {recipe.min_driver} or newer"
    against: dict[str, list[Version]] = {}
    silent: dict[str, list[Version]] = {}
    jit: list[Version] = []
    for capability in machine.capabilities:
        how, fault = _runs(recipe, build, capability, compat)
        if fault:
            against.setdefault(fault, []).append(capability)
        elif how == "jit":
            jit.append(capability)
        for untold in _silent(recipe, build, capability, machine, compat):
            silent.setdefault(untold, []).append(capability)
    needs = _jit_needs(build, machine.driver, compat) if build and jit else None
    return Verdict(
        recipe=recipe, driver=driver, code=tuple(f"{fault} {_listed(cs)}" for fault, cs in against.items()),
        lacking=(*against.get(NO_CODE, ()), *against.get(PTX_FAILS, ()), *jit), jit=tuple(jit), jit_needs=needs,
        silent=tuple(f"no table says whether {untold} {_listed(cs)}" for untold, cs in silent.items()),
    )  # fmt: skip


NO_CODE = "has no machine code for compute capability"
PTX_FAILS = "has only PTX, which is reported to fail, for compute capability"


def _runs(
    recipe: Recipe, build: FrameworkBuild | None, capability: Version, compat: Compat
) -> tuple[str | None, str | None]:
    """How it runs there ("native", "jit"), and the fault that is against it."""
    cuda, span = Version(str(recipe.cuda)), compat.cuda_span(capability)
    how = runs_on(build, capability) if build and build.sass else ("native" if recipe.fits(capability) else None)
    if span and span.last and cuda.major > span.last:
        return None, f"is of CUDA {cuda}, which has dropped compute capability"
    if how is None:
        fails = build and capability in build.jit_fails
        return None, PTX_FAILS if fails else NO_CODE
    if recipe.cudnn and compat.cudnn_serves(Version(recipe.cudnn), capability) is False:
        return None, f"has cuDNN {recipe.cudnn}, which has dropped compute capability"
    if how == "native" and not recipe.fits(capability):
        return None, "is not for compute capability"
    if how == "native" and span and cuda.series < span.first.series:
        # The wheel's code would run, but not what NVRTC, ptxas and Triton compile at run time.
        return None, f"is of CUDA {cuda}, and only {span.first} knows compute capability"
    return how, None


def _silent(
    recipe: Recipe, build: FrameworkBuild | None, capability: Version, machine: Machine, compat: Compat
) -> Iterable[str]:
    if build is None or not build.sass:
        yield "its wheel has code, as the recipe says, for"
    if recipe.cudnn and compat.cudnn_serves(Version(recipe.cudnn), capability) is None:
        yield f"cuDNN {recipe.cudnn} has code for"
    if machine.driver and compat.driver_serves(machine.driver, capability) is None:
        yield f"driver {machine.driver} serves"


def _jit_needs(build: FrameworkBuild, driver: Version | None, compat: Compat) -> str | None:
    """What is against compiling its PTX with that driver: the one that its CUDA shipped is the oldest that can."""
    oldest = compat.toolkit_driver(build.cuda)
    if oldest is None:
        return f"and no table says which driver compiles CUDA {build.cuda}'s"
    if driver is None:
        return f"which takes driver {oldest} or newer, and none was found"
    return f"which takes driver {oldest} or newer; this is {driver}" if driver < oldest else None


def oldest_driver(recipe: Recipe, capabilities: Sequence[Version], compat: Compat) -> Version | None:
    """The oldest driver that runs its CUDA and serves all these GPUs; None where the tables know none."""
    branches = [branch for capability in capabilities if (branch := compat.branch(capability))]
    first = max((branch.first or 0 for branch in branches), default=0)
    shipped = min((r.driver for r in compat.releases if r.driver.major >= first), default=None)
    needed = max((driver for driver in (recipe.min_driver, shipped) if driver), default=None)
    last = last_branch(capabilities, compat)
    return None if needed is None or (last and needed.major > last) else needed


def last_branch(capabilities: Sequence[Version], compat: Compat) -> int | None:
    """The last driver branch that serves all these GPUs; None where it goes on, or is not known."""
    branches = [branch for capability in capabilities if (branch := compat.branch(capability))]
    return min((branch.last for branch in branches if branch.last), default=None)


def _listed(capabilities: Iterable[Version]) -> str:
    return ", ".join(map(str, capabilities))
