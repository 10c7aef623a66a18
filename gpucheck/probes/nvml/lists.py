"""What a GPU has several of: MIG devices, NVLinks, processes."""

from __future__ import annotations

from typing import Any

from gpucheck.facts import GpuProcess, MigDevice, NvLink
from gpucheck.probes.nvml.ask import Ask

INVALID_ARGUMENT, NOT_FOUND = 2, 6
MOST_MIG = 64  # places of a GPU; seven today
COUNTERS = ("replay_errors", "recovery_errors", "crc_flit_errors", "crc_data_errors")  # nvmlNvLinkErrorCounter_t


def memory_info(ask: Ask, device: Any) -> Any:
    """Of a GPU or a MIG device. Version 2 counts the driver's own share as `reserved`, version 1 as used."""
    name = "nvmlDeviceGetMemoryInfo"
    return ask.first((name, device, ask.binding.nvmlMemory_v2), (name, device))


def mig_devices(ask: Ask, gpu: Any) -> tuple[MigDevice, ...]:
    places = range(min(ask("nvmlDeviceGetMaxMigDeviceCount", gpu) or 0, MOST_MIG))
    absent = frozenset({NOT_FOUND, INVALID_ARGUMENT})
    handles = [(place, ask("nvmlDeviceGetMigDeviceHandleByIndex", gpu, place, absent=absent)) for place in places]
    return tuple(_mig_device(ask, index, handle) for index, handle in handles if handle is not None)


def _mig_device(ask: Ask, index: int, handle: Any) -> MigDevice:
    name: str | None = ask("nvmlDeviceGetName", handle)
    memory = memory_info(ask, handle)
    return MigDevice(
        index=index,
        uuid=ask("nvmlDeviceGetUUID", handle),
        name=name,
        profile=name.rpartition(" MIG ")[2] if name and " MIG " in name else None,
        gpu_instance=ask("nvmlDeviceGetGpuInstanceId", handle),
        compute_instance=ask("nvmlDeviceGetComputeInstanceId", handle),
        memory_total_bytes=getattr(memory, "total", None),
        memory_used_bytes=getattr(memory, "used", None),
    )


def nvlinks(ask: Ask, gpu: Any) -> tuple[NvLink, ...]:
    """One that cannot be asked ends the list, and counters that cannot be read are not asked of the next link."""
    links: list[NvLink] = []
    start = len(ask.errors)
    for link in range(ask.binding.NVML_NVLINK_MAX_LINKS):
        before = len(ask.errors)
        state: int | None = ask("nvmlDeviceGetNvLinkState", gpu, link, absent=frozenset({INVALID_ARGUMENT}))
        if len(ask.errors) > before:
            break
        if state is not None:
            counters = _counters(ask, gpu, link) if state and len(ask.errors) == start else {}
            links.append(NvLink(link=link, active=state != 0, **counters))
    return tuple(links)


def _counters(ask: Ask, gpu: Any, link: int) -> dict[str, int | None]:
    return {name: ask("nvmlDeviceGetNvLinkErrorCounter", gpu, link, code) for code, name in enumerate(COUNTERS)}


def processes(ask: Ask, gpu: Any) -> tuple[GpuProcess, ...] | None:
    """A process that computes and draws is here twice. None where either list cannot be had."""
    found: list[GpuProcess] = []
    for kind in ("Compute", "Graphics"):
        name = f"nvmlDeviceGet{kind}RunningProcesses"
        answer = ask.first((f"{name}_v3", gpu), (f"{name}_v2", gpu))
        if answer is None:
            return None
        found += [GpuProcess(pid=p.pid, kind=kind.lower(), used_bytes=p.usedGpuMemory) for p in answer]
    return tuple(found)
