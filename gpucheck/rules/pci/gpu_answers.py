"""A GPU that lost its power, its seat or its link stays listed, and answers nothing: every read of it is all ones.

The kernel log says "GPU has fallen off the bus", with or without Xid 79; nvidia-smi "Unable to determine the device
handle" or "No devices were found". lspci shows "rev ff".
"""

from gpucheck.compat import own_gpus
from gpucheck.facts import Pci, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.scope import bus_unseen, count

COLD_START = Remedy(
    text="shut down, take the machine off the mains for some seconds and start it again: a reboot alone leaves the "
    "GPU's power on. If it is lost again look at its seat, its power cables, the riser and its heat, and try "
    "`pcie_aspm=off` on the kernel's command line; then the card is to be replaced",
    commands={"": ("sudo dmesg | grep -iE 'nvrm|xid|fallen off|pcieport' | tail",)},
    impact="reboot",
    url="https://docs.nvidia.com/deploy/xid-errors/index.html",
)


def judge(system: System | None, pci: Pci | None) -> Outcome:
    if pci is None:
        return bus_unseen(system)
    gpus = own_gpus(pci)
    if not gpus:
        return skip("no NVIDIA GPU is on the PCI bus")
    gone = tuple(gpu.address for gpu in gpus if gpu.answers is False)
    if len(gone) == len(gpus):
        return bad(f"{', '.join(gone)}: the device is listed, but does not answer on the bus", affects=gone)
    answering = [gpu for gpu in gpus if gpu.answers]
    if answering:
        return ok(f"{count(len(answering), 'GPU')} of {len(gpus)} answered with the state of its link")
    asleep = next((gpu for gpu in gpus if gpu.answers is None and gpu.power not in (None, "D0")), None)
    return skip(f"{asleep.address} is asleep ({asleep.power})" if asleep else "this kernel does not tell of the link")


RULE = Rule(
    id="pci.gpu-answers",
    title="A GPU answers on the PCI bus",
    judge=judge,
    after=("pci.gpu-present", "pci.not-passed-through"),
    remedy=COLD_START,
)
