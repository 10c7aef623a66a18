"""Which recipe fits a machine: a pure function of its driver, its GPUs and a wish, by the tables, with the reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gpucheck import fitting, offers
from gpucheck.compat import Compat, runs_on
from gpucheck.facts import Version
from gpucheck.fitting import Verdict
from gpucheck.machines import Machine
from gpucheck.model import Failure
from gpucheck.offers import Wish
from gpucheck.recipes import TITLES, Recipe

NOT_KNOWN = 3  # exit code
Considered = tuple[tuple[str, str | None], ...]  # a recipe's name, and why not: None where it fits


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    recipe: Recipe
    reason: str
    jit: tuple[Version, ...] = ()  # compute capabilities for which the driver compiles PTX at the first start
    considered: Considered = ()


class Refusal(Failure):
    """No recipe fits: why, and in the tip what would."""

    def __init__(self, sentence: str, tip: str, considered: Considered = (), exit_code: int = 1) -> None:
        super().__init__(sentence, tip, exit_code)
        self.considered = considered


def choose(recipes: Mapping[str, Recipe], machine: Machine, wish: Wish, compat: Compat) -> Plan:
    """The first recipe that fits in the file's order, one with machine code for all GPUs before one that compiles PTX.

    Raises Failure where what was wished is not offered, Refusal where GPUs are there and nothing fits them, and where
    nobody could look.
    """
    if machine.unknown and wish.device != "cpu":
        tip = "say what it has (`gpucheck build --assume-gpu`), name a recipe, or ask for the CPU: `--device cpu`"
        raise Refusal(f"what this machine has is not known: {machine.unknown}", tip, exit_code=NOT_KNOWN)
    if wish.device == "cpu" or not machine.gpus:
        recipe = offers.offered(recipes, wish, "cpu")[0]
        found = f"no NVIDIA GPU was found on this machine ({machine.how})"
        reason = "the CPU was asked for" if wish.device == "cpu" else found
        return Plan(recipe=recipe, reason=reason, considered=((recipe.name, None),))
    rows = offers.offered(recipes, wish, "cuda")
    if not machine.capabilities:
        labels = ", ".join(label for label, _ in machine.gpus)
        raise Refusal(
            f"the compute capability of {labels} is not known: no driver tells it, and no table",
            "install NVIDIA's driver, or say which GPU it is: --assume-gpu",
            tuple((recipe.name, "the GPU is not known") for recipe in rows),
        )
    verdicts = [fitting.judge(recipe, recipes, machine, compat) for recipe in rows]
    if unserved := _unserved(machine, compat):
        considered: Considered = tuple((verdict.recipe.name, unserved) for verdict in verdicts)
        raise Refusal(unserved, _tip(verdicts, recipes, machine, wish, compat, served=False), considered)
    considered = tuple((verdict.recipe.name, verdict.against(wish.allow_jit)) for verdict in verdicts)
    fits = [verdict for verdict in verdicts if verdict.against(wish.allow_jit) is None]
    if not fits:
        sentence = _sentence(verdicts, recipes, machine, wish, compat)
        raise Refusal(sentence, _tip(verdicts, recipes, machine, wish, compat), considered)
    best = next((verdict for verdict in fits if verdict.native), fits[0])
    return Plan(recipe=best.recipe, reason=_reason(best, machine, compat), jit=best.jit, considered=considered)


def _reason(verdict: Verdict, machine: Machine, compat: Compat) -> str:
    recipe = verdict.recipe
    if machine.driver:
        driver = f"driver {machine.driver} runs CUDA {recipe.cuda} ({recipe.min_driver} or newer does)"
    else:
        last = fitting.last_branch(machine.capabilities, compat)
        until = f", up to branch {last}" if last else ""
        needed = fitting.oldest_driver(recipe, machine.capabilities, compat) or recipe.min_driver
        driver = f"no driver was found, and CUDA {recipe.cuda} on this machine needs {needed} or newer{until}"
    native = [capability for capability in machine.capabilities if capability not in verdict.jit]
    said = [driver]
    if native:
        said.append(f"{recipe.title} has machine code for {machine.named(native)}")
    if verdict.jit:
        said.append(
            f"for {machine.named(verdict.jit)} it has PTX only, whose compiling at the first start takes minutes"
        )
    said += verdict.silent
    said += [f"the compute capability of {label} is not known" for label, c in machine.gpus if c is None]
    return "; ".join(said)


def _unserved(machine: Machine, compat: Compat) -> str | None:
    """What the driver itself does not do: then it is no recipe's fault."""
    said = []
    for capability in machine.capabilities:
        branch = compat.branch(capability)
        if machine.driver and branch and compat.driver_serves(machine.driver, capability) is False:
            over = branch.last is not None and machine.driver.major > branch.last
            limit = f"branch {branch.last} is the last" if over else f"branch {branch.first} is the first"
            said.append(f"driver {machine.driver} does not serve {machine.named([capability])}: {limit} that does")
    return "; ".join(said) or None


