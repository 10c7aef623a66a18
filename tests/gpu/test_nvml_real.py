"""On a machine with an NVIDIA GPU, the NVML probe says what `nvidia-smi` says there."""

from __future__ import annotations

import shutil

import pytest

from gpucheck.facts import Gpu, Nvml
from gpucheck.host import Local
from gpucheck.probes import nvml

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no NVIDIA GPU here (no nvidia-smi)"),
]
MIB = 2**20
NO_ANSWER = {"N/A", "[N/A]", "[Not Supported]"}


def smi(*columns: str) -> list[dict[str, str | None]]:
    command = ("nvidia-smi", f"--query-gpu={','.join(columns)}", "--format=csv,noheader,nounits")
    result = Local().run(command, timeout=60)
    assert result.code == 0, result.out + result.err
    rows = [[cell.strip() for cell in line.split(",")] for line in result.out.splitlines()]
    return [
        {name: None if cell in NO_ANSWER else cell for name, cell in zip(columns, row, strict=True)} for row in rows
    ]


def constants(seen: Nvml, gpu: Gpu) -> dict[str, str | None]:
    """What does not move between two looks, in nvidia-smi's words."""
    domain, rest = (gpu.pci_address or ":").split(":", 1)
    switch = {True: "Enabled", False: "Disabled", None: None}
    memory, power, mode = gpu.memory_total_bytes, gpu.power_limit_mw, gpu.compute_mode
    return {
        "index": str(gpu.index),
        "driver_version": str(seen.driver_version),
        "uuid": gpu.uuid,
        "name": gpu.name,
        "serial": gpu.serial,
        "vbios_version": gpu.vbios,
        "pci.bus_id": f"{domain.zfill(8)}:{rest}".upper(),
        "pci.device_id": f"0x{(gpu.pci_device_id or '').upper()}10DE",
        "compute_cap": str(gpu.compute_capability),
        "memory.total": None if memory is None else str(round(memory / MIB)),
        "pcie.link.gen.max": None if gpu.pcie_gen_max is None else str(gpu.pcie_gen_max),
        "pcie.link.width.max": None if gpu.pcie_width_max is None else str(gpu.pcie_width_max),
        "persistence_mode": switch[gpu.persistence],
        "compute_mode": None if mode is None else mode.title(),
        "ecc.mode.current": switch[gpu.ecc],
        "ecc.mode.pending": switch[gpu.ecc_pending],
        "mig.mode.current": switch[gpu.mig],
        "enforced.power.limit": None if power is None else f"{power / 1000:.2f}",
        "clocks.max.sm": None if gpu.sm_max_mhz is None else str(gpu.sm_max_mhz),
        "clocks.max.memory": None if gpu.memory_max_mhz is None else str(gpu.memory_max_mhz),
    }


@pytest.fixture(scope="module")
def seen() -> Nvml:
    return nvml.probe(Local())


def test_constants_are_those_of_nvidia_smi(seen: Nvml) -> None:
    assert seen.error is None
    assert seen.gpus
    ours = [constants(seen, gpu) for gpu in seen.gpus]
    assert ours == smi(*ours[0])


def test_readings_are_plausible(seen: Nvml) -> None:
    for gpu in seen.gpus:
        assert gpu.memory_total_bytes is not None
        parts = gpu.memory_used_bytes, gpu.memory_free_bytes, gpu.memory_reserved_bytes or 0
        assert abs(sum(part or 0 for part in parts) - gpu.memory_total_bytes) < 2 * MIB
        assert gpu.temperature_c is None or 5 < gpu.temperature_c < 110
        assert gpu.slowdown_c is None or gpu.shutdown_c is None or 60 < gpu.slowdown_c <= gpu.shutdown_c < 140
        assert gpu.pstate is None or 0 <= gpu.pstate <= 15
        assert gpu.architecture is None or not gpu.architecture.startswith("code ")
        assert not [error for error in gpu.errors if error.name.startswith("code ")]


def test_every_call_was_answered(seen: Nvml) -> None:
    """A healthy GPU refuses nothing but what it does not support."""
    assert seen.errors == ()
    assert [gpu.errors for gpu in seen.gpus] == [()] * len(seen.gpus)
