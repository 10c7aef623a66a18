"""NVML and the GPUs it sees."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpucheck.facts import CallError, Gpu, GpuProcess, MigDevice, Nvml, Pci, PciDevice, Version
from gpucheck.model import Finding, Status
from tests.rules.literals import CONTAINER, DRIVER, GB10, OPERATORS, RTX4090, SYSTEM, T4, V100, WSL
from tests.rules.literals import bus as cards

PASS, FAIL, SKIP, UNKNOWN = Status

NVML = Nvml(
    driver_version=Version("570.124.06"), cuda_version=Version("12.8"),
    gpus=(
        Gpu(index=0, uuid="GPU-a", pci_address="0000:01:00.0", compute_mode="default", mig=False),
        Gpu(index=1, uuid="GPU-b", pci_address="0000:02:00.0", compute_mode="exclusive_process"),
    ),
)  # fmt: skip
MIG = MigDevice(
    index=0, uuid="MIG-c", name=None, profile="3g.20gb", gpu_instance=1, compute_instance=0, memory_total_bytes=None,
    memory_used_bytes=None,
)  # fmt: skip


def failed(code: int, name: str, call: str = "nvmlInitWithFlags") -> Nvml:
    return Nvml(error=CallError(call=call, code=code, name=name))


def first(**fields: Any) -> Nvml:
    """The two GPUs, the first changed."""
    return replace(NVML, gpus=(replace(NVML.gpus[0], **fields), NVML.gpus[1]))


def lost(code: int, name: str, call: str) -> Nvml:
    return first(errors=(CallError(call=call, code=code, name=name),))


def held(mode: str, processes: tuple[GpuProcess, ...] = (GpuProcess(pid=7, kind="compute", used_bytes=None),)) -> Gpu:
    return Gpu(index=0, compute_mode=mode, processes=processes)


def bus(*drivers: str | None) -> Pci:
    gpus = [PciDevice(address=f"0000:{i + 1:02x}:00.0", device_id="2330", driver=by) for i, by in enumerate(drivers)]
    return Pci(gpus=tuple(gpus), nvswitches=())


# A job that was given two of three GPUs: NVML lists two, or refuses the third.
JOB = replace(SYSTEM, environment={"SLURM_JOB_ID": ""})
REFUSED = Gpu(index=2, errors=(CallError(call="nvmlDeviceGetHandleByIndex", code=4, name="NO_PERMISSION"),))
SHARE = replace(NVML, gpus=(*NVML.gpus, REFUSED))
ONE = replace(NVML, gpus=NVML.gpus[:1])
GT710 = "128b"  # GK208: in no table
PROPRIETARY = replace(DRIVER, open_module=False)
DROPPED = replace(ONE, driver_version=Version("590.48.01"))
SWITCHES = tuple(PciDevice(address=f"0000:c{i}:00.0", device_id="1af1", driver="nvidia-nvswitch") for i in range(6))

CASES: list[tuple[str, tuple[Any, ...], Status, str]] = [
    ("nvml.answers", (SYSTEM, NVML), PASS, "12.8"),
    ("nvml.answers", (SYSTEM, failed(18, "LIB_RM_VERSION_MISMATCH")), FAIL, "18"),
    ("nvml.answers", (SYSTEM, failed(9, "DRIVER_NOT_LOADED")), FAIL, "9"),
    ("nvml.answers", (CONTAINER, failed(12, "LIBRARY_NOT_FOUND")), FAIL, "libnvidia-ml.so.1"),
    ("nvml.answers", (CONTAINER, failed(999, "UNKNOWN")), FAIL, "999"),
    ("nvml.answers", (SYSTEM, failed(12, "LIBRARY_NOT_FOUND"), OPERATORS), UNKNOWN, "GPU Operator"),
    ("nvml.answers", (SYSTEM, failed(12, "LIBRARY_NOT_FOUND"), DRIVER), FAIL, "libnvidia-ml.so.1"),
    ("nvml.answers", (SYSTEM, failed(9, "DRIVER_NOT_LOADED"), OPERATORS), FAIL, "9"),
    ("nvml.answers", (SYSTEM,), UNKNOWN, "Nvml"),
    (
        "nvml.answers",
        (SYSTEM, Nvml(errors=(CallError(call="nvmlSystemGetDriverVersion", code=999, name="UNKNOWN"),))),
        UNKNOWN,
        "nvmlSystemGetDriverVersion",
    ),
    ("nvml.answers", (SYSTEM, replace(NVML, cuda_version=None)), PASS, "570.124.06"),
    ("nvml.all-gpus", (SYSTEM, NVML, bus("nvidia", "nvidia")), PASS, "2"),
    ("nvml.all-gpus", (SYSTEM, NVML, bus("nvidia", "nvidia", "nvidia")), FAIL, "2 of 3"),
    ("nvml.all-gpus", (SYSTEM, NVML, bus("nvidia", "nvidia", "vfio-pci")), PASS, "2"),
    ("nvml.all-gpus", (SYSTEM, NVML, bus("nvidia", None, "nouveau")), PASS, "2"),
    ("nvml.all-gpus", (JOB, NVML, bus("nvidia", "nvidia", "nvidia")), SKIP, "2 of 3 GPUs answered; Slurm"),
    ("nvml.all-gpus", (JOB, NVML, bus("nvidia", "nvidia")), PASS, "2 GPUs"),
    ("nvml.all-gpus", (JOB, SHARE, bus("nvidia", "nvidia", "nvidia")), SKIP, "NO_PERMISSION"),
    ("nvml.all-gpus", (SYSTEM, SHARE, bus("nvidia", "nvidia", "nvidia")), SKIP, "NO_PERMISSION"),
    ("nvml.all-gpus", (JOB, replace(NVML, gpus=(REFUSED,)), bus("nvidia")), FAIL, "refuses this user 1 GPU"),
    ("nvml.all-gpus", (JOB, lost(15, "GPU_IS_LOST", "nvmlDeviceGetHandleByIndex"), bus("nvidia")), FAIL, "15"),
    # A card beside it that this driver does not drive, by the tables or because it is in none.
    ("nvml.all-gpus", (SYSTEM, ONE, cards((RTX4090, "nvidia"), (GT710, None)), DRIVER), PASS, "02:00.0 has no driver"),
    ("nvml.all-gpus", (SYSTEM, ONE, cards((RTX4090, "nvidia"), (V100, None)), DRIVER), PASS, "02:00.0 has no driver"),
    ("nvml.all-gpus", (SYSTEM, ONE, cards((RTX4090, "nvidia"), (GB10, None)), PROPRIETARY), PASS, "02:00.0"),
    ("nvml.all-gpus", (SYSTEM, DROPPED, cards((RTX4090, "nvidia"), (V100, None)), PROPRIETARY), PASS, "02:00.0"),
    ("nvml.all-gpus", (SYSTEM, ONE, cards((RTX4090, "nvidia"), (V100, None)), PROPRIETARY), FAIL, "1 of 2"),
    ("nvml.all-gpus", (SYSTEM, ONE, cards((RTX4090, "nvidia"), (T4, None)), DRIVER), FAIL, "1 of 2"),
    ("nvml.all-gpus", (SYSTEM, ONE, cards((GT710, "nvidia"), (GT710, None)), DRIVER), FAIL, "1 of 2"),
    ("nvml.compute-allowed", (SHARE,), PASS, "2 GPUs"),
    ("nvml.all-gpus", (CONTAINER, NVML, bus("nvidia", "nvidia", "nvidia")), PASS, "2"),
    ("nvml.all-gpus", (WSL, NVML, bus()), PASS, "2"),
    (
        "nvml.all-gpus",
        (SYSTEM, lost(15, "GPU_IS_LOST", "nvmlDeviceGetMemoryInfo"), bus("nvidia", "nvidia")),
        FAIL,
        "15",
    ),
    ("nvml.all-gpus", (SYSTEM, lost(999, "UNKNOWN", "nvmlDeviceGetHandleByIndex_v2")), FAIL, "999"),
    ("nvml.all-gpus", (SYSTEM, lost(999, "UNKNOWN", "nvmlDeviceGetPowerUsage")), PASS, "2"),
    ("nvml.all-gpus", (SYSTEM, Nvml()), FAIL, "no GPU"),
    (
        "nvml.all-gpus",
        (SYSTEM, Nvml(errors=(CallError(call="nvmlDeviceGetCount", code=999, name="UNKNOWN"),))),
        UNKNOWN,
        "999",
    ),
    ("nvml.all-gpus", (SYSTEM, failed(9, "DRIVER_NOT_LOADED")), SKIP, "NVML"),
    ("nvml.fabric-ready", (SYSTEM, NVML, bus("nvidia", "nvidia")), SKIP, "no NVSwitch"),
    (
        "nvml.fabric-ready",
        (
            SYSTEM,
            NVML,
        ),
        UNKNOWN,
        "PCI bus",
    ),
    # NVML of an A100 knows no fabric.
    (
        "nvml.fabric-ready",
        (SYSTEM, NVML, replace(bus("nvidia", "nvidia"), nvswitches=SWITCHES)),
        UNKNOWN,
        "6 NVSwitches",
    ),
    ("nvml.fabric-ready", (CONTAINER, NVML, replace(bus("nvidia"), nvswitches=SWITCHES)), SKIP, "only the host"),
    ("nvml.fabric-ready", (CONTAINER, NVML), SKIP, "only the host"),
    ("nvml.fabric-ready", (CONTAINER, NVML, bus("nvidia")), SKIP, "no NVSwitch"),
    (
        "nvml.fabric-ready",
        (SYSTEM, lost(999, "UNKNOWN", "nvmlDeviceGetGpuFabricInfoV"), bus("nvidia", "nvidia")),
        UNKNOWN,
        "nvidia-fabricmanager",
    ),
    (
        "nvml.fabric-ready",
        (
            SYSTEM,
            first(fabric_state="completed", fabric_status="SUCCESS"),
        ),
        PASS,
        "1",
    ),
    (
        "nvml.fabric-ready",
        (
            SYSTEM,
            first(fabric_state="in_progress"),
        ),
        FAIL,
        "GPU 0, state in_progress",
    ),
    (
        "nvml.fabric-ready",
        (
            SYSTEM,
            first(fabric_state="completed", fabric_status="NOT_SUPPORTED"),
        ),
        FAIL,
        "NOT_SUPPORTED",
    ),
    ("nvml.compute-allowed", (NVML,), PASS, "exclusive_process"),
    ("nvml.compute-allowed", (first(compute_mode="prohibited"),), FAIL, "1 of 2"),
    ("nvml.compute-allowed", (Nvml(),), SKIP, "compute mode"),
    ("nvml.exclusive-free", (Nvml(gpus=(held("default"),)),), SKIP, "no GPU here"),
    ("nvml.exclusive-free", (Nvml(gpus=(held("exclusive_process"),)),), FAIL, "error 46"),
    ("nvml.exclusive-free", (Nvml(gpus=(held("exclusive_thread", ()),)),), PASS, "no process on 1 GPU"),
    ("nvml.exclusive-free", (NVML,), UNKNOWN, "lists no processes"),
    ("nvml.exclusive-free", (lost(999, "UNKNOWN", "nvmlDeviceGetComputeMode"),), UNKNOWN, "999"),
    ("nvml.compute-allowed", (lost(999, "UNKNOWN", "nvmlDeviceGetComputeMode"),), UNKNOWN, "999"),
    ("nvml.mig-has-instances", (first(mig=True, mig_devices=(MIG, MIG)),), PASS, "2"),
    ("nvml.mig-has-instances", (first(mig=True),), FAIL, "0 instances"),
    ("nvml.mig-has-instances", (NVML,), SKIP, "MIG"),
    (
        "nvml.mig-has-instances",
        (first(mig=True, errors=(CallError(call="nvmlDeviceGetMaxMigDeviceCount", code=999, name="UNKNOWN"),)),),
        UNKNOWN,
        "nvmlDeviceGetMaxMigDeviceCount",
    ),
    (
        "nvml.mig-has-instances",
        (first(mig=None, errors=(CallError(call="nvmlDeviceGetMigMode", code=999, name="UNKNOWN"),)),),
        UNKNOWN,
        "nvmlDeviceGetMigMode",
    ),
]


@pytest.mark.parametrize(("rule", "facts", "status", "says"), CASES)
def test_rule(judged: Callable[..., Finding], rule: str, facts: tuple[Any, ...], status: Status, says: str) -> None:
    finding = judged(rule, *facts)
    assert finding.status is status, finding.message
    assert says in finding.message


def test_the_missing_gpu_is_named(judged: Callable[..., Finding]) -> None:
    assert judged("nvml.all-gpus", SYSTEM, NVML, bus("nvidia", "nvidia", "nvidia")).affects == ("0000:03:00.0",)


def test_a_container_that_lost_its_devices_is_started_again(judged: Callable[..., Finding]) -> None:
    remedy = judged("nvml.answers", CONTAINER, failed(999, "UNKNOWN")).remedy
    assert remedy
    assert "start the container again" in remedy.text
