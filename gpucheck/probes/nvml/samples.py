"""What is asked of each GPU over and over: how busy it is, and who is on it. In the child process of watch.py only."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import Any

from gpucheck.probes.nvml.ask import Ask
from gpucheck.probes.nvml.gpu import CLOCK_SM, temperature
from gpucheck.probes.nvml.lists import INVALID_ARGUMENT, NOT_FOUND, memory_info
from gpucheck.probes.nvml.ownership import Ours

MOST_LISTED = 6, 2  # processes of a GPU: of the run, and of others


@dataclass(frozen=True, slots=True)
class Watched:
    index: int
    uuid: str | None
    name: str | None
    memory_total: int | None  # bytes
    devices: tuple[Any, ...]  # handles: the GPU's own, then those of its MIG devices; () = it gave none
    error: str | None  # why


def start(binding: ModuleType) -> list[Watched] | str:
    """The GPUs, or why there is none to watch."""
    ask = Ask(binding)
    try:
        binding.nvmlInit()
    except binding.NVMLError as error:
        return f"NVML did not start: {ask.code_name(int(error.value))}"
    count: int | None = ask.needed("nvmlDeviceGetCount")
    if not count:
        return f"NVML did not start: {_first(ask)}" if ask.errors else "NVML lists no GPU"
    return [_watched(binding, index) for index in range(count)]


def sample(binding: ModuleType, gpu: Watched, ours: Ours) -> dict[str, Any]:
    ask = Ask(binding)
    rates = memory = power = energy = sm = listed = degrees = None
    if gpu.devices:
        whole = gpu.devices[0]
        rates, memory = ask("nvmlDeviceGetUtilizationRates", whole), memory_info(ask, whole)
        power, energy = ask("nvmlDeviceGetPowerUsage", whole), ask("nvmlDeviceGetTotalEnergyConsumption", whole)
        sm, listed = ask("nvmlDeviceGetClockInfo", whole, CLOCK_SM), _processes(ask, gpu)
        degrees = temperature(Ask(binding), whole)  # nothing is judged by it: that it is not told is no error
    return {
        "index": gpu.index, "utilization": getattr(rates, "gpu", None), "memory_used": getattr(memory, "used", None),
        "power_mw": power, "energy_mj": energy, "sm_mhz": sm, "temperature_c": degrees,
        **_told(listed, ours), "error": gpu.error or _first(ask),
    }  # fmt: skip


def _watched(binding: ModuleType, index: int) -> Watched:
    ask = Ask(binding)
    gpu = ask.needed("nvmlDeviceGetHandleByIndex", index)
    if gpu is None:
        return Watched(index, None, None, None, (), _first(ask))
    absent = frozenset({NOT_FOUND, INVALID_ARGUMENT})
    places = range(ask("nvmlDeviceGetMaxMigDeviceCount", gpu) or 0)
    parts = [ask("nvmlDeviceGetMigDeviceHandleByIndex", gpu, place, absent=absent) for place in places]
    devices = (gpu, *(part for part in parts if part is not None))
    total = getattr(memory_info(ask, gpu), "total", None)
    return Watched(index, ask("nvmlDeviceGetUUID", gpu), ask("nvmlDeviceGetName", gpu), total, devices, None)


def _processes(ask: Ask, gpu: Watched) -> dict[int, int | None] | None:
    """Bytes by pid, of all that compute. None, and an error, only where no list of the GPU or of a MIG device of it can
    be had: once it is cut up, the whole GPU's takes a privilege. Clients of MPS are in a list of their own, if at all.
    """
    name, quiet = "nvmlDeviceGetComputeRunningProcesses", Ask(ask.binding)
    answers = [quiet.first((f"{name}_v3", device), (f"{name}_v2", device)) for device in gpu.devices]
    if all(answer is None for answer in answers):
        ask.errors += quiet.errors[:1]
        return None
    answers += [quiet("nvmlDeviceGetMPSComputeRunningProcesses_v3", device) for device in gpu.devices]
    found: dict[int, int | None] = {}
    for process in (each for answer in answers for each in answer or ()):
        found[process.pid] = max(process.usedGpuMemory or 0, found.get(process.pid) or 0) or None
    return found


def _told(listed: dict[int, int | None] | None, ours: Ours) -> dict[str, Any]:
    if listed is None:
        return {"processes": None}
    groups: tuple[list[dict[str, Any]], list[dict[str, Any]]] = [], []
    for pid, used in sorted(listed.items(), key=lambda each: -(each[1] or 0)):
        known = ours(pid)
        row = {"pid": pid, "used_bytes": used, "ours": known or False, **({"unseen": True} if known is None else {})}
        groups[0 if known else 1].append(row)
    shown = [row for most, group in zip(MOST_LISTED, groups, strict=True) for row in group[:most]]
    left = len(listed) - len(shown)
    return {"processes": shown, **({"unlisted": left} if left else {})}


def _first(ask: Ask) -> str | None:
    return f"{ask.errors[0].call}: {ask.errors[0].name}" if ask.errors else None
