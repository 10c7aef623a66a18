"""What of a report is compared with the reports of the node's siblings: how it is set up, and what was measured.

A trait that could not be looked at is left out, so it is neither odd nor a sibling's vote; "none" was looked for.
"""

from __future__ import annotations

import math
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from gpucheck.facts import Compute, ContainerToolkit, Docker, Driver, Gpu, Nvml, Pci, Run, System, Timing, Training
from gpucheck.model import Report

LONGEST = 100  # characters of a value
THE_DRIVERS = "the driver's"  # a version that follows the driver's differs only once


class Figure(NamedTuple):
    value: float  # in what `unit` says
    unit: str
    more_is_worse: bool
    of: str  # the GPU that it is of; "" = the node's own

    def worse(self, other: Figure) -> bool:
        return self.value > other.value if self.more_is_worse else self.value < other.value


def model(report: Report) -> tuple[str | None, str | None]:
    """The GPUs by their PCI ids with their number, which a broken driver hides not; and by NVML's names."""
    pci, nvml = report.facts.known.get(Pci), report.facts.known.get(Nvml)
    told = nvml.gpus if nvml else ()
    ids = Counter(gpu.device_id for gpu in pci.gpus) if pci and pci.gpus else Counter(g.pci_device_id for g in told)
    if None in ids:
        ids = Counter()
    names = sorted({gpu.name for gpu in told if gpu.name})
    return (
        _short(" + ".join(f"{number} × {each}" for each, number in sorted(ids.items()))) or None,
        _short(" + ".join(names)) or None,
    )


def uuids(report: Report) -> tuple[str, ...]:
    """By which a machine is known, whatever it calls itself; containers share one."""
    system = report.facts.known.get(System)
    if system and system.container:
        return ()
    nvml, compute = report.facts.known.get(Nvml), report.facts.known.get(Compute)
    gpus = (*(nvml.gpus if nvml else ()), *(compute.gpus if compute else ()))
    return tuple(sorted({_short(gpu.uuid) for gpu in gpus if (gpu.uuid or "").startswith("GPU-")})[:64])


def traits(report: Report) -> dict[str, str]:
    """By name, in the order in which a person would look."""
    return {name: _short(value) for name, value in _traits(report) if value is not None}


def _traits(report: Report) -> Iterator[tuple[str, str | None]]:
    known = report.facts.known
    system, driver, nvml = known.get(System), known.get(Driver), known.get(Nvml)
    toolkit, docker = known.get(ContainerToolkit), known.get(Docker)
    version = (driver.version if driver else None) or (nvml.driver_version if nvml else None)
    yield "gpucheck", report.tool
    if system:
        yield "system", system.os
        yield "kernel", system.kernel
    if version:
        yield "driver", str(version)
    if driver and driver.open_module is not None:
        yield "kernel module", "open" if driver.open_module else "proprietary"
    yield from _of_gpus(nvml, str(version))
    if docker:
        yield "container engine", f"{docker.product or 'engine'} {docker.server}" if docker.server else "none"
    if toolkit:
        yield "container toolkit", str(toolkit.version or "none")
        yield "CDI", _cdi(toolkit, str(version))
    yield "PCIe link at work", _link(known.get(Compute))


def _of_gpus(nvml: Nvml | None, driver: str) -> Iterator[tuple[str, str | None]]:
    if not nvml or not nvml.gpus:
        return
    yield "VBIOS", _each(nvml, lambda gpu: gpu.vbios)
    yield "GSP firmware", _each(nvml, lambda gpu: THE_DRIVERS if gpu.gsp_firmware == driver else gpu.gsp_firmware)
    yield "highest clocks", _each(nvml, lambda gpu: _mhz(gpu.sm_max_mhz, gpu.memory_max_mhz))
    yield (
        "power limit",
        _each(nvml, lambda gpu: None if gpu.power_limit_mw is None else f"{gpu.power_limit_mw // 1000} W"),
    )
    yield "ECC", _each(nvml, lambda gpu: _switch(gpu.ecc))
    yield "MIG", _each(nvml, lambda gpu: _switch(gpu.mig))
    yield "NVLink", _each(nvml, lambda gpu: f"{sum(each.active for each in gpu.nvlinks)} of {len(gpu.nvlinks)} links")
    yield "PCIe width", _each(nvml, lambda gpu: None if gpu.pcie_width is None else f"x{gpu.pcie_width}")
    yield "PCIe generation", _each(nvml, lambda gpu: None if gpu.pcie_gen_max is None else f"up to {gpu.pcie_gen_max}")


