"""What the framework's own profiler saw executed: XPlane of TensorFlow and JAX, torch.profiler's chrome trace."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from gpucheck.facts import DeviceKernels, Kernels
from gpucheck.host import CannotLook
from gpucheck.witnesses import kineto, xplane
from gpucheck.witnesses.evidence import Document, chunks, document, file_name, file_names, whole
from gpucheck.witnesses.tally import Profile, Tally

# By how the files' names end, but for .gz.
SOURCES = {".xplane.pb": "XPlane", ".kineto.json": "torch.profiler"}
MOST_SHOWN = 50  # names of kernels; a training step has some forty
NO_PROFILER = ("xgboost",)
# Where CUPTI starts, a plane is left for each GPU (cupti_collector.cc, Export); where it does not, nothing says so.
NO_PLANE = "the process saw a GPU, and the profile has no plane of one: CUPTI did not start"


class Window(NamedTuple):
    """One stretch of time in which the profiler was on, in one process."""

    file: str  # in the folder
    seconds: float
    blind: str | None
    names: Mapping[str, str] = MappingProxyType({})  # what the machine calls a GPU that the process numbers otherwise
    gpus: bool = False  # the process saw one


def look(folder: Path) -> Kernels:
    """The training's window. Raises CannotLook where there was none, or what it left cannot be read."""
    return add_up(folder, windows(folder, document(folder, "train.json")))


def windows(folder: Path, training: Document) -> tuple[Window, ...]:
    """Those that a training tells of in its document: one, or with several processes one of each.

    Raises CannotLook with the reason why there was none.
    """
    if "profile" not in training.data:
        raise CannotLook("the run is older than gpucheck's use of the profiler")
    if training.data["profile"] is None:
        none = document(folder, "asked.json").get("framework", str) in NO_PROFILER
        raise CannotLook("the framework has no profiler of its own" if none else "the profiler was off")
    told = training.inner("profile")
    if told.data.get("file") is None:
        raise CannotLook(f"the profiler left nothing: {told.older('error', str, 'it did not say why')}")
    seconds = told.get("seconds", float)
    if not 0 <= seconds < math.inf:
        raise CannotLook(f"{told.name} has {seconds} as seconds")
    gpus = "devices" in training.data and any(name.startswith("GPU:") for name in training.texts("devices"))
    names = file_names(told, "files") if "files" in told.data else (file_name(told, "file"),)
    return tuple(Window(name, seconds, told.maybe("blind", str), gpus=gpus) for name in names)


def add_up(folder: Path, windows: Sequence[Window]) -> Kernels:
    """Several windows as one, also of several processes.

    A window that cannot be read is an error among the others. Raises CannotLook where that is so of all of them.
    """
    seen, errors, good = Profile(), list[str](), list[Window]()
    for one in windows:
        try:
            found = read(folder, one.file)
            deaf = one.gpus and not found.gpu_planes and _source(one.file) == "XPlane"
            good.append(one._replace(blind=one.blind or (NO_PLANE if deaf else None)))
            _include(seen, found, one.names)
        except CannotLook as error:
            errors.append(str(error))
    if not good:
        raise CannotLook(errors[0] if errors else "the profiler was never on")
    blind = None if seen.kernels else next((one.blind for one in good if one.blind), None)
    return Kernels(
        source=" and ".join(dict.fromkeys(_source(one.file) for one in good)), windows=len(good),
        seconds=sum(one.seconds for one in good), devices=devices(seen), host_ops=seen.host_events,
        host_longest=seen.host.longest(MOST_SHOWN), blind=blind,
        errors=tuple(dict.fromkeys([*errors, *seen.complaints])),
    )  # fmt: skip


def read(folder: Path, name: str) -> Profile:
    """One trace, by its name's ending. Raises CannotLook."""
    if _source(name) == "torch.profiler":
        return kineto.parse(chunks(folder, name))
    content = whole(folder, name, xplane.MOST_BYTES)
    try:
        return xplane.parse(content)
    except CannotLook as error:
        raise CannotLook(f"{name}: {error}") from error


def _source(name: str) -> str:
    """Raises CannotLook."""
    for ending, source in SOURCES.items():
        if name.removesuffix(".gz").endswith(ending):
            return source
    raise CannotLook(f"{name} is no trace of a known kind")


def devices(seen: Profile) -> tuple[DeviceKernels, ...]:
    rows = sorted(seen.kernels.items(), key=lambda row: (len(row[0]), row[0]))  # GPU:2 before GPU:10
    return tuple(
        DeviceKernels(device=name, kernels=kernels.count, seconds=kernels.seconds, longest=kernels.longest(MOST_SHOWN))
        for name, kernels in rows
    )


def _include(seen: Profile, more: Profile, names: Mapping[str, str]) -> None:
    for device, kernels in more.kernels.items():
        seen.kernels.setdefault(names.get(device, device), Tally()).include(kernels)
    seen.host.include(more.host)
    seen.host_events += more.host_events
    seen.complaints += more.complaints
