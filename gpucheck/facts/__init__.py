"""Every subject: all that gpucheck can know of a host and of a run.

None and () mean "looked, not there". What could not be looked at is not here but in `Facts.unknown`, with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from gpucheck.facts.cloud import Cloud, CloudEvent, CloudEvents
from gpucheck.facts.compute import Compute, ComputeGpu, CopyTest, KernelTest, MemoryTest, PeerCopy, Peers
from gpucheck.facts.containers import CdiSpec, ContainerToolkit, Docker, Dockerd, Selinux
from gpucheck.facts.image import Image
from gpucheck.facts.kernel_log import KernelLog, LogEvent
from gpucheck.facts.machine import (
    DeviceNode,
    Dkms,
    Driver,
    DriverPackage,
    FailedBuild,
    Kernel,
    Library,
    Packages,
    Pci,
    PciBridges,
    PciDevice,
    Suspend,
    System,
    Upgrade,
    User,
)
from gpucheck.facts.nvml import CallError, Gpu, GpuProcess, MigDevice, NvLink, Nvml
from gpucheck.facts.pcie import Pcie, Slot
from gpucheck.facts.run import (
    Control,
    DeviceKernels,
    GpuSamples,
    GpuUse,
    Kernels,
    KernelTime,
    Part,
    PlacedOp,
    Placement,
    Process,
    Request,
    Run,
    Timing,
)
from gpucheck.facts.services import Services, Unit
from gpucheck.facts.software import CudaInstall, Cudnn, Frameworks, Linker, Package, Toolkit, Wanted
from gpucheck.facts.timeline import GpuSeries, Phase, Timeline
from gpucheck.facts.training import ClassScore, Epoch, Evaluation, Share, Training
from gpucheck.facts.version import Version, fact
from gpucheck.facts.world import Rank, Reduction, World


@fact
class Facts:
    """What is known, by type of subject, and what could not be looked at, with the reason."""

    known: Mapping[type, Any] = field(default_factory=dict)
    unknown: Mapping[type, str] = field(default_factory=dict)

    def __or__(self, other: Facts) -> Facts:
        return Facts(known={**self.known, **other.known}, unknown={**self.unknown, **other.unknown})


HOST_SUBJECTS: tuple[type, ...] = (
    System, User, Suspend, Pci, PciBridges, Cloud, CloudEvents, Kernel, Dkms, Packages, Driver, KernelLog, Nvml, Pcie,
    Services, Linker, Toolkit, Cudnn, Docker, Dockerd, Selinux, ContainerToolkit, Frameworks,
)  # fmt: skip
IMAGE_SUBJECTS: tuple[type, ...] = (Image,)  # `doctor --image`
DEEP_SUBJECTS: tuple[type, ...] = (Compute,)  # `doctor --deep`
RUN_SUBJECTS: tuple[type, ...] = (
    Run, Placement, Kernels, GpuUse, Control, Timing, Training, Evaluation, Timeline, Request,
)  # fmt: skip
WORLD_SUBJECTS: tuple[type, ...] = (World,)  # `verify --world`

__all__ = [
    "CallError",
    "CdiSpec",
    "ClassScore",
    "Cloud",
    "CloudEvent",
    "CloudEvents",
    "Compute",
    "ComputeGpu",
    "ContainerToolkit",
    "Control",
    "CopyTest",
    "CudaInstall",
    "Cudnn",
    "DEEP_SUBJECTS",
    "DeviceKernels",
    "DeviceNode",
    "Dkms",
    "Docker",
    "Dockerd",
    "Driver",
    "DriverPackage",
    "Epoch",
    "Evaluation",
    "FailedBuild",
    "Facts",
    "Frameworks",
    "Gpu",
    "GpuProcess",
    "GpuSamples",
    "GpuSeries",
    "GpuUse",
    "IMAGE_SUBJECTS",
    "Image",
    "HOST_SUBJECTS",
    "Kernel",
    "KernelLog",
    "KernelTest",
    "KernelTime",
    "Kernels",
    "Library",
    "LogEvent",
    "Linker",
    "MemoryTest",
    "MigDevice",
    "NvLink",
    "Nvml",
    "Package",
    "Packages",
    "Part",
    "Pci",
    "PciBridges",
    "PciDevice",
    "Pcie",
    "PeerCopy",
    "Peers",
    "Phase",
    "PlacedOp",
    "Placement",
    "Process",
    "RUN_SUBJECTS",
    "Rank",
    "Reduction",
    "Request",
    "Run",
    "Services",
    "Selinux",
    "Share",
    "Slot",
    "Suspend",
    "System",
    "Timeline",
    "Timing",
    "Toolkit",
    "Training",
    "Unit",
    "Upgrade",
    "User",
    "Version",
    "WORLD_SUBJECTS",
    "Wanted",
    "World",
    "fact",
]
