"""Since Turing a processor of the GPU's own, the GSP, runs most of the driver. If its firmware fails, so does all else.

"Cannot initialize GSP firmware RM", "unexpected WPR2 already up", "RmInitAdapter failed! (0x62:...)" while it starts;
Xid 119 (it does not answer) and Xid 120 (it crashed) later: nvidia-smi hangs, or finds no devices.
"""

from gpucheck.compat import Compat
from gpucheck.facts import Driver, KernelLog, Nvml, Pci, System
from gpucheck.model import Outcome, Remedy, Rule, bad
from gpucheck.rules.events import (
    GSP,
    all_reached,
    counting,
    fallen,
    gpus,
    listed,
    not_up,
    over,
    recovered,
    unread,
    unsaid,
)


def judge(
    system: System,
    kernel_log: KernelLog | None,
    nvml: Nvml | None,
    pci: Pci | None,
    driver: Driver | None,
    compat: Compat,
) -> Outcome:
    up = all_reached(system, nvml, pci, driver, compat)
    if kernel_log is None:
        return unread(system, nvml, up)
    gone = set(gpus(fallen(kernel_log, nvml)))
    started = [e for e in not_up(kernel_log, ("gsp", "init_failed"), nvml, up) if e.kind == "gsp" or "(0x62:" in e.text]
    xids = counting(kernel_log, ("xid",), GSP)
    mended = [event for event in xids if recovered(event, nvml)]
    lasting = [event for event in xids if event not in mended]
    events = [e for e in (*lasting, *started) if not gone or e.gpu not in {None, *gone}]
    if events:
        return bad(f"the GPU's own processor failed: {listed(events, compat)}", affects=gpus(events))
    return unsaid(f"no GSP firmware has failed for good, by the kernel log{over(mended, compat)}", kernel_log, up)


RULE = Rule(
    id="kernel_log.no-gsp-failure",
    title="The firmware of every GPU's own processor runs",
    judge=judge,
    after=("driver.module-loaded", "pci.bars-assigned", "kernel_log.power-connected"),
    remedy=Remedy(
        text="take the power away for half a minute and start again: a warm reboot may leave the firmware as it is; if "
        "it comes back, install the newest driver of the branch, then another branch; then it is the card",
        impact="reboot",
        verify="gpucheck doctor --only kernel_log",
        url="https://docs.nvidia.com/deploy/xid-errors/analyzing-xid-catalog.html",
    ),
)
