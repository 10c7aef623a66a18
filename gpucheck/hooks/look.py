"""The look that a hook has time for: the hardware and its driver, without Docker, frameworks or the network.

Only what keeps every job from a GPU counts, so the rules are of error severity, and none is about what one user set.
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from dataclasses import dataclass

from gpucheck import compat, engine
from gpucheck.facts import Driver, Kernel, KernelLog, Nvml, Pci, Services, System
from gpucheck.host import Host
from gpucheck.model import Finding, Report, Severity, Status
from gpucheck.probes import PROBES
from gpucheck.rules import HOST_RULES

SUBJECTS = (System, Pci, Kernel, Driver, KernelLog, Nvml, Services)
PRESENT = "pci.gpu-present"
PROFILE = frozenset({
    PRESENT, "pci.not-passed-through", "pci.gpu-answers", "pci.bars-assigned", "pci.every-gpu-usable",
    "driver.installed", "kernel.nouveau-absent", "driver.module-loaded", "driver.device-nodes",
    "driver.libraries-match",
    "kernel_log.power-connected", "kernel_log.no-gpu-off-the-bus", "kernel_log.no-gsp-failure",
    "kernel_log.adapter-initialises", "kernel_log.no-hardware-xid", "kernel_log.no-recovery-asked",
    "kernel_log.no-link-error",
    "nvml.answers", "nvml.all-gpus", "nvml.memory-repairable", "nvml.no-recovery-needed",
    "nvml.no-page-retirement-pending", "nvml.no-row-remap-pending", "nvml.no-uncorrected-errors",
    "services.fabric-manager-fits-driver", "nvml.fabric-ready", "nvml.nvlinks-up", "nvml.compute-allowed",
})  # fmt: skip
FATAL = frozenset(
    {"pci.gpu-answers", "pci.every-gpu-usable", "kernel_log.no-gpu-off-the-bus"}
)  # a second look would see the same
DEADLINE = 8.0  # seconds for all probes: a driver that hangs leaves its subject unknown
COMMAND = 4.0  # for a command of one of them
OF_A_JOB = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")
OF_SLURMD = ("SLURM_CONF", "SLURMD_NODENAME")


@dataclass(frozen=True, kw_only=True, slots=True)
class Sight:
    failed: bool | None  # None: what was seen does not decide it
    sentence: str  # "rule: message" where it failed
    fatal: bool = False
    absent: bool = False  # no GPU at all: a fault only where one is expected
    gpus: int = 0  # on the bus


def look(host: Host) -> Sight:
    rules = tuple(rule for rule in HOST_RULES if rule.id in PROFILE)
    facts = engine.collect({subject: PROBES[subject] for subject in SUBJECTS}, host, deadline=DEADLINE)
    return judged(engine.report("fleet node", facts, engine.judge(rules, facts, compat.load())))


def judged(report: Report) -> Sight:
    failed, pci = report.of(Status.FAIL, Severity.ERROR), report.facts.known.get(Pci)
    gpus = len(pci.gpus) if pci else 0
    if failed:
        worst = next((finding for finding in failed if finding.rule in FATAL), failed[0])
        absent = worst.rule == PRESENT
        return Sight(failed=True, sentence=_said(worst), fatal=worst.rule in FATAL, absent=absent, gpus=gpus)
    if report.exit_code == 0:
        holding = f"{len(report.of(Status.PASS))} of {len(report.findings)} rules hold"
        return Sight(failed=False, sentence=holding, gpus=gpus)
    unknown = report.of(Status.UNKNOWN, Severity.ERROR) or report.of(Status.UNKNOWN)
    return Sight(failed=None, sentence=_said(unknown[0]) if unknown else "no rule had anything to judge")


def _said(finding: Finding) -> str:
    return f"{finding.rule}: {finding.message}"


def forget_the_job(environment: MutableMapping[str, str] | None = None) -> None:
    """A Prolog is given the job's variables, and this is about the node: else rules excuse what the job cannot see."""
    environment = os.environ if environment is None else environment
    for name in tuple(environment):
        if name in OF_A_JOB or (name.startswith("SLURM") and name not in OF_SLURMD):
            del environment[name]
