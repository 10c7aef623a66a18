"""One GPU, every question that a rule may want answered."""

from __future__ import annotations

from typing import Any

from gpucheck.facts import Gpu, Version
from gpucheck.probes.nvml import words
from gpucheck.probes.nvml.ask import Ask
from gpucheck.probes.nvml.fabric import fabric
from gpucheck.probes.nvml.health import bools, health, to_bool
from gpucheck.probes.nvml.lists import memory_info, mig_devices, nvlinks, processes

CPU_WORDS = 128  # of 64 bits: 8192 CPUs, the most that Linux is built for
SENSOR_GPU = 0
SHUTDOWN, SLOWDOWN = 0, 1  # nvmlTemperatureThresholds_t
CLOCK_SM, CLOCK_MEM = 1, 2  # nvmlClockType_t


def read_gpu(ask: Ask, index: int, gpu: Any) -> Gpu:
    """`gpu` is its handle. What NVML refuses is in the result's `errors`."""
    known = {
        **_identity(ask, gpu), **_memory(ask, gpu), **_activity(ask, gpu), **_pcie(ask, gpu), **health(ask, gpu),
        **_modes(ask, gpu), **fabric(ask, gpu),
        "mig_devices": mig_devices(ask, gpu), "nvlinks": nvlinks(ask, gpu), "processes": processes(ask, gpu),
    }  # fmt: skip
    return Gpu(index=index, **known, errors=tuple(ask.errors))


def _identity(ask: Ask, gpu: Any) -> dict[str, Any]:
    pci = ask("nvmlDeviceGetPciInfo", gpu)
    capability = ask("nvmlDeviceGetCudaComputeCapability", gpu)
    firmware: bytes | None = ask("nvmlDeviceGetGspFirmwareVersion", gpu)
    cpus = ask("nvmlDeviceGetCpuAffinity", gpu, CPU_WORDS)
    return {
        "uuid": ask("nvmlDeviceGetUUID", gpu),
        "serial": ask("nvmlDeviceGetSerial", gpu),
        "name": ask("nvmlDeviceGetName", gpu),
        "brand": words.word(words.BRANDS, ask("nvmlDeviceGetBrand", gpu)),
        "architecture": words.word(words.ARCHITECTURES, ask("nvmlDeviceGetArchitecture", gpu)),
        "compute_capability": None if capability is None else Version(f"{capability[0]}.{capability[1]}"),
        "vbios": ask("nvmlDeviceGetVbiosVersion", gpu),
        "board_part": ask("nvmlDeviceGetBoardPartNumber", gpu),
        "gsp_firmware": None if firmware is None else firmware.decode("ascii", "replace"),
        "pci_address": None if pci is None else f"{pci.domain:04x}:{pci.bus:02x}:{pci.device:02x}.0",
        "pci_device_id": None if pci is None else f"{pci.pciDeviceId >> 16:04x}",  # low half: the vendor, 10de
        "minor": ask("nvmlDeviceGetMinorNumber", gpu),
        "numa_node": ask("nvmlDeviceGetNumaNodeId", gpu),
        "cpu_affinity": None if cpus is None else words.cpu_list(cpus),
    }


def _memory(ask: Ask, gpu: Any) -> dict[str, Any]:
    memory, bar1 = memory_info(ask, gpu), ask("nvmlDeviceGetBAR1MemoryInfo", gpu)
    return {
        "memory_total_bytes": getattr(memory, "total", None),
        "memory_used_bytes": getattr(memory, "used", None),
        "memory_free_bytes": getattr(memory, "free", None),
        "memory_reserved_bytes": getattr(memory, "reserved", None),
        "bar1_total_bytes": getattr(bar1, "bar1Total", None),
        "bar1_used_bytes": getattr(bar1, "bar1Used", None),
    }


def _activity(ask: Ask, gpu: Any) -> dict[str, Any]:
    rates = ask("nvmlDeviceGetUtilizationRates", gpu)
    mask = ask.first(
        ("nvmlDeviceGetCurrentClocksEventReasons", gpu), ("nvmlDeviceGetCurrentClocksThrottleReasons", gpu)
    )
    return {
        "utilization_percent": getattr(rates, "gpu", None),
        "memory_utilization_percent": getattr(rates, "memory", None),
        "temperature_c": temperature(ask, gpu),
        "slowdown_c": ask("nvmlDeviceGetTemperatureThreshold", gpu, SLOWDOWN),
        "margin_c": ask("nvmlDeviceGetMarginTemperature", gpu),
        "shutdown_c": ask("nvmlDeviceGetTemperatureThreshold", gpu, SHUTDOWN),
        "power_mw": ask("nvmlDeviceGetPowerUsage", gpu),
        "power_limit_mw": ask("nvmlDeviceGetEnforcedPowerLimit", gpu),
        "power_default_mw": ask("nvmlDeviceGetPowerManagementDefaultLimit", gpu),
        "power_max_mw": (ask("nvmlDeviceGetPowerManagementLimitConstraints", gpu) or (None, None))[1],
        "energy_mj": ask("nvmlDeviceGetTotalEnergyConsumption", gpu),
        "pstate": ask("nvmlDeviceGetPerformanceState", gpu),
        "sm_mhz": ask("nvmlDeviceGetClockInfo", gpu, CLOCK_SM),
        "sm_max_mhz": ask("nvmlDeviceGetMaxClockInfo", gpu, CLOCK_SM),
        "memory_mhz": ask("nvmlDeviceGetClockInfo", gpu, CLOCK_MEM),
        "memory_max_mhz": ask("nvmlDeviceGetMaxClockInfo", gpu, CLOCK_MEM),
        "throttle_mask": mask,
        "throttle_reasons": None if mask is None else words.throttle_reasons(mask),
    }


def temperature(ask: Ask, gpu: Any) -> int | None:
    degrees: int | None = ask.first(
        ("nvmlDeviceGetTemperatureV", gpu, SENSOR_GPU), ("nvmlDeviceGetTemperature", gpu, SENSOR_GPU)
    )
    return degrees


def _pcie(ask: Ask, gpu: Any) -> dict[str, Any]:
    return {
        "pcie_gen": ask("nvmlDeviceGetCurrPcieLinkGeneration", gpu),
        "pcie_gen_max": ask("nvmlDeviceGetMaxPcieLinkGeneration", gpu),
        "pcie_width": ask("nvmlDeviceGetCurrPcieLinkWidth", gpu),
        "pcie_width_max": ask("nvmlDeviceGetMaxPcieLinkWidth", gpu),
        "pcie_replays": ask("nvmlDeviceGetPcieReplayCounter", gpu),
    }


def _modes(ask: Ask, gpu: Any) -> dict[str, Any]:
    mig = bools(ask("nvmlDeviceGetMigMode", gpu))
    return {
        "compute_mode": words.word(words.COMPUTE_MODES, ask("nvmlDeviceGetComputeMode", gpu)),
        "persistence": to_bool(ask("nvmlDeviceGetPersistenceMode", gpu)),
        "mig": mig[0],
        "mig_pending": mig[1],
    }
