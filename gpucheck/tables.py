"""The rows of data/*.toml, one type each, and how they are read: strictly, each with its source and date."""

from __future__ import annotations

import tomllib
import types
import typing
from dataclasses import MISSING, fields
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any

from gpucheck.facts import Version, fact

FOLDER = Path(__file__).parent / "data"
PROVENANCE = {"source": str, "checked": date, "how": str}  # of every row; `how` where it was measured


@fact
class Floor:
    cuda: int  # major
    driver: Version


@fact
class Release:
    cuda: Version
    driver: Version


@fact
class Capability:
    capability: Version
    first: Version  # CUDA toolkit
    last: int | None = None  # CUDA major


@fact
class CudnnDrop:
    first: Version
    below: Version  # compute capability


@fact
class CudnnListed:
    since: Version  # the oldest cuDNN whose support matrix was read
    capabilities: tuple[Version, ...]


@fact
class Branch:
    capability: Version
    first: int | None = None  # major number of the driver
    last: int | None = None


@fact
class ModuleKind:
    open: bool
    first: Version | None = None  # compute capabilities
    below: Version | None = None


@fact
class FrameworkBuild:
    """What a wheel was built for. `sass` is None where nobody looked: then nothing follows about any GPU."""

    name: str
    version: Version  # major.minor: stands for every patch release
    cuda: Version
    cudnn: Version | None = None
    pythons: tuple[str, ...] | None = None
    sass: tuple[Version, ...] | None = None  # compute capabilities with machine code
    ptx: Version | None = None  # the newest PTX, compiled at run time
    jit_fails: tuple[Version, ...] = ()  # compute capabilities where that is reported to fail


@fact
class Heavy:
    """What the verification's network must show, each op in each mode of its framework's log."""

    framework: str
    ops: tuple[str, ...]
    modes: tuple[str, ...] = ("graph", "eager")


@fact
class Costly:
    """Ops that do heavy work in any other program."""

    framework: str
    ops: tuple[str, ...]


@fact
class OnCpu:
    """Ops that may be on the CPU of a program that trains on a GPU. `*` stands for anything."""

    framework: str
    what: str
    ops: tuple[str, ...]


@fact
class HeavyKernel:
    """Parts of the names of GPU kernels that convolve or multiply matrices; case does not matter."""

    names: tuple[str, ...]


@fact
class Accuracy:
    real: bool  # CIFAR-10, not the synthetic set
    epochs: int
    steps: int
    floor: float
    recipe: str = "tutorial"  # fast or tutorial
    framework: str | None = None  # None = every network; trees are no network


@fact
class Model:
    name: str
    capability: Version


@fact
class Chip:
    chip: str
    first: str  # PCI device ids, hexadecimal
    last: str
    capability: Version


@fact
class Xid:
    code: int
    name: str  # NVIDIA's: GPU_HAS_FALLEN_OFF_THE_BUS
    kind: str  # application, driver, hardware, power or informational
    action: str  # see the head of xids.toml
    meaning: str


@fact
class ToolkitFault:
    """What a version of the NVIDIA Container Toolkit does wrong, and where: everywhere unless it says."""

    below: Version
    says: str
    first: Version | None = None
    rootless: bool | None = None
    cgroups: int | None = None


@fact
class CdiEngine:
    """The first engines that read CDI specs of a version."""

    cdi: Version
    docker: Version
    podman: Version


@fact
class Instance:
    """A cloud's instance types with that many whole GPUs."""

    provider: str  # as in Cloud
    names: tuple[str, ...]
    gpu: str
    count: int


@fact
class Signature:
    """A message that people see, and what is behind it. The head of signatures.toml says what each field is."""

    id: str
    words: tuple[str, ...]
    tells: str  # cause, symptom or program
    meaning: str
    cause: str
    samples: tuple[tuple[str, ...], ...]  # (line, where it was read)
    unlike: tuple[str, ...]
    source: str
    pattern: str | None = None
    code: int | None = None  # of the CUDA error
    rule: str | None = None
    fix: str | None = None


@fact
class RentalFamily:
    """Instance types of a kind. Above each table of rentals.toml stands what its fields are."""

    provider: str
    family: str
    types: str  # a pattern
    memory_mib: int  # of one GPU
    capability: Version
    branch: int  # of the driver to install
    open_module: bool
    image: str  # the key of a StockImage
    quota: str
    quota_spot: str | None = None
    vgpu: bool = False


