"""The module loads, and then the driver starts each GPU. Where that fails nvidia-smi says "No devices were found".

The log says "RmInitAdapter failed! (0x22:0x56:884)"; the first number is the step that failed, the second why. Where
the proprietary module meets a GPU that only the open one drives, "requires use of the NVIDIA open kernel modules".
"""

from gpucheck.compat import Compat
from gpucheck.facts import Driver, KernelLog, Nvml, Pci, System
from gpucheck.model import Outcome, Remedy, Rule, bad
from gpucheck.rules.events import all_reached, gpus, listed, not_up, unread, unsaid

OPEN = Remedy(
    text="install the open kind of the same driver (its packages have -open in their name), and reboot",
    commands={"debian": ("apt-cache search --names-only 'nvidia.*open'",)},
    url="https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/kernel-modules.html",
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
    refused = not_up(kernel_log, ("open_module",), nvml, up)
    if refused:
        return bad("the driver wants the open kernel module for this GPU", affects=gpus(refused), remedy=OPEN)
    events = not_up(kernel_log, ("init_failed",), nvml, up)
    if events:
        return bad(f"the driver could not start the GPU: {listed(events)}", affects=gpus(events))
    return unsaid("no GPU failed to start, by the kernel log", kernel_log, up)


RULE = Rule(
    id="kernel_log.adapter-initialises",
    title="The driver starts every GPU",
    judge=judge,
    after=(
        "driver.module-loaded",
        "kernel_log.power-connected",
        "pci.bars-assigned",
        "kernel_log.no-gpu-off-the-bus",
        "kernel_log.no-gsp-failure",
    ),
    remedy=Remedy(
        text="start the machine from cold; then look at the lines before it in the log, at the card's seat and power, "
        "and at the firmware's PCIe settings; then try another branch of the driver",
        commands={"": ("sudo dmesg | grep -E 'NVRM|nvidia' | tail -n 30",)},
        verify="gpucheck doctor --only kernel_log",
    ),
)
