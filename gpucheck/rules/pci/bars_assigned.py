"""The driver reaches a GPU through three windows in the machine's address space (BARs); firmware has to give them room.

Large ones do not fit below 4 GiB. The kernel log says "BAR 1: can't assign; no space" and "NVRM: This PCI I/O region
assigned to your NVIDIA device is invalid: BAR1 is 0M @ 0x0"; modprobe says "No such device".
"""

from gpucheck.compat import own_gpus
from gpucheck.facts import Pci, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.scope import bus_unseen, count

MAKE_ROOM = Remedy(
    text="in the firmware's setup switch on Above 4G Decoding (and Resizable BAR), and start by UEFI, not CSM or "
    "legacy BIOS. In a VM its owner gives it UEFI firmware and a larger 64-bit MMIO window (VMware: "
    "pciPassthru.use64bitMMIO and 64bitMMIOSizeGB; QEMU: pci-hole64-size). Where that is so already, try "
    "`pci=realloc` on the kernel's command line",
    commands={"": ('sudo dmesg | grep -iE "can\'t assign|BAR ?[0-9]" | tail',)},
    impact="reboot",
)


def judge(system: System | None, pci: Pci | None) -> Outcome:
    if pci is None:
        return bus_unseen(system)
    gpus = own_gpus(pci)
    if not gpus:
        return skip("no NVIDIA GPU is on the PCI bus")
    without = tuple(gpu for gpu in gpus if gpu.unassigned)
    if len(without) == len(gpus):
        first = without[0]
        seen = f"BAR {' and '.join(map(str, first.unassigned or ()))} of {first.address} has no address"
        return bad(f"{seen} ({len(without)} of {len(gpus)} GPUs)", affects=tuple(gpu.address for gpu in without))
    if any(gpu.unassigned == () for gpu in gpus):
        return ok(f"{count(sum(gpu.unassigned == () for gpu in gpus), 'GPU')} of {len(gpus)} with all its BARs")
    return unsure(f"what addresses {gpus[0].address} was given could not be read")


RULE = Rule(
    id="pci.bars-assigned",
    title="A GPU's memory regions (BARs) have addresses",
    judge=judge,
    after=("pci.gpu-present", "pci.not-passed-through"),
    remedy=MAKE_ROOM,
)
