"""Which driver, CUDA, cuDNN, framework and GPU fit together: what data/*.toml says, as questions.

What is not in a table is None: silence, never a guess.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from functools import cache
from typing import Literal, TypeVar

from gpucheck import tables
from gpucheck.facts import Frameworks, Nvml, Package, Pci, PciDevice, Version, fact
from gpucheck.tables import (
    Accuracy,
    Branch,
    Capability,
    CdiEngine,
    Chip,
    Costly,
    CudnnDrop,
    CudnnListed,
    Floor,
    FrameworkBuild,
    Heavy,
    HeavyKernel,
    Instance,
    Model,
    ModuleKind,
    OnCpu,
    Release,
    ToolkitFault,
    Xid,
)

T = TypeVar("T")


@fact
class Compat:
    """Every table. Versions of drivers are Linux's."""

    floors: tuple[Floor, ...] = ()
    releases: tuple[Release, ...] = ()
    capabilities: tuple[Capability, ...] = ()
    cudnn: tuple[CudnnDrop, ...] = ()
    cudnn_listed: tuple[CudnnListed, ...] = ()
    branches: tuple[Branch, ...] = ()
    modules: tuple[ModuleKind, ...] = ()
    builds: tuple[FrameworkBuild, ...] = ()
    heavy: tuple[Heavy, ...] = ()
    costly: tuple[Costly, ...] = ()
    on_cpu: tuple[OnCpu, ...] = ()
    heavy_kernels: tuple[HeavyKernel, ...] = ()
    accuracy: tuple[Accuracy, ...] = ()
    models: tuple[Model, ...] = ()
    chips: tuple[Chip, ...] = ()
    instances: tuple[Instance, ...] = ()
    xids: tuple[Xid, ...] = ()
    toolkit_faults: tuple[ToolkitFault, ...] = ()
    cdi_engines: tuple[CdiEngine, ...] = ()

    def driver_floor(self, cuda: Version) -> Version | None:
        """The oldest driver that runs this CUDA runtime, by its major (minor-version compatibility)."""
        return _first(floor.driver for floor in self.floors if floor.cuda == cuda.major)

    def toolkit_driver(self, cuda: Version) -> Version | None:
        """The driver that this very release ships: the oldest that compiles the PTX it makes."""
        return _first(release.driver for release in self.releases if release.cuda == cuda)

    def cuda_span(self, capability: Version) -> Capability | None:
        """The first CUDA toolkit that knows a GPU, and the last."""
        return _first(span for span in self.capabilities if span.capability == capability)

    def cudnn_without(self, capability: Version) -> Version | None:
        """The first cuDNN that has no code for a GPU."""
        return _first(drop.first for drop in self.cudnn if capability < drop.below)

    def cudnn_serves(self, cudnn: Version, capability: Version) -> bool | None:
        """Whether a cuDNN has code for a GPU; None where nobody looked."""
        dropped = self.cudnn_without(capability)
        if dropped and cudnn >= dropped:
            return False
        return any(row.since <= cudnn and capability in row.capabilities for row in self.cudnn_listed) or None

    def branch(self, capability: Version) -> Branch | None:
        """The first and last driver branch for a GPU. Without a row the first is what its first CUDA shipped."""
        row = _first(branch for branch in self.branches if branch.capability == capability)
        if row and row.first:
            return row
        span = self.cuda_span(capability)
        came = _first(r.driver.major for r in self.releases if span and r.cuda.series == span.first.series)
        if row is None and came is None:
            return None
        return Branch(capability=capability, first=came, last=row.last if row else None)

    def driver_serves(self, driver: Version, capability: Version) -> bool | None:
        """Whether a driver's branch serves a GPU; None where the tables do not tell."""
        branch = self.branch(capability)
        if branch is None:
            return None
        if (branch.last and driver.major > branch.last) or (branch.first and driver.major < branch.first):
            return False
        return True if branch.first or driver >= self.releases[0].driver else None

    def module_fits(self, capability: Version, *, open_module: bool) -> bool:
        """Whether that kind of NVIDIA kernel module drives a GPU."""
        kinds = [kind for kind in self.modules if kind.open is open_module]
        return all(
            (kind.first is None or capability >= kind.first) and (kind.below is None or capability < kind.below)
            for kind in kinds
        )

    def framework(self, name: str, version: Version, cuda: Version | None = None) -> FrameworkBuild | None:
        """The build of a wheel; the one that its package index serves by default unless `cuda` says which."""
        return _first(
            build
            for build in self.builds
            if build.name == name
            and build.version.series == version.series
            and (cuda is None or build.cuda.series == cuda.series)
        )

    def build_of(self, package: Package) -> FrameworkBuild | None:
        """The CUDA build that an installed package is: of PyPI or PyTorch's index, and of the CUDA that it names.

        Others have a local version of their own (2.9.0a0+50eac811a6.nv25.9), another CUDA, or came as no wheel.
        """
        local = package.version.text.partition("+")[2]
        if package.cpu_only or not package.wheel or (local and not local.startswith("cu")):
            return None
        cuda = package.cuda if package.name in ("torch", "tensorflow") else None  # a plugin of JAX tells its major only
        return self.framework(package.name, package.version, cuda)

    def cuda_wheels(self, frameworks: Frameworks) -> tuple[tuple[Package, Version], ...]:
        """The installed frameworks built for CUDA, each with that CUDA: as the package says, else as the table does."""
        found = []
        for package in frameworks.packages:
            build = self.build_of(package)
            cuda = package.cuda or (build.cuda if build else None)
            if cuda and not package.cpu_only and not package.name.startswith("nvidia-"):
                found.append((package, cuda))
        return tuple(found)

    def shown_ops(self, frameworks: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """(op, mode) that the verification's network must show, forward and backward."""
        rows = [row for row in self.heavy if row.framework in frameworks]
        return tuple((op, mode) for row in rows for mode in row.modes for op in row.ops)

    def heavy_ops(self, frameworks: Sequence[str]) -> frozenset[str]:
        """The ops that do the work, in any program."""
        rows: list[Heavy | Costly] = [*self.heavy, *self.costly]
        rows = [row for row in rows if row.framework in frameworks]
        return frozenset(op for row in rows for op in row.ops)

    def allowed_on_cpu(self, frameworks: Sequence[str], op: str) -> str | None:
        """What kind of op it is that may be on the CPU beside a GPU: "input pipeline". None = not in the table."""
        rows = [row for row in self.on_cpu if row.framework in frameworks]
        return _first(row.what for row in rows if any(fnmatchcase(op, pattern) for pattern in row.ops))

    def is_heavy_kernel(self, name: str) -> bool:
        """Whether a GPU kernel of this name convolves or multiplies matrices, as far as a name tells."""
        low = name.lower()
        return any(part in low for row in self.heavy_kernels for part in row.names)

    def accuracy_floor(
        self, real: bool, epochs: int, steps: int, recipe: str = "tutorial", framework: str | None = None
    ) -> float | None:
        """The accuracy that training of that length reaches; None where it is too short to judge, or not known.

        A framework that has rows of its own is judged by them alone: trees are no network.
        """
        own = framework if any(row.framework == framework for row in self.accuracy) else None
        rows = [row for row in self.accuracy if (row.real, row.recipe, row.framework) == (real, recipe, own)]
        return max((row.floor for row in rows if epochs >= row.epochs and steps >= row.steps), default=None)

    def capability_of(self, name: str) -> Version | None:
        """The compute capability of a GPU by its name, as NVML or a person gives it: "Tesla T4", "RTX 4090"."""
        words = _words(name)
        if not words:
            return None
        fits = [model for model in self.models if f" {_words(model.name)} " in f" {words} "]
        if fits:
            longest = max(len(model.name) for model in fits)
            fits = [model for model in fits if len(model.name) == longest]
        else:  # a person leaves out the brand
            fits = [model for model in self.models if f" {words} " in f" {_words(model.name)} "]
        found = {model.capability for model in fits}
        return found.pop() if len(found) == 1 else None

    def capability_of_device(self, device_id: str) -> Version | None:
        """The compute capability of a GPU by its PCI device id ("2330"): known before any driver is."""
        number = int(device_id, 16)
        return _first(c.capability for c in self.chips if int(c.first, 16) <= number <= int(c.last, 16))

    def xid(self, code: int) -> Xid | None:
        """What an Xid means, whose fault it most often is and what it takes."""
        return _first(xid for xid in self.xids if xid.code == code)

    def promised(self, provider: str, instance_type: str) -> Instance | None:
        """The GPUs that a cloud's instance type has. Azure's names are told in any case of letters."""
        name = instance_type.lower()
        return _first(row for row in self.instances if row.provider == provider and name in map(str.lower, row.names))

    def faults_of_toolkit(self, version: Version) -> tuple[ToolkitFault, ...]:
        """What that version of the NVIDIA Container Toolkit is known to do wrong."""
        return tuple(
            row for row in self.toolkit_faults if version < row.below and (row.first is None or version >= row.first)
        )

    def reads_cdi(self, product: str, cdi: Version) -> Version | None:
        """The first Docker Engine, or Podman, that reads CDI specs as new as that; None where no table tells."""
        rows = [row for row in self.cdi_engines if row.cdi <= cdi]
        return max((row.podman if product == "podman" else row.docker for row in rows), default=None)

    def gpus(self, pci: Pci | None, nvml: Nvml | None) -> dict[str, Version]:
        """Label and compute capability of the GPUs here, by NVML or else by the bus. Unknown ones are left out."""
        found: list[tuple[str, Version | None]] = []
        on_bus = {gpu.address: gpu.device_id for gpu in own_gpus(pci)} if pci else {}
        if nvml and nvml.gpus:
            named = {gpu.pci_address for gpu in nvml.gpus if gpu.compute_capability}
            found = [(f"GPU {gpu.index} ({gpu.name or 'no name'})", gpu.compute_capability) for gpu in nvml.gpus]
            # One that is lost is still on the bus, where it can be told from the others by their addresses.
            lost = any(gpu.compute_capability is None for gpu in nvml.gpus) and None not in named
            on_bus = {address: device for address, device in on_bus.items() if lost and address not in named}
        found += [(f"the GPU at {address}", self.capability_of_device(device)) for address, device in on_bus.items()]
        return {label: capability for label, capability in found if capability is not None}


def runs_on(build: FrameworkBuild, capability: Version) -> Literal["native", "jit"] | None:
    """How a wheel runs on a GPU: machine code fits the same major and an equal or higher minor, PTX anything newer."""
    if any(have.major == capability.major and have <= capability for have in build.sass or ()):
        return "native"
    jit = build.ptx is not None and build.ptx <= capability and capability not in build.jit_fails
    return "jit" if jit else None


def own_gpus(pci: Pci) -> list[PciDevice]:
    """Without those given to a virtual machine and, beside a GPU that nvidia has or could have, other drivers' ones."""
    here = [gpu for gpu in pci.gpus if gpu.driver != "vfio-pci"]
    return [gpu for gpu in here if gpu.driver in ("nvidia", None)] or here


def _first(items: Iterable[T]) -> T | None:
    return next(iter(items), None)


def _words(name: str) -> str:
    return " ".join("".join(c if c.isalnum() else " " for c in name.lower()).split())


@cache
def load() -> Compat:
    """The tables that gpucheck ships. Raises ValueError, naming file and row, where one is wrong."""
    return Compat(**tables.read())
