"""What rules about fitting share: the GPUs that a program sees, those that do not fit, the driver that CUDA gets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace

from gpucheck.facts import Driver, Linker, Nvml, System, Version


def shown(nvml: Nvml | None, system: System | None) -> Nvml | None:
    """Without the GPUs that CUDA_VISIBLE_DEVICES leaves out by UUID. Its numbers count in an order of CUDA's own."""
    value = system.environment.get("CUDA_VISIBLE_DEVICES", "") if system else ""
    entries = tuple(entry.strip() for entry in value.split(",") if entry.strip().startswith("GPU-"))
    chosen = tuple(gpu for gpu in nvml.gpus if entries and (gpu.uuid or "").startswith(entries)) if nvml else ()
    return replace(nvml, gpus=chosen) if nvml and chosen else nvml


def apart(
    gpus: Mapping[str, Version], fits: Callable[[Version], bool | None]
) -> tuple[dict[str, Version], dict[str, Version]]:
    """The GPUs that fit, or of which no table tells, and those that do not: one that fits is enough to work on."""
    unfit = {gpu: capability for gpu, capability in gpus.items() if fits(capability) is False}
    return {gpu: capability for gpu, capability in gpus.items() if gpu not in unfit}, unfit


def beside(what: str, unfit: Mapping[str, Version]) -> str:
    """What a pass says of the cards beside that do not fit; "" = there is none."""
    named = " and ".join(f"{gpu}, compute capability {capability}" for gpu, capability in unfit.items())
    return f"; {what} does not fit {named}" if named else ""


def cuda_driver(driver: Driver, linker: Linker | None) -> tuple[Version | None, str]:
    """The version of the driver that CUDA programs get, and what it is.

    A newer libcuda in front is forward compatibility; whether it may be is for the rules of the linker.
    """
    first = linker.libcuda[0].version if linker and linker.libcuda else None
    if driver.version and first and first > driver.version:
        return first, f"libcuda {first} (on driver {driver.version})"
    return driver.version, f"driver {driver.version}"
