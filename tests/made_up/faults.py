"""What is wrong with one node of a fleet: changes of its facts, called by the trait or rule that is to name them."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from gpucheck.facts import Compute, ContainerToolkit, Driver, Kernel, Nvml, Pci, System, Timing, Version

Known = dict[type, Any]


def _gpu(known: Known, dice: random.Random, **more: Any) -> None:
    """One GPU of the node is other than the rest."""
    gpus = list(known[Nvml].gpus)
    place = dice.randrange(len(gpus))
    gpus[place] = replace(gpus[place], **more)
    known[Nvml] = replace(known[Nvml], gpus=tuple(gpus))


def _copies(known: Known, dice: random.Random, **more: Any) -> None:
    gpus = list(known[Compute].gpus)
    place = dice.randrange(len(gpus))
    gpus[place] = replace(gpus[place], copies=replace(gpus[place].copies, **more))
    known[Compute] = replace(known[Compute], gpus=tuple(gpus))


def _whole(known: Known, subject: type, **more: Any) -> None:
    known[subject] = replace(known[subject], **more)


def _driver(known: Known, version: str) -> None:
    """As a node that was left out of an upgrade: everything of the driver is older."""
    older = Version(version)
    libraries = tuple(
        replace(each, version=older, path=each.path.replace(str(each.version), version))
        for each in known[Driver].libraries
    )
    _whole(known, Driver, version=older, libraries=libraries)
    _whole(known, Kernel, module_version=older)
    _whole(known, Nvml, driver_version=older, gpus=tuple(
        replace(gpu, gsp_firmware=gpu.gsp_firmware and version) for gpu in known[Nvml].gpus
    ))  # fmt: skip
    _cdi(known, driver_version=older)


def _cdi(known: Known, **more: Any) -> None:
    specs = tuple(replace(spec, **more) for spec in known[ContainerToolkit].cdi_specs)
    _whole(known, ContainerToolkit, cdi_specs=specs)


def _mismatch(known: Known) -> None:
    """The kernel module from before an unattended upgrade: the libraries are newer."""
    _whole(known, Driver, version=Version("570.86.15"))


def _lost(known: Known) -> None:
    """A GPU that left the bus before the machine started: no rule can know that there was one."""
    _whole(known, Pci, gpus=known[Pci].gpus[:-1])
    _whole(known, Nvml, gpus=known[Nvml].gpus[:-1])


FAULTS: Mapping[str, Callable[[Known, random.Random], None]] = {
    "driver": lambda known, _: _driver(known, "535.183.01"),
    "kernel": lambda known, _: _whole(known, System, kernel="5.15.0-25-generic"),
    "system": lambda known, _: _whole(known, System, os="Ubuntu 22.04.1 LTS"),
    "kernel module": lambda known, _: _whole(known, Driver, open_module=not known[Driver].open_module),
    "VBIOS": lambda known, dice: _gpu(known, dice, vbios="90.00.00.00.99"),
    "GSP firmware": lambda known, dice: _gpu(known, dice, gsp_firmware="535.54.03"),
    "container toolkit": lambda known, _: _whole(known, ContainerToolkit, version=Version("1.14.0")),
    "CDI": lambda known, _: _whole(known, ContainerToolkit, cdi_specs=()),
    "highest clocks": lambda known, dice: _gpu(known, dice, sm_max_mhz=1005),
    "power limit": lambda known, dice: _gpu(known, dice, power_limit_mw=100_000),
    "ECC": lambda known, dice: _gpu(known, dice, ecc=False),
    "NVLink": lambda known, dice: _gpu(known, dice, nvlinks=tuple(
        replace(link, active=False) for link in known[Nvml].gpus[0].nvlinks
    )),
    "PCIe width": lambda known, dice: _gpu(known, dice, pcie_width=4),
    "PCIe generation": lambda known, dice: _gpu(known, dice, pcie_gen_max=3),
    "PCIe link at work": lambda known, dice: _copies(known, dice, pcie_gen=1),
    "bandwidth to the GPU": lambda known, dice: _copies(known, dice, to_gpu=known[Compute].gpus[0].copies.to_gpu * 0.7),
    "bandwidth from the GPU": lambda known, dice: _copies(
        known, dice, from_gpu=known[Compute].gpus[0].copies.from_gpu * 0.5
    ),
    "integer work": lambda known, _: _whole(known, Compute, gpus=tuple(
        replace(gpu, kernel=replace(gpu.kernel, seconds=gpu.kernel.seconds * 1.3)) for gpu in known[Compute].gpus
    )),
    "step time": lambda known, _: _whole(known, Timing, step_seconds=known[Timing].step_seconds * 1.4),
    "number of GPUs": lambda known, _: _lost(known),
    "driver.libraries-match": lambda known, _: _mismatch(known),
}  # fmt: skip
JUDGED = ("driver.libraries-match",)
SOME = {  # on which machines it can be told
    "NVLink": ("h100x8-healthy", "a100x8-healthy"), "number of GPUs": ("h100x8-healthy", "a100x8-healthy"),
    "GSP firmware": ("h100x8-healthy",),
    "CDI": ("h100x8-healthy",),
}  # fmt: skip