def _each(nvml: Nvml, told: Callable[[Gpu], str | None]) -> str | None:
    """One value where all GPUs have it; else the commonest last, and of each other one the GPUs that have it.

    None where a GPU did not tell, and might have, for a call to it failed.
    """
    found: dict[str, list[int]] = {}
    for gpu in nvml.gpus:
        value = told(gpu)
        if value is None and gpu.errors:
            return None
        found.setdefault(value or "none", []).append(gpu.index)
    (usual, _), *others = sorted(found.items(), key=lambda item: (-len(item[1]), item))
    odd = [f"{value} on GPU {', '.join(map(str, indexes))}" for value, indexes in others]
    return ", ".join([*odd, f"{usual} on the rest"]) if odd else usual


def _mhz(sm: int | None, memory: int | None) -> str | None:
    return None if sm is None else f"{sm} MHz, memory {memory} MHz"


def _switch(on: bool | None) -> str | None:
    return None if on is None else "on" if on else "off"


def _cdi(toolkit: ContainerToolkit, driver: str) -> str:
    told = []
    for spec in toolkit.cdi_specs:
        of = THE_DRIVERS if str(spec.driver_version) == driver else f"of driver {spec.driver_version}"
        said = f"{spec.kind} {spec.version}, {len(spec.devices)} devices, {of}"
        told.append(said + ("; it does not parse" if spec.error else ""))
    return " + ".join(sorted(told)) or "none"


def _link(compute: Compute | None) -> str | None:
    """Right after copies, when a link is as fast as it gets: idle ones are slow by design."""
    copies = [gpu.copies for gpu in compute.gpus if gpu.copies] if compute else []
    found = {(each.pcie_gen, each.pcie_width) for each in copies}
    if not found or any(None in each for each in found):
        return None
    return " + ".join(f"Gen{generation} x{width}" for generation, width in sorted(found, key=str))


def figures(report: Report) -> dict[str, Figure]:
    """What was measured: of each kind the node's worst GPU, so that one slow GPU in eight is not averaged away."""
    found: dict[str, Figure] = {}
    for name, figure in (*_copies(report), *_steps(report)):
        if math.isfinite(figure.value) and (name not in found or figure.worse(found[name])):
            found[name] = figure
    return found


def _copies(report: Report) -> Iterator[tuple[str, Figure]]:
    compute = report.facts.known.get(Compute)
    for number, gpu in enumerate(compute.gpus if compute else ()):
        if copies := gpu.copies:
            beside = "" if copies.alone else ", beside others"
            for way, speed in (("to", copies.to_gpu), ("from", copies.from_gpu)):
                yield f"bandwidth {way} the GPU{beside}", Figure(speed / 1e9, "GB/s", False, f"GPU {number}")
        if (test := gpu.kernel) and test.seconds > 0:
            steps = test.threads * test.rounds * test.launches
            speed = steps / 1e9 / test.seconds if steps < 10**30 else math.inf
            yield "integer work", Figure(speed, "steps/ns", False, f"GPU {number}")


def _steps(report: Report) -> Iterator[tuple[str, Figure]]:
    """A step time is only compared with that of the same work."""
    known: Any = report.facts.known
    timing, run, training = known.get(Timing), known.get(Run), known.get(Training)
    if timing:
        words = [*(run.frameworks if run else ()), f"batch {timing.batch_size}"]
        words += [f"{run.devices_asked} × {run.device}", *([run.recipe_ran] if run.recipe_ran else [])] if run else []
        words += [training.precision, training.recipe] if training else []
        yield (
            _short(f"step time of {', '.join(words)}"),
            Figure(timing.step_seconds * 1e3, "ms", True, ""),
        )


def _short(text: str | None) -> str:
    return sys.intern(text[:LONGEST]) if text else ""  # of ten thousand nodes most values are the same