def _sentence(
    verdicts: Sequence[Verdict], recipes: Mapping[str, Recipe], machine: Machine, wish: Wish, compat: Compat
) -> str:
    """Why none of them fits: what no wheel of the framework can do, or else what each recipe lacks."""
    names = {build.name for v in verdicts if (build := fitting.wheel_of(v.recipe, recipes, compat))}
    known = [build for build in compat.builds if build.name in names and build.sass]
    missing = [c for c in machine.capabilities if all(c in verdict.lacking for verdict in verdicts)]
    never = [c for c in missing if known and not any(runs_on(build, c) == "native" for build in known)]
    if never and wish.version is None:
        versions = sorted(build.version for build in known)
        framework = verdicts[0].recipe.backend or wish.framework
        return (
            f"no wheel of {TITLES.get(framework, framework)} in the tables ({versions[0]} to {versions[-1]}) has "
            f"machine code for {machine.named(never)}"
        )
    here = f"; the driver here is {machine.driver}" if any(verdict.driver for verdict in verdicts) else ""
    else_good = [v for v in verdicts if not (v.code or v.jit)]  # then it is the oldest driver floor that counts
    told = sorted(else_good, key=lambda verdict: str(verdict.driver))[:1] or verdicts
    return "; ".join(f"{v.recipe.name} {v.against(wish.allow_jit)}" for v in told) + here


def _tip(
    verdicts: Sequence[Verdict], recipes: Mapping[str, Recipe], machine: Machine, wish: Wish, compat: Compat,
    *, served: bool = True,
) -> str:  # fmt: skip
    """What would fit: another driver, another framework, PTX; where nothing does, the CPU."""
    others = [fitting.judge(recipe, recipes, machine, compat) for recipe in offers.peers(recipes, wish)]
    said = [_other_driver(verdicts, machine, compat)]
    fit: dict[tuple[str, str | None], Recipe] = {}
    for verdict in others if served else ():
        if verdict.native:
            fit.setdefault((verdict.recipe.framework, verdict.recipe.backend), verdict.recipe)
    if fit:
        named = " and ".join(f"{recipe.name} ({recipe.title})" for recipe in fit.values())
        said.append(f"{named} fit{'s' * (len(fit) == 1)} this machine")
    if not any(said) and (another := _other_driver(others, machine, compat)):
        said.append(f"{another}, though none of {TITLES.get(wish.framework, wish.framework)} would")
    if served and not wish.allow_jit and any(v.jit and not (v.jit_needs or v.code or v.driver) for v in verdicts):
        said.append("--allow-jit lets the driver compile PTX, which may fail")
    return "; or ".join(filter(None, said)) or "no other recipe fits either: `--device cpu` builds for the CPU"


def _other_driver(verdicts: Sequence[Verdict], machine: Machine, compat: Compat) -> str | None:
    """Another driver, of those that the tables know, with which one of them fits; the nearest such driver."""
    native = [verdict.recipe for verdict in verdicts if not (verdict.code or verdict.jit)]
    by_recipe = [(recipe, fitting.oldest_driver(recipe, machine.capabilities, compat)) for recipe in native]
    needed = [(driver, recipe.name) for recipe, driver in by_recipe if driver]
    if machine.driver is None or not needed:
        return None
    last = fitting.last_branch(machine.capabilities, compat)
    if last and machine.driver.major > last:
        return f"install a driver of branch {last}: then {needed[0][1]} fits"
    driver, name = min(needed, key=lambda pair: pair[0])
    until = f", up to branch {last}" if last else ""
    return f"upgrade the driver to {driver} or newer{until}: then {name} fits" if machine.driver < driver else None


def explained(plan: Plan | Refusal, machine: Machine) -> str:
    """What `build --explain` prints: the machine, what was considered, what was chosen and why."""
    known = [(label, capability or "not known") for label, capability in machine.gpus]
    gpus = [f"{'' if label == str(what) else f'{label}: '}compute capability {what}" for label, what in known]
    lines = [f"machine ({machine.how})", f"  driver {machine.driver or 'not found'}"]
    lines += [f"  {gpu}" for gpu in gpus or ["no NVIDIA GPU"]]
    lines += ["considered, in this order"]
    lines += [f"  {name}: {f'no: {why}' if why else 'fits'}" for name, why in plan.considered]
    if isinstance(plan, Refusal):
        return "\n".join((*lines, f"none: {plan}", f"  tip: {plan.tip}")) + "\n"
    recipe = plan.recipe
    sizes = [f"{recipe.download} MB to download" if recipe.download else "the download was never measured"]
    sizes += [f"{recipe.installed} MB on disk" if recipe.installed else "nor what it takes on disk"]
    return "\n".join((*lines, f"chosen: {recipe.name}, {recipe.title}, {', '.join(sizes)}", f"  {plan.reason}")) + "\n"
