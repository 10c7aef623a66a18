"""Every subject: all that gpucheck can know of a host and of a run.

None and () mean "looked, not there". What could not be looked at is not here but in `Facts.unknown`, with its reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from gpucheck.facts.containers import CdiSpec, ContainerToolkit, Docker
from gpucheck.facts.machine import DeviceNode, Driver, Kernel, Library, Pci, PciDevice, System
from gpucheck.facts.nvml import CallError, Gpu, GpuProcess, MigDevice, NvLink, Nvml
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
    Run,
    Timing,
)
from gpucheck.facts.software import CudaInstall, Cudnn, Frameworks, Package, Toolkit
from gpucheck.facts.training import ClassScore, Epoch, Evaluation, Share, Training
from gpucheck.facts.version import Version, fact


@fact
class Facts:
    """What is known, by type of subject, and what could not be looked at, with the reason."""

    known: Mapping[type, Any] = field(default_factory=dict)
    unknown: Mapping[type, str] = field(default_factory=dict)

    def __or__(self, other: Facts) -> Facts:
        return Facts(known={**self.known, **other.known}, unknown={**self.unknown, **other.unknown})


HOST_SUBJECTS: tuple[type, ...] = (
    System, Pci, Kernel, Driver, Nvml, Toolkit, Cudnn, Docker, ContainerToolkit, Frameworks,
)  # fmt: skip
RUN_SUBJECTS: tuple[type, ...] = (
    Run, Placement, Kernels, GpuUse, Control, Timing, Training, Evaluation,
)  # fmt: skip

__all__ = [
    "CallError",
    "CdiSpec",
    "ClassScore",
    "ContainerToolkit",
    "Control",
    "CudaInstall",
    "Cudnn",
    "DeviceKernels",
    "DeviceNode",
    "Docker",
    "Driver",
    "Epoch",
    "Evaluation",
    "Facts",
    "Frameworks",
    "Gpu",
    "GpuProcess",
    "GpuSamples",
    "GpuUse",
    "HOST_SUBJECTS",
    "Kernel",
    "KernelTime",
    "Kernels",
    "Library",
    "MigDevice",
    "NvLink",
    "Nvml",
    "Package",
    "Part",
    "Pci",
    "PciDevice",
    "PlacedOp",
    "Placement",
    "Process",
    "RUN_SUBJECTS",
    "Run",
    "Share",
    "System",
    "Timing",
    "Toolkit",
    "Training",
    "Version",
    "fact",
]
