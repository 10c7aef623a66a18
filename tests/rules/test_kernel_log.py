"""What the kernel's log says of the GPUs: which events count, which are over, and what its silence proves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpucheck import compat, engine
from gpucheck.facts import CallError, Facts, Gpu, KernelLog, LogEvent, Nvml
from gpucheck.model import Finding, Status
from gpucheck.rules import HOST_RULES
from gpucheck.rules.events import ago
from tests.rules.literals import CONTAINER, H100, RTX4090, SYSTEM, bus

PASS, FAIL, SKIP, UNKNOWN = Status
S = SYSTEM
UPTIME = 100000.0
ONE, TWO = "0000:01:00.0", "0000:02:00.0"


def event(kind: str, code: int | None = None, gpu: str | None = ONE, text: str = "", at: float = 99000.0) -> LogEvent:
    return LogEvent(kind=kind, gpu=gpu, code=code, text=text or kind, count=1, first_s=at, last_s=at, age_s=UPTIME - at)


def xid(code: int, text: str = "", gpu: str = ONE, at: float = 99000.0) -> LogEvent:
    return event("xid", code, gpu, text, at)


def log(*events: LogEvent, starts: float | None = 0.0) -> KernelLog:
    return KernelLog(source="dmesg", boot_id=None, uptime_s=UPTIME, starts_s=starts, events=events)


def nvml(*addresses: str, lost: str | None = None) -> Nvml:
    """A GPU for each; `lost` answers nothing."""
    gone = (CallError(call="nvmlDeviceGetTemperature", code=15, name="GPU_IS_LOST"),)
    gpus = [
        Gpu(index=i, pci_address=at, temperature_c=None if at == lost else 40, errors=gone if at == lost else ())
        for i, at in enumerate(addresses)
    ]
    return Nvml(gpus=tuple(gpus))


PCI, BOTH, DEAD = bus((H100, "nvidia"), (H100, "nvidia")), nvml(ONE, TWO), nvml(ONE, TWO, lost=ONE)
LOADED = event("loaded", gpu=None, at=99500.0)
GPU_RESET = "GPU recovery action changed from 0x0 (None) to 0x1 (GPU Reset Required)"
RECOVERED = "GPU recovery action changed from 0x1 (GPU Reset Required) to 0x0 (None)"
WRAPPED = log(starts=72000.0)
NVML_TELLS = "NVML reaches 2 GPUs"

# The share of a job; a virtual GPU, which has no sensors; and GPUs that were reset after what the log tells.
JOB = replace(SYSTEM, environment={"SLURM_JOB_ID": ""})
VIRTUAL = Nvml(gpus=(Gpu(index=0, pci_address=ONE, pstate=0, utilization_percent=0),))
NO_SENSOR = CallError(call="nvmlDeviceGetTemperatureV", code=999, name="UNKNOWN")
SENSELESS = Nvml(gpus=(replace(VIRTUAL.gpus[0], errors=(NO_SENSOR,)),))


def after_reset(**fields: Any) -> Nvml:
    gpu = replace(
        BOTH.gpus[0], utilization_percent=0, pstate=0, ecc_volatile_uncorrected=0, remap_pending=False, **fields
    )
    return Nvml(gpus=(gpu, BOTH.gpus[1]))


RESET, SAID = after_reset(), after_reset(recovery_action="none")
ASKS = after_reset(recovery_action="gpu_reset")
FAILING = after_reset(errors=(CallError(call="nvmlDeviceGetPowerUsage", code=999, name="UNKNOWN"),))

CASES: list[tuple[str, tuple[Any, ...], Status, str]] = [
    ("kernel_log.readable", (log(),), PASS, "dmesg"),
    ("kernel_log.readable", (), UNKNOWN, "KernelLog"),
    ("kernel_log.readable", (WRAPPED,), UNKNOWN, "20 h after the boot"),
    ("kernel_log.readable", (log(starts=None),), UNKNOWN, "no times"),
    # --- power ---
    ("kernel_log.power-connected", (S, log(), PCI, BOTH), PASS, "power cables"),
    ("kernel_log.power-connected", (S, log(event("power")), PCI, DEAD), FAIL, ONE),
    ("kernel_log.power-connected", (S, log(event("power", gpu=None)), PCI, DEAD), FAIL, "17 min ago"),
    ("kernel_log.power-connected", (S, log(event("power", at=5.0)), PCI, BOTH), PASS, "power"),  # it came up later
    ("kernel_log.power-connected", (S, log(xid(54)), PCI, BOTH), FAIL, "Xid 54"),
    ("kernel_log.power-connected", (S, PCI, BOTH), PASS, NVML_TELLS),
    ("kernel_log.power-connected", (S, PCI, DEAD), UNKNOWN, "cannot be read"),
    ("kernel_log.power-connected", (S, PCI,), UNKNOWN, "cannot be read"),
    ("kernel_log.power-connected", (CONTAINER, PCI, DEAD), SKIP, "only the host"),
    ("kernel_log.power-connected", (JOB, PCI, nvml(ONE)), SKIP, "this job"),
    ("kernel_log.power-connected", (JOB, WRAPPED, PCI, nvml(ONE)), SKIP, "20 h"),
    ("kernel_log.power-connected", (JOB, PCI, DEAD), UNKNOWN, "cannot be read"),
    ("kernel_log.power-connected", (S, bus((H100, "nvidia")), VIRTUAL), PASS, "NVML reaches 1 GPU"),
    ("kernel_log.power-connected", (S, bus((H100, "nvidia")), SENSELESS), UNKNOWN, "cannot be read"),
    ("kernel_log.power-connected", (S, bus((RTX4090, "nvidia"), ("128b", None)), nvml(ONE)), PASS, "1 GPU"),
    ("kernel_log.power-connected", (S, WRAPPED, bus((H100, "nvidia")), VIRTUAL), PASS, "power"),
    ("kernel_log.power-connected", (S, WRAPPED, PCI, DEAD), UNKNOWN, "20 h"),
    # --- off the bus ---
    ("kernel_log.no-gpu-off-the-bus", (S, log(), PCI, BOTH), PASS, "kernel log"),
    ("kernel_log.no-gpu-off-the-bus", (S, log(xid(79)), PCI, DEAD), FAIL, "Xid 79 on 0000:01:00.0"),
    ("kernel_log.no-gpu-off-the-bus", (S, log(event("off_the_bus")),), FAIL, ONE),
    ("kernel_log.no-gpu-off-the-bus", (S, log(xid(79)), PCI, BOTH), PASS, ""),  # it answers again
    ("kernel_log.no-gpu-off-the-bus", (S, log(xid(79), LOADED),), PASS, ""),
    ("kernel_log.no-gpu-off-the-bus", (S, PCI, BOTH), PASS, NVML_TELLS),
    ("kernel_log.no-gpu-off-the-bus", (S, PCI, nvml(ONE)), UNKNOWN, "cannot be read"),  # one is missing
    ("kernel_log.no-gpu-off-the-bus", (S, WRAPPED, PCI, DEAD), UNKNOWN, "20 h"),
    # --- GSP ---
    ("kernel_log.no-gsp-failure", (S, log(), PCI, BOTH), PASS, "GSP"),
    ("kernel_log.no-gsp-failure", (S, log(xid(119)), PCI, BOTH), FAIL, "Xid 119"),
    ("kernel_log.no-gsp-failure", (S, log(xid(120, gpu=TWO)), PCI, BOTH), FAIL, TWO),
    ("kernel_log.no-gsp-failure", (S, log(event("gsp", gpu=None)), PCI, DEAD), FAIL, "gsp"),
    ("kernel_log.no-gsp-failure", (S, log(event("init_failed", text="failed! (0x62:0x65:1)")), PCI, DEAD), FAIL,
     "0x62"),
    ("kernel_log.no-gsp-failure", (S, log(event("init_failed", text="failed! (0x24:0x65:1)")), PCI, DEAD), PASS, ""),
    ("kernel_log.no-gsp-failure", (S, log(xid(79), xid(119)), PCI, DEAD), PASS, ""),  # follows from the lost bus
    ("kernel_log.no-gsp-failure", (S, log(xid(119), LOADED), PCI, BOTH), PASS, ""),
    ("kernel_log.no-gsp-failure", (S, PCI, BOTH), PASS, NVML_TELLS),
    # --- the start of a GPU ---
    ("kernel_log.adapter-initialises", (S, log(), PCI, BOTH), PASS, "kernel log"),
    ("kernel_log.adapter-initialises", (S, log(event("init_failed", text="RmInitAdapter failed! (0x22:0x56:884)")),),
     FAIL, "0x22:0x56:884"),
    ("kernel_log.adapter-initialises", (S, log(event("open_module"), event("init_failed")), PCI, DEAD), FAIL, "open"),
    ("kernel_log.adapter-initialises", (S, log(event("init_failed", at=5.0)), PCI, BOTH), PASS, ""),
    ("kernel_log.adapter-initialises", (S, PCI, BOTH), PASS, NVML_TELLS),
    ("kernel_log.adapter-initialises", (S, PCI, Nvml()), UNKNOWN, "cannot be read"),
    # --- Xids ---
    ("kernel_log.no-hardware-xid", (log(), BOTH), PASS, "no Xid"),
    ("kernel_log.no-hardware-xid", (log(xid(31), xid(13), xid(43), xid(45), xid(109)), BOTH), PASS, "5 kinds"),
    ("kernel_log.no-hardware-xid", (log(xid(63)), BOTH), PASS, "1 kind"),
    ("kernel_log.no-hardware-xid", (log(xid(94)), BOTH), PASS, "1 kind"),
    ("kernel_log.no-hardware-xid", (log(xid(999)), BOTH), PASS, "1 kind"),
    *(("kernel_log.no-hardware-xid", (log(xid(code)), BOTH), FAIL, f"Xid {code}") for code in (46, 48, 62, 64, 95)),
    ("kernel_log.no-hardware-xid", (log(xid(48), xid(64), xid(95), xid(140)),), FAIL, "1 more"),
    ("kernel_log.no-hardware-xid", (log(xid(48), LOADED), BOTH), PASS, ""),
    ("kernel_log.no-hardware-xid", (log(xid(48), xid(154, RECOVERED, at=99400.0)), BOTH), PASS, ""),
    ("kernel_log.no-hardware-xid", (log(xid(48), xid(154, RECOVERED, gpu=TWO, at=99400.0)), BOTH), FAIL, "Xid 48"),
    ("kernel_log.no-hardware-xid", (log(xid(48), xid(154, RECOVERED, at=5.0)), BOTH), FAIL, "Xid 48"),
    ("kernel_log.no-hardware-xid", (log(xid(79), xid(62)), DEAD), PASS, ""),
    *(("kernel_log.no-hardware-xid", (log(xid(code)), RESET), PASS, f"Xid {code} on {ONE}") for code in (48, 95, 140)),
    ("kernel_log.no-hardware-xid", (log(xid(62)), RESET), FAIL, "Xid 62"),  # before 570 nobody tells
    ("kernel_log.no-hardware-xid", (log(xid(62)), SAID), PASS, "by NVML"),
    ("kernel_log.no-hardware-xid", (log(xid(48, gpu=TWO)), SAID), FAIL, "Xid 48"),
    *(("kernel_log.no-hardware-xid", (log(xid(48)), still), FAIL, "Xid 48") for still in (
        ASKS, FAILING, after_reset(remap_failed=True), after_reset(retire_pending=True), nvml(ONE))),
    ("kernel_log.no-gsp-failure", (S, log(xid(119)), PCI, RESET), PASS, "Xid 119"),
    *(("kernel_log.no-gsp-failure", (S, log(xid(119)), PCI, still), FAIL, "Xid 119") for still in (ASKS, FAILING)),
    ("kernel_log.no-hardware-xid", (BOTH,), SKIP, "cannot be read"),
    ("kernel_log.no-hardware-xid", (WRAPPED, BOTH), PASS, "20 h after the boot"),
    ("kernel_log.no-recovery-asked", (log(xid(154, RECOVERED)), BOTH), PASS, "no recovery"),
    ("kernel_log.no-recovery-asked", (log(xid(31), xid(154, GPU_RESET)), BOTH), FAIL, "GPU Reset Required"),
    ("kernel_log.no-recovery-asked", (log(xid(154, GPU_RESET), LOADED), BOTH), PASS, ""),
    ("kernel_log.no-recovery-asked", (log(xid(79), xid(154, GPU_RESET)), DEAD), PASS, ""),
    ("kernel_log.no-recovery-asked", (BOTH,), SKIP, "cannot be read"),
    ("kernel_log.no-link-error", (log(), BOTH), PASS, "no link error"),
    ("kernel_log.no-link-error", (log(xid(74)), BOTH), FAIL, "Xid 74"),
    ("kernel_log.no-link-error", (log(event("sxid", 20034, text="Fatal, Link 30 LTSSM")),), FAIL, "SXid 20034"),
    ("kernel_log.no-link-error", (log(event("sxid", 28006, text="Non-fatal, Link 46")),), PASS, "1 kind"),
    ("kernel_log.no-link-error", (log(xid(145, "RLW_REMAP Nonfatal XC0 i0 Link 02")),), PASS, "none fatal"),
    ("kernel_log.no-link-error", (log(xid(149, "NETIR_LINK_EVT Fatal XC0 i0 Link 02")),), FAIL, "Xid 149"),
    ("kernel_log.no-link-error", (log(xid(79), xid(74, gpu=TWO)), DEAD), SKIP, "off the bus"),
    ("kernel_log.no-link-error", (BOTH,), SKIP, "cannot be read"),
    ("kernel_log.no-early-sign", (log(xid(31)), BOTH), PASS, "no Xid"),
    ("kernel_log.no-early-sign", (log(xid(94), xid(63)), BOTH), FAIL, "Xid 94"),
    ("kernel_log.no-early-sign", (BOTH,), UNKNOWN, ""),
    ("kernel_log.no-pcie-error", (log(), BOTH), PASS, "no PCIe error"),
    ("kernel_log.no-pcie-error", (log(event("aer")), BOTH), FAIL, "aer"),
    ("kernel_log.no-pcie-error", (log(event("aer", gpu=TWO), xid(79)), DEAD), SKIP, "off the bus"),
    ("kernel_log.no-application-xid", (log(xid(63)), BOTH), PASS, "no program"),
    ("kernel_log.no-application-xid", (log(xid(31)), BOTH), FAIL, "Xid 31"),
    ("kernel_log.no-application-xid", (log(xid(39)), BOTH), FAIL, "copy engine"),
    ("kernel_log.no-application-xid", (log(xid(31, at=5.0)), BOTH), PASS, "none of the last day"),
    ("kernel_log.no-application-xid", (log(xid(999)), BOTH), FAIL, "not in our table"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "facts", "status", "says"), CASES)
def test_rule(judged: Callable[..., Finding], rule: str, facts: tuple[Any, ...], status: Status, says: str) -> None:
    finding = judged(rule, *facts)
    assert finding.status is status, finding.message
    assert says in finding.message


def test_the_gpus_are_named(judged: Callable[..., Finding]) -> None:
    assert judged("kernel_log.no-hardware-xid", log(xid(48), xid(64), xid(95, gpu=TWO))).affects == (ONE, TWO)


def test_the_proprietary_module_on_a_gpu_for_the_open_one_is_replaced(judged: Callable[..., Finding]) -> None:
    remedy = judged("kernel_log.adapter-initialises", SYSTEM, log(event("open_module"), event("init_failed"))).remedy
    assert remedy
    assert "open kind" in remedy.text


def test_a_log_that_may_not_be_read_costs_no_error() -> None:
    """What is not known is a warning of its own; of severity error only what NVML does not answer either."""
    rules = [rule for rule in HOST_RULES if rule.id.startswith("kernel_log.")]
    facts = Facts(known={type(PCI): PCI, Nvml: BOTH, type(S): S}, unknown={KernelLog: "dmesg: Operation not permitted"})
    findings = engine.judge(rules, facts, compat.load())
    report = engine.report("doctor", facts, findings, host="host")
    assert report.exit_code == 0
    assert replace(report, strict=True).exit_code == 3
    unread = next(finding for finding in findings if finding.rule == "kernel_log.readable")
    assert (unread.status, unread.message) == (UNKNOWN, "dmesg: Operation not permitted")


@pytest.mark.parametrize(("seconds", "words"), [(0.4, "0 s"), (119, "119 s"), (7199, "120 min"), (90000, "25 h"),
                                                (864000, "10 days")])  # fmt: skip
def test_ages(seconds: float, words: str) -> None:
    assert ago(seconds) == words
