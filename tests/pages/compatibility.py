"""docs/compatibility.md: what gpucheck/data and images/recipes.toml say fits together, and where each was read."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator
from datetime import date
from itertools import groupby
from typing import Any

from gpucheck import compat, recipes, tables
from gpucheck.compat import Compat, runs_on
from gpucheck.facts import Version
from gpucheck.recipes import TITLES, Recipe
from gpucheck.tables import FrameworkBuild
from tests.pages.markdown import prose, table

SIGNS = {"native": "yes", "jit": "PTX", None: "–"}
SHOWN = ("5.0", "6.0", "6.1", "7.0", "7.5", "8.0", "8.6", "8.9", "9.0", "10.0", "12.0", "12.1")
NAMES = {**TITLES, "jax-cuda12-plugin": "JAX", "jax-cuda13-plugin": "JAX"}
HEAD = """# What fits together

The tables by which gpucheck judges: [gpucheck/data](../gpucheck/data), [images/recipes.toml](../images/recipes.toml).
Written by `pytest tests/test_docs.py --update`. Each row there has its own source and the day on which it was read.
What is in no table is not known: gpucheck then says nothing, and guesses nothing. Drivers are Linux's, for x86_64.
`gpucheck build --explain` reads them for a machine; [fourteen machines](plans.md) show what comes of it.
"""


def page() -> str:
    known = compat.load()
    parts = (HEAD, *_cuda(known), *_gpus(known), *_wheels(known), *_recipes(), *_toolkit(known), *_clouds(known))
    return "\n".join(parts)


def _cuda(known: Compat) -> Iterator[str]:
    yield "## CUDA and the driver\n"
    yield "A driver runs every release of a CUDA major from this one on (else: error 35).\n"
    yield table(("CUDA", "oldest driver"), ((f"{f.cuda}.x", f"{f.driver}") for f in known.floors))
    yield "What a release makes as PTX is compiled only by the driver that it ships, or a newer one.\n"
    rows = []
    for series, releases in groupby(known.releases, key=lambda row: row.cuda.series):
        shipped = [f"{row.driver} ({row.cuda})" for row in releases]
        rows.append((".".join(map(str, series)), ", ".join(shipped)))
    yield table(("CUDA", "driver that it ships (release)"), rows)
    yield _sources("cuda.toml", "floor", "release")


def _gpus(known: Compat) -> Iterator[str]:
    yield "## GPUs\n"
    yield "By compute capability. A driver is named by its branch, the number before the first point.\n"
    found = {model.capability for model in known.models} | {span.capability for span in known.capabilities}
    yield table(("compute capability", "GPUs", "CUDA toolkits", "driver branches", "kernel module", "cuDNN"),
                (_capability(known, capability) for capability in sorted(found)))  # fmt: skip
    yield (f"A GPU's name contains one of these names, the longest counts; {len(known.chips)} ranges of PCI device ids "
           "tell it before a driver is there.\n")  # fmt: skip
    yield _sources("gpus.toml", "model", "chip")
    yield _sources("drivers.toml", "branch", "module")
    yield _sources("cuda.toml", "capability", "cudnn", "cudnn_listed")


def _capability(known: Compat, capability: Version) -> tuple[str, ...]:
    names = ", ".join(model.name for model in known.models if model.capability == capability)
    span, branch = known.cuda_span(capability), known.branch(capability)
    kinds = [kind for kind, is_open in (("open", True), ("proprietary", False))
             if known.module_fits(capability, open_module=is_open)]  # fmt: skip
    listed = next((row.since for row in known.cudnn_listed if capability in row.capabilities), None)
    gone = known.cudnn_without(capability)
    cudnn = ", ".join([f"from {listed}"] * bool(listed) + [f"gone in {gone}"] * bool(gone))
    toolkits = f"{span.first} {f'to {span.last}.x' if span.last else 'and newer'}" if span else "?"
    first, last = (branch.first, branch.last) if branch else (None, None)
    branches = f"{first or 'older'} to {last}" if last else f"{first} and newer" if first else "?"
    return f"**{capability}**", names, toolkits, branches, " or ".join(kinds), cudnn or "?"


def _wheels(known: Compat) -> Iterator[str]:
    yield "## Wheels of the frameworks\n"
    yield ("A row stands for a minor release on Linux x86_64. Machine code runs on the same major and the same or "
           "a higher minor compute capability, PTX on newer GPUs: the driver compiles it.\n")  # fmt: skip
    builds = sorted(known.builds, key=lambda build: (NAMES.get(build.name, build.name), build.version, build.cuda))
    yield table(("wheel", "package", "cuDNN", "Python", "machine code for", "newest PTX"),
                (_wheel(build, known) for build in builds))  # fmt: skip
    yield ("On which GPUs they run: *yes* by machine code, *PTX* where the driver compiles it (`--allow-jit`), – not "
           "at all, ? where nobody looked.\n")  # fmt: skip
    capabilities = [Version(text) for text in SHOWN]
    yield table(("wheel", *SHOWN), ((_name(build), *_runs(build, capabilities)) for build in builds))
    yield _sources("frameworks.toml", "build")


def _wheel(build: FrameworkBuild, known: Compat) -> tuple[str, ...]:
    other = "" if known.framework(build.name, build.version) == build else " (an index of its own)"
    return (
        _name(build), f"`{build.name}`{other}", str(build.cudnn or "–"), _span(build.pythons), _listed(build.sass),
        str(build.ptx or "–"),
    )  # fmt: skip


def _name(build: FrameworkBuild) -> str:
    return f"{NAMES.get(build.name, build.name)} {build.version}, CUDA {build.cuda}"


def _runs(build: FrameworkBuild, capabilities: Iterable[Version]) -> Iterator[str]:
    return ("?" if build.sass is None else SIGNS[runs_on(build, capability)] for capability in capabilities)


def _span(pythons: tuple[str, ...] | None) -> str:
    return f"{pythons[0]} to {pythons[-1]}" if pythons else "?"


def _listed(capabilities: tuple[Version, ...] | None) -> str:
    return "?" if capabilities is None else ", ".join(map(str, capabilities))


def _recipes() -> Iterator[str]:
    yield "## Recipes\n"
    yield ("What `gpucheck build` makes, in its order of choice; `NAME-notebook` has JupyterLab too. Sizes in MB: the "
           "wheels, and what they unpack to.\n")  # fmt: skip
    plain = [recipe for recipe in recipes.load().values() if recipe.variant is None]
    yield table(("recipe", "what", "Python", "CUDA", "cuDNN", "driver from", "compute capabilities", "MB"),
                map(_recipe, plain))  # fmt: skip
    days = [recipe.checked for recipe in plain]
    yield f"Sources: each row of [images/recipes.toml](../images/recipes.toml) names its own; read {_days(days)}.\n"


def _recipe(recipe: Recipe) -> tuple[str, ...]:
    span = recipe.compute_capabilities
    sizes = f"{recipe.download} / {recipe.installed}" if recipe.download else "?"
    return (
        f"`{recipe.name}`", recipe.title, _span(recipe.pythons), recipe.cuda or "–", recipe.cudnn or "–",
        str(recipe.min_driver or "–"), f"from {span[0]}, below {span[1]}" if span else "–", sizes,
    )  # fmt: skip


def _toolkit(known: Compat) -> Iterator[str]:
    yield "## The NVIDIA Container Toolkit\n"
    rows = []
    for fault in known.toolkit_faults:
        where = [f"cgroups {fault.cgroups}" if fault.cgroups else "", "rootless" if fault.rootless else ""]
        versions = f"from {fault.first}, before {fault.below}" if fault.first else f"before {fault.below}"
        rows.append((versions, ", ".join(filter(None, where)) or "everywhere", prose(fault.says)))
    yield table(("version", "where", "what is known of it"), rows)
    yield table(("CDI specs of", "Docker from", "Podman from"),
                ((str(row.cdi), str(row.docker), str(row.podman)) for row in known.cdi_engines))  # fmt: skip
    yield _sources("container_toolkit.toml", "fault", "cdi_engine")


def _clouds(known: Compat) -> Iterator[str]:
    yield "## Clouds\n"
    yield "The whole GPUs that an instance type promises: doctor compares.\n"
    rows = ((row.provider, row.gpu, str(row.count), ", ".join(row.names)) for row in known.instances)
    yield table(("cloud", "GPU", "each has", "instance types"), rows)
    yield _sources("clouds.toml", "instance")


def _sources(file: str, *names: str) -> str:
    data: dict[str, list[dict[str, Any]]] = tomllib.loads((tables.FOLDER / file).read_text())
    rows = [row for name in names for row in data[name]]
    told = dict.fromkeys(prose(row["source"]) for row in rows)
    read = _days([row["checked"] for row in rows])
    return f"Sources ([{file}](../gpucheck/data/{file}), read {read}): {'; '.join(told)}.\n"


def _days(days: list[date]) -> str:
    return f"{min(days)}" if min(days) == max(days) else f"{min(days)} to {max(days)}"
