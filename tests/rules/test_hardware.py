"""GPUs that NVML finds ill, their slots, the fabric manager, and what a cloud promised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpucheck.facts import (
    CallError,
    Cloud,
    CloudEvent,
    CloudEvents,
    Gpu,
    GpuProcess,
    NvLink,
    Nvml,
    Pcie,
    Services,
    Slot,
    Unit,
    Version,
)
from gpucheck.model import Finding, Status
from tests.rules.literals import CONTAINER, DRIVER, NO_DRIVER, SYSTEM, WSL
from tests.rules.literals import bus as pci_bus

PASS, FAIL, SKIP, UNKNOWN = Status
DRIVER_VERSION = Version("570.124.06")
GPU = Gpu(
    index=0, uuid="GPU-a", name="NVIDIA H100 80GB HBM3", brand="NVIDIA", vbios="96.00.A5.00.01", board_part="692-2G520",
    pci_address="0000:01:00.0", memory_total_bytes=85 * 2**30, memory_used_bytes=2**30, utilization_percent=0,
    temperature_c=41, slowdown_c=89, power_mw=69850, power_limit_mw=700000, power_default_mw=700000, pstate=8,
    sm_mhz=345, sm_max_mhz=1980, throttle_reasons=("gpu_idle",), pcie_gen=1, pcie_gen_max=5, pcie_width=16,
    pcie_width_max=16, ecc=True, ecc_pending=True, ecc_volatile_uncorrected=0, ecc_aggregate_uncorrected=0,
    remapped_correctable=0, remapped_uncorrectable=0, remap_pending=False, remap_failed=False,
    remap_banks=(512, 0, 0, 0, 0), sram_threshold_exceeded=False, inforom_valid=True, recovery_action="none",
    persistence=True, mig=False, mig_pending=False, processes=(),
)  # fmt: skip
OTHER = replace(GPU, index=1, uuid="GPU-b", pci_address="0000:02:00.0")
BARE = Gpu(index=0, uuid="GPU-c")  # tells nothing


def two(**fields: Any) -> Nvml:
    """Two GPUs, the second changed."""
    return Nvml(driver_version=DRIVER_VERSION, gpus=(GPU, replace(OTHER, **fields)))


def one(**fields: Any) -> Nvml:
    return Nvml(driver_version=DRIVER_VERSION, gpus=(replace(GPU, **fields),))


def failed(call: str, **fields: Any) -> Nvml:
    return one(errors=(CallError(call=call, code=999, name="UNKNOWN"),), **fields)


NOTHING = Nvml(driver_version=DRIVER_VERSION, gpus=(BARE,))
GPUS = pci_bus(("2330", "nvidia"), ("2330", "nvidia"))
SWITCHED = replace(GPUS, nvswitches=pci_bus(("22a3", "nvidia-nvswitch")).gpus)


def links(*up: bool, **counters: int) -> tuple[NvLink, ...]:
    """Links that are up or down; the last has these counters."""
    none = {"replay_errors": 0, "recovery_errors": 0}
    last = len(up) - 1
    return tuple(
        NvLink(link=n, active=active, **{**none, **(counters if n == last else {})}) for n, active in enumerate(up)
    )


def pair(first: tuple[NvLink, ...], second: tuple[NvLink, ...], **fields: Any) -> Nvml:
    gpus = replace(GPU, nvlinks=first, **fields), replace(OTHER, nvlinks=second, **fields)
    return Nvml(driver_version=DRIVER_VERSION, gpus=gpus)


UP, DOWN = links(True, True), links(False, False)


def slot(width: int | None = 16, gen: int | None = 5, virtual: bool = False, gpu: str = "0000:01:00.0") -> Pcie:
    return Pcie(slots=(Slot(gpu=gpu, port="0000:00:01.0", virtual=virtual, width_max=width, gen_max=gen),))


def fabric_manager(active: str = "active", load: str = "loaded", version: str | None = "570.124.06") -> Services:
    unit = Unit(name="nvidia-fabricmanager.service", load=load, active=active, result="exit-code", enabled=True)
    return Services(units=(unit,), fabric_manager=None if version is None else Version(version))


REGISTERED, WAITING = one(fabric_state="completed", fabric_status="SUCCESS"), two(fabric_state="in_progress")
PROCESSES = (
    GpuProcess(pid=31337, kind="compute", used_bytes=60 * 2**30),
    GpuProcess(pid=31400, kind="compute", used_bytes=None),
    GpuProcess(pid=7, kind="graphics", used_bytes=2**20),
)


def rented(provider: str, instance_type: str) -> Cloud:
    return Cloud(provider=provider, instance_type=instance_type)


def announced(kind: str = "", when: str | None = None, says: str = "x", untold: str | None = None) -> CloudEvents:
    return CloudEvents(events=(CloudEvent(kind=kind, when=when, says=says),) if kind else (), untold=untold)


def confidential(ready: bool | None) -> Nvml:
    return replace(two(), confidential_computing=True, confidential_ready=ready)


P5 = Cloud(provider="aws", instance_type="p5.48xlarge")
AZURE, SOON = Cloud(provider="azure", instance_type="Standard_NC4as_T4_v3"), "2026-11-26T12:02:00Z"
HOT = ("hw_slowdown", "hw_thermal_slowdown")

FITS = "services.fabric-manager-fits-driver"
TOLD, THERE, COMING = "cloud.instance-type-told", "cloud.all-gpus-there", "cloud.no-reclaim-coming"
READY = "nvml.confidential-ready"
CASES: list[tuple[str, tuple[Any, ...], Status, str]] = [
    ("nvml.memory-repairable", (two(),), PASS, "2 GPUs"),
    ("nvml.memory-repairable", (two(remap_failed=True),), FAIL, "GPU 1 of 2"),
    ("nvml.memory-repairable", (one(sram_threshold_exceeded=True),), FAIL, "caches"),
    ("nvml.memory-repairable", (one(retired_single_bit=60, retired_double_bit=3),), FAIL, "63"),
    ("nvml.memory-repairable", (one(retired_single_bit=60, retired_double_bit=2),), PASS, "62"),
    ("nvml.memory-repairable", (failed("nvmlDeviceGetRemappedRows", remap_failed=None),), UNKNOWN, "999"),
    ("nvml.memory-repairable", (NOTHING,), SKIP, "no GPU"),
    ("nvml.no-recovery-needed", (two(),), PASS, "2 GPUs"),
    ("nvml.no-recovery-needed", (two(recovery_action="gpu_reset", remap_pending=True),), FAIL, "row remapping"),
    ("nvml.no-recovery-needed", (one(recovery_action="node_reboot"),), FAIL, "node_reboot"),
    ("nvml.no-recovery-needed", (one(recovery_action="code 9"),), FAIL, "code 9"),
    ("nvml.no-recovery-needed", (failed("nvmlDeviceGetFieldValues", recovery_action=None),), UNKNOWN, "999"),
    ("nvml.no-recovery-needed", (NOTHING,), SKIP, "570"),
    ("nvml.no-page-retirement-pending", (one(retire_pending=False),), PASS, "1 GPU"),
    ("nvml.no-page-retirement-pending", (one(retire_pending=True, retired_double_bit=2),), FAIL, "2 retired"),
    ("nvml.no-page-retirement-pending", (failed("nvmlDeviceGetRetiredPagesPendingStatus"),), UNKNOWN, "999"),
    ("nvml.no-page-retirement-pending", (two(),), SKIP, "retires"),
    ("nvml.no-row-remap-pending", (two(),), PASS, "2 GPUs"),
    ("nvml.no-row-remap-pending", (two(remap_pending=True, ecc_volatile_uncorrected=3),), FAIL, "GPU 1 of 2"),
    ("nvml.no-row-remap-pending", (failed("nvmlDeviceGetRemappedRows", remap_pending=None),), UNKNOWN, "999"),
    ("nvml.no-row-remap-pending", (NOTHING,), SKIP, "remaps"),
    ("nvml.no-uncorrected-errors", (two(),), PASS, "2 GPUs"),
    # History is none of today's faults.
    ("nvml.no-uncorrected-errors", (two(ecc_aggregate_uncorrected=7),), PASS, "7 in their lifetime"),
    ("nvml.no-uncorrected-errors", (two(ecc_volatile_uncorrected=5),), FAIL, "5 uncorrected"),
    ("nvml.no-uncorrected-errors", (failed("nvmlDeviceGetTotalEccErrors"),), UNKNOWN, "999"),
    ("nvml.no-uncorrected-errors", (NOTHING,), SKIP, "no ECC"),
    ("nvml.spare-rows-left", (two(),), PASS, "2 GPUs"),
    ("nvml.spare-rows-left", (two(remap_banks=(500, 10, 0, 2, 0)),), PASS, "2 banks"),
    ("nvml.spare-rows-left", (two(remap_banks=(500, 10, 0, 1, 1)),), FAIL, "1 memory bank"),
    ("nvml.spare-rows-left", (failed("nvmlDeviceGetRowRemapperHistogram", remap_banks=None),), UNKNOWN, "999"),
    ("nvml.spare-rows-left", (NOTHING,), SKIP, "spare"),
    ("nvml.inforom-valid", (two(),), PASS, "2 GPUs"),
    ("nvml.inforom-valid", (two(inforom_valid=False),), FAIL, "GPU 1 of 2"),
    ("nvml.inforom-valid", (failed("nvmlDeviceValidateInforom", inforom_valid=None),), UNKNOWN, "999"),
    ("nvml.inforom-valid", (NOTHING,), SKIP, "infoROM"),
    ("nvml.nvlinks-up", (pair(UP, UP), SWITCHED), PASS, "4 NVLinks"),
    ("nvml.nvlinks-up", (pair(UP, UP, fabric_state="completed"),), PASS, "4 NVLinks"),
    ("nvml.nvlinks-up", (pair(UP, links(True, False)), SWITCHED), FAIL, "1 of 2 NVLinks are up (down: 1)"),
    ("nvml.nvlinks-up", (pair(UP, DOWN), SWITCHED), FAIL, "0 of 2"),
    ("nvml.nvlinks-up", (pair(UP, DOWN, mig=True), SWITCHED), PASS, "2 NVLinks"),
    # Cards without a bridge, or bridged in pairs; one GPU of a board, in a machine of its own.
    ("nvml.nvlinks-up", (pair(DOWN, DOWN), GPUS), SKIP, "bridge"),
    ("nvml.nvlinks-up", (pair(UP, DOWN), GPUS), SKIP, "bridge"),
    ("nvml.nvlinks-up", (pair(DOWN, DOWN, fabric_state="completed"), GPUS), SKIP, "in use"),
    ("nvml.nvlinks-up", (failed("nvmlDeviceGetNvLinkState"), SWITCHED), UNKNOWN, "999"),
    ("nvml.nvlinks-clean", (pair(UP, UP),), PASS, "4 NVLinks"),
    ("nvml.nvlinks-clean", (pair(UP, links(True, True, crc_flit_errors=9)),), PASS, "4 NVLinks"),
    ("nvml.nvlinks-clean", (pair(UP, links(True, True, recovery_errors=3)),), FAIL, "link 1 was trained anew 3"),
    ("nvml.nvlinks-clean", (failed("nvmlDeviceGetNvLinkErrorCounter"),), UNKNOWN, "999"),
    ("nvml.nvlinks-clean", (NOTHING,), SKIP, "no NVLink"),
    (
        READY,
        (confidential(True),),
        PASS,
        "2 GPUs",
    ),
    (
        READY,
        (confidential(False),),
        FAIL,
        "2 GPUs",
    ),
    (
        READY,
        (Nvml(errors=(CallError(call="nvmlSystemGetConfComputeState", code=999, name="UNKNOWN"),)),),
        UNKNOWN,
        "999",
    ),
    (READY, (confidential(None),), UNKNOWN, "does not tell"),
    (READY, (replace(two(), confidential_computing=False),), SKIP, "not on"),
    ("nvml.no-mode-pending", (two(),), PASS, "2 GPUs"),
    ("nvml.no-mode-pending", (two(ecc_pending=False),), FAIL, "ECC is on and will be off"),
    ("nvml.no-mode-pending", (two(mig_pending=True),), FAIL, "MIG is off and will be on"),
    ("nvml.no-mode-pending", (failed("nvmlDeviceGetEccMode"),), UNKNOWN, "999"),
    ("nvml.no-mode-pending", (NOTHING,), SKIP, "ECC or MIG"),
    ("nvml.not-slowed", (two(),), PASS, "2 GPUs"),
    ("nvml.not-slowed", (two(throttle_reasons=("sw_power_cap", "applications_clocks_setting", "bit 12")),), PASS, "2"),
    ("nvml.not-slowed", (two(throttle_reasons=HOT, temperature_c=90),), FAIL, "hw_thermal_slowdown (it is too hot)"),
    ("nvml.not-slowed", (one(throttle_reasons=("hw_power_brake_slowdown",)),), FAIL, "345 of 1980 MHz"),
    ("nvml.not-slowed", (failed("nvmlDeviceGetCurrentClocksThrottleReasons"),), UNKNOWN, "999"),
    ("nvml.not-slowed", (NOTHING,), SKIP, "clocks"),
    ("nvml.temperature-margin", (two(),), PASS, "48 C"),
    ("nvml.temperature-margin", (two(temperature_c=86),), FAIL, "3 C below"),
    ("nvml.temperature-margin", (two(margin_c=2),), FAIL, "2 C below"),
    ("nvml.temperature-margin", (failed("nvmlDeviceGetTemperatureThreshold"),), UNKNOWN, "999"),
    ("nvml.temperature-margin", (NOTHING,), SKIP, "limit"),
    ("nvml.power-uncapped", (two(),), PASS, "2 GPUs"),
    ("nvml.power-uncapped", (two(throttle_reasons=("sw_power_cap",), power_mw=699000),), FAIL, "699 W of 700 W"),
    ("nvml.power-uncapped", (failed("nvmlDeviceGetCurrentClocksThrottleReasons"),), UNKNOWN, "999"),
    ("nvml.power-uncapped", (NOTHING,), SKIP, "tells"),
    ("nvml.power-limit-default", (two(),), PASS, "2 GPUs"),
    ("nvml.power-limit-default", (two(power_limit_mw=350000),), FAIL, "limit 350 W, default 700 W"),
    ("nvml.power-limit-default", (failed("nvmlDeviceGetEnforcedPowerLimit"),), UNKNOWN, "999"),
    ("nvml.power-limit-default", (NOTHING,), SKIP, "limit"),
    ("nvml.persistence-on", (SYSTEM, two()), PASS, "2 GPUs"),
    ("nvml.persistence-on", (SYSTEM, two(persistence=False)), FAIL, "GPU 1 of 2"),
    ("nvml.persistence-on", (SYSTEM, one(persistence=False, brand="GeForce")), SKIP, "server"),
    ("nvml.persistence-on", (WSL, two(persistence=False)), SKIP, "Windows"),
    ("nvml.persistence-on", (SYSTEM, failed("nvmlDeviceGetPersistenceMode")), UNKNOWN, "999"),
    ("nvml.memory-unused", (two(),), PASS, "2 GPUs"),
    (
        "nvml.memory-unused",
        (one(processes=PROCESSES),),
        FAIL,
        "1.0 of 85.0 GiB, pid 31337, 31400",
    ),
    ("nvml.memory-unused", (one(processes=PROCESSES[2:]),), PASS, "1 GPU"),
    ("nvml.memory-unused", (failed("nvmlDeviceGetComputeRunningProcesses_v2"),), UNKNOWN, "999"),
    ("nvml.memory-unused", (NOTHING,), SKIP, "lists"),
    ("nvml.like-gpus-alike", (two(),), PASS, "96.00.A5.00.01"),
    ("nvml.like-gpus-alike", (two(vbios="96.00.30.00.01"),), FAIL, "96.00.30.00.01"),
    ("nvml.like-gpus-alike", (failed("nvmlDeviceGetVbiosVersion"),), UNKNOWN, "999"),
    ("nvml.like-gpus-alike", (two(vbios="90.04.84.00.06", name="Tesla T4"),), SKIP, "alike"),
    ("pcie.full-width", (one(), slot()), PASS, "x16"),
    ("pcie.full-width", (one(pcie_width=4), slot()), FAIL, "x4 where card and slot have x16"),
    # A card or a slot of fewer lanes, a laptop, a virtual machine: all healthy.
    ("pcie.full-width", (one(pcie_width=8), slot(width=8)), PASS, "x8"),
    ("pcie.full-width", (one(pcie_width=8, pcie_width_max=8), slot()), PASS, "x8"),
    ("pcie.full-width", (one(pcie_width=8, name="NVIDIA GeForce RTX 4090 Laptop GPU"), slot()), PASS, "x8"),
    ("pcie.full-width", (one(pcie_width=4, name="NVIDIA GeForce RTX 4090 Laptop GPU"), slot()), FAIL, "x4"),
    ("pcie.full-width", (one(pcie_width=8), slot(width=32, virtual=True)), SKIP, "virtual"),
    ("pcie.full-width", (one(pcie_width=8), Pcie(slots=())), SKIP, "virtual"),
    ("pcie.full-width", (one(pcie_width=8),), UNKNOWN, "Pcie"),
    ("pcie.full-width", (failed("nvmlDeviceGetCurrPcieLinkWidth", pcie_width=None), slot()), UNKNOWN, "999"),
    (
        "pcie.full-width",
        (failed("nvmlDeviceGetMaxPcieLinkWidth", pcie_width=8, pcie_width_max=None), slot()),
        UNKNOWN,
        "999",
    ),
    ("pcie.full-speed", (one(), slot()), SKIP, "idle"),
    ("pcie.full-speed", (one(pcie_gen=5, utilization_percent=97), slot()), PASS, "generation 5"),
    ("pcie.full-speed", (one(utilization_percent=97), slot()), FAIL, "generation 1 at work where card and slot have 5"),
    ("pcie.full-speed", (one(pcie_gen=3, pstate=0, sm_mhz=1980), slot()), FAIL, "generation 3"),
    ("pcie.full-speed", (one(pcie_gen=3, pstate=0), slot()), SKIP, "idle"),  # a server's GPU idles at P0
    ("pcie.full-speed", (one(pcie_gen=4, utilization_percent=97), slot(gen=4)), PASS, "generation 4"),
    ("pcie.full-speed", (one(utilization_percent=97), slot(virtual=True)), SKIP, "virtual"),
    ("pcie.full-speed", (failed("nvmlDeviceGetUtilizationRates"), slot()), UNKNOWN, "999"),
    (FITS, (SYSTEM, two(), SWITCHED, DRIVER, fabric_manager()), PASS, "570.124.06"),
    (
        FITS,
        (SYSTEM, two(), SWITCHED, DRIVER, fabric_manager(version="570.86.15")),
        FAIL,
        "570.86.15",
    ),
    (
        FITS,
        (SYSTEM, WAITING, SWITCHED, NO_DRIVER, fabric_manager(version="580.95.05")),
        FAIL,
        "580",
    ),
    (FITS, (SYSTEM, two(), SWITCHED, DRIVER), UNKNOWN, "not told"),
    (
        FITS,
        (SYSTEM, two(), SWITCHED, DRIVER, fabric_manager(version=None)),
        UNKNOWN,
        "not told",
    ),
    (
        FITS,
        (SYSTEM, two(), SWITCHED, DRIVER, fabric_manager(load="not-found", version=None)),
        SKIP,
        "no fabric manager",
    ),
    (FITS, (CONTAINER, two(), SWITCHED, DRIVER), SKIP, "only the host"),
    (FITS, (SYSTEM, REGISTERED, GPUS, DRIVER), SKIP, "registered"),
    (
        FITS,
        (SYSTEM, two(), GPUS, DRIVER, fabric_manager(version="1.2.3")),
        SKIP,
        "no NVSwitch",
    ),
    ("nvml.fabric-ready", (SYSTEM, two(), SWITCHED, fabric_manager()), PASS, "1 NVSwitch"),
    ("nvml.fabric-ready", (SYSTEM, two(), SWITCHED, fabric_manager("failed")), FAIL, "failed (exit-code)"),
    ("nvml.fabric-ready", (SYSTEM, two(), SWITCHED, fabric_manager("inactive")), FAIL, "inactive"),
    ("nvml.fabric-ready", (SYSTEM, two(), SWITCHED, fabric_manager("inactive", "masked")), FAIL, "masked"),
    ("nvml.fabric-ready", (SYSTEM, two(), SWITCHED, fabric_manager("inactive", "not-found")), FAIL, "not installed"),
    (
        THERE,
        (SYSTEM, rented("aws", "p5.4xlarge"), pci_bus(("2330", "nvidia"))),
        PASS,
        "1 x H100",
    ),
    (THERE, (SYSTEM, P5, GPUS), FAIL, "2 GPUs are on the bus; p5.48xlarge has 8 x H100"),
    (
        THERE,
        (SYSTEM, rented("azure", "standard_nd96isr_h100_v5"), GPUS),
        FAIL,
        "8 x H100",
    ),
    (THERE, (SYSTEM, rented("gcp", "a3-highgpu-2g"), GPUS), PASS, "2 x H100"),
    (
        THERE,
        (SYSTEM, rented("gcp", "n1-standard-8"), GPUS),
        SKIP,
        "not in our table",
    ),
    (
        THERE,
        (SYSTEM, Cloud(provider="gcp", instance_type=None, untold="timed out"), GPUS),
        SKIP,
        "instance-type-told",
    ),
    (TOLD, (SYSTEM, Cloud(provider="gcp", instance_type=None, untold="timed out")), UNKNOWN, "timed out"),
    (TOLD, (CONTAINER, Cloud(provider="gcp", instance_type=None, untold="timed out")), SKIP, "container"),
    (TOLD, (SYSTEM, Cloud(provider=None, instance_type=None)), SKIP, "AWS"),
    (TOLD, (SYSTEM, P5), PASS, "of aws"),
    (TOLD, (SYSTEM, replace(P5, region="us-east-1", spot=True)), PASS, "of aws in us-east-1, a spot machine"),
    (THERE, (SYSTEM, Cloud(provider=None, instance_type=None), GPUS), SKIP, "AWS"),
    (THERE, (CONTAINER, P5, GPUS), SKIP, "container"),
    (THERE, (CONTAINER, P5), SKIP, "container"),
    (THERE, (SYSTEM, P5), UNKNOWN, "PCI bus"),
    (COMING, (Cloud(provider=None, instance_type=None), announced()), SKIP, "AWS"),
    (COMING, (P5, announced()), PASS, "nothing"),
    (COMING, (replace(P5, spot=True), announced()), PASS, "spot machine"),
    (COMING, (P5, announced("pause", SOON, "Freeze")), PASS, SOON),
    (COMING, (P5, announced("reclaim", SOON, "terminate")), FAIL, f"back at {SOON} (terminate)"),
    (COMING, (P5, announced("risk", None, "rebalance recommendation")), FAIL, "expects"),
    (COMING, (P5, announced("reboot", SOON, "system-reboot")), FAIL, SOON),
    (
        COMING,
        (rented("gcp", "n1-standard-8"), announced("stop", None, "TERMINATE_ON")),
        FAIL,
        "gcp stops this machine (T",
    ),
    (COMING, (P5, announced("of no kind", SOON)), FAIL, "stops"),
    (COMING, (P5, announced("reclaim", SOON, untold="timed out")), FAIL, "back"),
    (COMING, (P5, announced(untold="timed out")), UNKNOWN, "timed out"),
    (COMING, (P5, announced("pause", SOON, untold="timed out")), UNKNOWN, "timed out"),
    (COMING, (replace(AZURE, spot=False), announced(untold="spot machines alone")), SKIP, "alone"),
    (COMING, (replace(AZURE, spot=True), announced(untold="timed out")), UNKNOWN, "timed out"),
    (COMING, (AZURE, announced(untold="timed out")), UNKNOWN, "timed out"),
    (COMING, (P5,), UNKNOWN, "CloudEvents"),
]


@pytest.mark.parametrize(("rule", "facts", "status", "says"), CASES)
def test_rule(judged: Callable[..., Finding], rule: str, facts: tuple[Any, ...], status: Status, says: str) -> None:
    finding = judged(rule, *facts)
    assert finding.status is status, finding.message
    assert says in finding.message


def test_many_gpus_are_counted_and_all_are_named(judged: Callable[..., Finding]) -> None:
    gpus = tuple(replace(GPU, index=n, uuid=f"GPU-{n}", remap_failed=n > 1) for n in range(8))
    finding = judged("nvml.memory-repairable", Nvml(driver_version=DRIVER_VERSION, gpus=gpus))
    assert "6 of 8 GPUs (first: GPU 2)" in finding.message
    assert finding.affects == tuple(f"GPU-{n}" for n in range(2, 8))


def test_a_fabric_is_put_right_where_it_can_be(judged: Callable[..., Finding]) -> None:
    def remedy(*facts: Any) -> str:
        found = judged("nvml.fabric-ready", *facts).remedy
        return f"{found.text} {found.commands}" if found else ""

    assert "enable --now nvidia-fabricmanager" in remedy(SYSTEM, WAITING, SWITCHED, fabric_manager("failed"))
    missing = remedy(SYSTEM, WAITING, SWITCHED, fabric_manager("inactive", "not-found", None))
    assert "'nvidia-fabricmanager-570=570.124.06*'" in missing
    assert "owner of the host" in remedy(CONTAINER, WAITING, SWITCHED)
    assert "owner of the host" in remedy(SYSTEM, WAITING, GPUS)  # a machine that was given GPUs, not their switches


def test_the_programs_that_hold_memory_are_shown_by_their_pid(judged: Callable[..., Finding]) -> None:
    remedy = judged("nvml.memory-unused", one(processes=PROCESSES)).remedy
    assert remedy
    assert remedy.commands[""] == ("ps -o pid,user,lstart,args -p 31337,31400",)


def test_a_machine_that_asks_for_a_reboot_is_not_told_to_reset(judged: Callable[..., Finding]) -> None:
    remedy = judged("nvml.no-recovery-needed", one(recovery_action="node_reboot")).remedy
    assert remedy
    assert remedy.impact == "reboot"