@fact
class Attached:
    """An instance type with GPUs that are attached one by one."""

    provider: str
    name: str  # ours
    instance_type: str
    gpu: str
    accelerator: str  # the cloud's name of it
    count: int


@fact
class StockImage:
    """A cloud's own machine image, by how the current one is looked up."""

    provider: str
    key: str
    distribution: str
    driver: bool
    lookup: str
    disk_gib: int
    login: str


@fact
class Price:
    """US dollars an hour, on demand."""

    provider: str
    name: str
    region: str
    usd: float
    asof: date
    or_later: bool = False
    spot_usd: float | None = None
    vcpus: int | None = None


Tables = dict[str, tuple[str, str, type]]  # field: file, section, type of a row

TABLES: Tables = {  # of Compat
    "floors": ("cuda.toml", "floor", Floor),
    "releases": ("cuda.toml", "release", Release),
    "capabilities": ("cuda.toml", "capability", Capability),
    "cudnn": ("cuda.toml", "cudnn", CudnnDrop),
    "cudnn_listed": ("cuda.toml", "cudnn_listed", CudnnListed),
    "branches": ("drivers.toml", "branch", Branch),
    "modules": ("drivers.toml", "module", ModuleKind),
    "builds": ("frameworks.toml", "build", FrameworkBuild),
    "heavy": ("frameworks.toml", "heavy", Heavy),
    "costly": ("frameworks.toml", "costly", Costly),
    "on_cpu": ("frameworks.toml", "on_cpu", OnCpu),
    "heavy_kernels": ("frameworks.toml", "heavy_kernel", HeavyKernel),
    "accuracy": ("training.toml", "accuracy", Accuracy),
    "models": ("gpus.toml", "model", Model),
    "chips": ("gpus.toml", "chip", Chip),
    "instances": ("clouds.toml", "instance", Instance),
    "toolkit_faults": ("container_toolkit.toml", "fault", ToolkitFault),
    "cdi_engines": ("container_toolkit.toml", "cdi_engine", CdiEngine),
    "xids": ("xids.toml", "xid", Xid),
}
SIGNATURES: Tables = {"signatures": ("signatures.toml", "signature", Signature)}  # read by `explain` alone
RENTALS: Tables = {  # of rentals.py
    "families": ("rentals.toml", "family", RentalFamily),
    "attached": ("rentals.toml", "attached", Attached),
    "images": ("rentals.toml", "image", StockImage),
    "prices": ("rentals.toml", "price", Price),
}


def read(folder: Path = FOLDER, tables: Tables = TABLES) -> dict[str, tuple[Any, ...]]:
    """Every table of `folder`, by field of Compat. Raises ValueError, naming file and row, where one is wrong."""
    names = {name for name, _, _ in tables.values()}
    files = {name: tomllib.loads((folder / name).read_text()) for name in names}
    return {
        field: tuple(_row(kind, data, f"{file}: {section}[{i}]") for i, data in enumerate(files[file][section]))
        for field, (file, section, kind) in tables.items()
    }


def _row(kind: type, data: dict[str, Any], where: str) -> Any:
    known = {field.name: field for field in fields(kind)}
    required = {name for name, field in known.items() if field.default is MISSING} | {"source", "checked"}
    if missing := required - data.keys():
        raise ValueError(f"{where}: no {', '.join(sorted(missing))}")
    if strange := data.keys() - known.keys() - PROVENANCE.keys():
        raise ValueError(f"{where}: no such key: {', '.join(sorted(strange))}")
    for name in data.keys() & PROVENANCE.keys():
        _value(PROVENANCE[name], data[name], f"{where}.{name}")
    hints = _hints(kind)
    return kind(**{name: _value(hints[name], data[name], f"{where}.{name}") for name in known if name in data})


_hints = cache(typing.get_type_hints)  # once a table, not once a row: most of the time went there


def _value(kind: Any, data: Any, where: str) -> Any:
    args = typing.get_args(kind)
    if isinstance(kind, types.UnionType):
        return _value(args[0], data, where)
    if typing.get_origin(kind) is tuple and isinstance(data, list):
        return tuple(_value(args[0], item, f"{where}[{i}]") for i, item in enumerate(data))
    if kind is Version and isinstance(data, str):
        try:
            return Version(data)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from error
    if type(data) is not kind:
        raise ValueError(f"{where}: {data!r} is not {getattr(kind, '__name__', 'a list')}")
    return data
