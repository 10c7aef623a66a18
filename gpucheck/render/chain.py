"""The way from the PCI bus to a framework, station by station: what holds, where it breaks, what waits behind it."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

from gpucheck.facts import (
    ContainerToolkit,
    Docker,
    Driver,
    Facts,
    Frameworks,
    Kernel,
    Linker,
    Nvml,
    Pci,
    System,
)
from gpucheck.model import Finding, Report, Severity, Status

# The rules of each: a rule belongs to the longest of these that its id starts with.
STATIONS: dict[str, tuple[str, ...]] = {
    "System": ("system", "cloud"),
    "PCI bus": ("pci", "pcie", "kernel_log.no-pcie-error", "kernel_log.no-gpu-off-the-bus"),
    "Kernel module": (
        "kernel", "packages", "driver", "driver.open-module-fits", "driver.branch-supports-gpu",
        "driver.survives-suspend",
    ),
    "Device nodes": (
        "driver.device-nodes", "driver.devices-accessible", "system.container-given-gpus",
    ),
    "Driver and NVML": (
        "nvml", "services", "driver.libraries-match", "system.driver-capabilities", "kernel_log", "compute",
    ),
    "CUDA libraries": ("linker", "toolkit", "cudnn", "driver.runs-cuda", "system.gpus-not-hidden"),
    "Container engine": ("docker",),
    "Container toolkit": ("container_toolkit", "image"),
    "Frameworks": ("frameworks", "system.cpu-not-forced", "system.shm-large-enough"),
}  # fmt: skip
SAID = {
    "pass": "holds", "fail": "fails", "warning": "to look at", "unknown": "not known", "waits": "waits",
    "sofar": "holds so far", "part": "holds in part", "skip": "no question",
}  # fmt: skip


class Station(NamedTuple):
    name: str
    kind: str  # a key of SAID
    broken: bool  # the root cause is here
    seen: str | None  # what is there, in few words


def stations(report: Report) -> tuple[Station, ...]:
    """() where the report is of no machine."""
    found: dict[str, list[Finding]] = {name: [] for name in STATIONS}
    for finding in report.findings:
        name = station_of(finding.rule)
        if name:
            found[name].append(finding)
    cause, before, told = report.root_cause, True, []
    for name, group in found.items():
        if group:
            broken, kind = cause in group, _kind(group)
            before = before and not broken
            told.append(
                Station(name, "sofar" if kind == "part" and before else kind, broken, _seen(name, report.facts))
            )
    return tuple(told)


@lru_cache(maxsize=1000)
def station_of(rule: str) -> str | None:
    starts = ((len(start), name) for name, all_of_it in STATIONS.items() for start in all_of_it if _is_in(rule, start))
    return max(starts, default=(0, None))[1]


def _is_in(rule: str, start: str) -> bool:
    return rule == start or rule.startswith(f"{start}.")


def _kind(group: list[Finding]) -> str:
    """Of the worst; that something holds is told only where nothing that matters waits or is unknown."""
    of = {status: [f for f in group if f.status is status] for status in Status}
    if any(f.severity is Severity.ERROR for f in of[Status.FAIL]):
        return "fail"
    if any(f.because and f.severity is Severity.ERROR for f in of[Status.SKIP]):
        return "part" if of[Status.PASS] else "waits"
    if any(f.severity is Severity.ERROR for f in of[Status.UNKNOWN]):
        return "unknown"
    if any(f.severity is Severity.WARNING for f in of[Status.FAIL]):
        return "warning"
    return "pass" if of[Status.PASS] else "unknown" if of[Status.UNKNOWN] else "skip"


def _seen(name: str, facts: Facts) -> str | None:
    if name not in SEEN:
        return None
    subject, words = SEEN[name]
    return words(facts.known[subject]) if subject in facts.known else None


def _system(system: System) -> str | None:
    return system.os


def _bus(pci: Pci) -> str:
    return f"{len(pci.gpus) or 'no'} NVIDIA GPU{'s' if len(pci.gpus) > 1 else ''}"


def _module(kernel: Kernel) -> str:
    return f"module {kernel.module_version}" if kernel.module_version else "no nvidia module"


def _nodes(driver: Driver) -> str:
    return f"{len(driver.devices) or 'no'} node{'s' if len(driver.devices) > 1 else ''} in /dev"


def _nvml(nvml: Nvml) -> str | None:
    if nvml.error:
        return f"NVML: {nvml.error.name.replace('_', ' ').lower()}"
    cuda = f", CUDA {nvml.cuda_version}" if nvml.cuda_version else ""
    return f"driver {nvml.driver_version}{cuda}" if nvml.driver_version else None


def _libraries(linker: Linker) -> str:
    if not linker.libcuda:
        return "no libcuda.so.1"
    return f"libcuda {linker.libcuda[0].version or 'of no version'}"


def _engine(docker: Docker) -> str:
    if docker.server:
        return f"{docker.product or 'engine'} {docker.server}"
    if docker.podman:
        return f"podman {docker.podman}"
    return f"client {docker.client}, no engine" if docker.client else "none"


def _toolkit(toolkit: ContainerToolkit) -> str:
    return f"nvidia-ctk {toolkit.version}" if toolkit.version else "not installed"


def _frameworks(frameworks: Frameworks) -> str:
    told = [f"{p.name} {p.version}" for p in frameworks.packages if not p.name.startswith("nvidia-")]
    return ", ".join(told[:2]) + (", …" if len(told) > 2 else "") if told else "none on this host"


SEEN: dict[str, tuple[type, Callable[[Any], str | None]]] = {
    "System": (System, _system), "PCI bus": (Pci, _bus), "Kernel module": (Kernel, _module),
    "Device nodes": (Driver, _nodes), "Driver and NVML": (Nvml, _nvml), "CUDA libraries": (Linker, _libraries),
    "Container engine": (Docker, _engine), "Container toolkit": (ContainerToolkit, _toolkit),
    "Frameworks": (Frameworks, _frameworks),
}  # fmt: skip
