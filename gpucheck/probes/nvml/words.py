"""NVML's numbers in words. Source: nvml.h, API version 13 (github.com/NVIDIA/go-nvml, gen/nvml/nvml.h)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

ARCHITECTURES = {
    2: "Kepler", 3: "Maxwell", 4: "Pascal", 5: "Volta", 6: "Turing", 7: "Ampere", 8: "Ada", 9: "Hopper",
    10: "Blackwell", 13: "Rubin",
}  # fmt: skip
BRANDS = {
    0: "unknown", 1: "Quadro", 2: "Tesla", 3: "NVS", 4: "GRID", 5: "GeForce", 6: "Titan", 7: "NVIDIA vApps",
    8: "NVIDIA VPC", 9: "NVIDIA VCS", 10: "NVIDIA VWS", 11: "NVIDIA Cloud Gaming", 12: "Quadro RTX", 13: "NVIDIA RTX",
    14: "NVIDIA", 15: "GeForce RTX", 16: "Titan RTX",
}  # fmt: skip
COMPUTE_MODES = {0: "default", 1: "exclusive_thread", 2: "prohibited", 3: "exclusive_process"}
FABRIC_STATES = {1: "not_started", 2: "in_progress", 3: "completed"}
# nvmlDeviceGpuRecoveryAction_t. 5 has meant two things: a reset of the bus, and to recover an IMEX domain.
RECOVERY_ACTIONS = {
    0: "none", 1: "gpu_reset", 2: "node_reboot", 3: "drain_p2p", 4: "drain_and_reset", 6: "bus_reset",
    7: "system_reboot",
}  # fmt: skip
# Bits of nvmlClocksEventReasons, in the words of `nvidia-smi --help-query-gpu`.
THROTTLE_REASONS = (
    "gpu_idle", "applications_clocks_setting", "sw_power_cap", "hw_slowdown", "sync_boost", "sw_thermal_slowdown",
    "hw_thermal_slowdown", "hw_power_brake_slowdown", "display_clocks_setting", "board_limit", "reliability",
)  # fmt: skip


def word(table: Mapping[int, str], code: int | None) -> str | None:
    """The word for a code; one that is newer than the table stays a number."""
    return None if code is None else table.get(code, f"code {code}")


def throttle_reasons(mask: int) -> tuple[str, ...]:
    bits = [bit for bit in range(mask.bit_length()) if mask >> bit & 1]
    return tuple(THROTTLE_REASONS[bit] if bit < len(THROTTLE_REASONS) else f"bit {bit}" for bit in bits)


def cpu_list(words: Iterable[int]) -> str:
    """A CPU mask in 64-bit words, lowest first, as the kernel writes lists: "0-23,48-71"."""
    mask = sum(value << 64 * place for place, value in enumerate(words))
    ranges: list[list[int]] = []
    for cpu in (bit for bit in range(mask.bit_length()) if mask >> bit & 1):
        if ranges and ranges[-1][1] == cpu - 1:
            ranges[-1][1] = cpu
        else:
            ranges.append([cpu, cpu])
    return ",".join(str(first) if first == last else f"{first}-{last}" for first, last in ranges)
