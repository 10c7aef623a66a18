"""A GPU that stops answering on the PCI bus is gone until it is started again: Xid 79, "GPU has fallen off the bus".

Or, without an Xid, "The NVIDIA GPU 0000:3b:00.0 ... has fallen off the bus and is not responding to commands". Power,
heat, the slot or a riser, or the card itself. NVML then says "GPU is lost", and programs see one GPU fewer.
"""

from gpucheck.compat import Compat
from gpucheck.facts import Driver, KernelLog, Nvml, Pci, System
from gpucheck.model import Outcome, Remedy, Rule, bad
from gpucheck.rules.events import all_reached, fallen, gpus, listed, unread, unsaid


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
    events = fallen(kernel_log, nvml)
    if events:
        return bad(f"off the bus: {listed(events)}", affects=gpus(events))
    return unsaid("no GPU fell off the bus and stayed there, by the kernel log", kernel_log, up)


RULE = Rule(
    id="kernel_log.no-gpu-off-the-bus",
    title="No GPU has fallen off the bus",
    judge=judge,
    after=("driver.module-loaded", "pci.gpu-answers", "pci.every-gpu-usable"),
    remedy=Remedy(
        text="take the power away for half a minute and start again (a warm reboot may not do); if it comes back: the "
        "card's seat, its power cables and supply, the riser, its heat, the firmware's PCIe settings, then the kernel "
        "parameter pcie_aspm=off; until then use the other GPUs, by CUDA_VISIBLE_DEVICES",
        impact="reboot",
        verify="gpucheck doctor --only kernel_log",
        url="https://docs.nvidia.com/deploy/gpu-debug-guidelines/index.html",
    ),
)
