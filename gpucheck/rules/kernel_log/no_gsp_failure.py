"""Since Turing a processor of the GPU's own, the GSP, runs most of the driver. If its firmware fails, so does all else.

"Cannot initialize GSP firmware RM", "unexpected WPR2 already up", "RmInitAdapter failed! (0x62:...)" while it starts;
Xid 119 (it does not answer) and Xid 120 (it crashed) later: nvidia-smi hangs, or finds no devices.
"""

from gpucheck.compat import Compat
from gpucheck.facts import KernelLog, Nvml, Pci, System
from gpucheck.model import Outcome, Remedy, Rule, bad
from gpucheck.rules.events import GSP, counting, fallen, gpus, listed, not_up, unread, unsaid


def judge(system: System, kernel_log: KernelLog | None, nvml: Nvml | None, pci: Pci | None, compat: Compat) -> Outcome:
    if kernel_log is None:
        return unread(system, nvml, pci)
    gone = set(gpus(fallen(kernel_log, nvml)))
    started = [
        e for e in not_up(kernel_log, ("gsp", "init_failed"), nvml, pci) if e.kind == "gsp" or "(0x62:" in e.text
    ]
    events = [e for e in (*counting(kernel_log, ("xid",), GSP), *started) if not gone or e.gpu not in {None, *gone}]
    if events:
        return bad(f"the GPU's own processor failed: {listed(events, compat)}", affects=gpus(events))
    return unsaid("no GSP firmware failed, by the kernel log", kernel_log, nvml, pci)


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
