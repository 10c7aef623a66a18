"""A GPU bound to vfio-pci belongs to a virtual machine: nvidia-smi on the host says "No devices were found".

Some machines give one GPU away and keep another; that is no fault. When all are given away, nothing is left here.
"""

from gpucheck.facts import Pci, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.scope import bus_unseen


def judge(system: System | None, pci: Pci | None) -> Outcome:
    if pci is None:
        return bus_unseen(system)
    away = tuple(gpu.address for gpu in pci.gpus if gpu.driver == "vfio-pci")
    if not pci.gpus:
        return skip("no NVIDIA GPU is on the PCI bus")
    if len(away) == len(pci.gpus):
        return bad(f"all {len(away)} GPUs are bound to vfio-pci, so virtual machines have them", affects=away)
    if away:
        return ok(
            f"{len(pci.gpus) - len(away)} of {len(pci.gpus)} GPUs are left for this system ({', '.join(away)} are not)"
        )
    return ok(f"none of {len(pci.gpus)} is bound to vfio-pci")


RULE = Rule(
    id="pci.not-passed-through",
    title="A GPU is left for this system",
    judge=judge,
    after=("pci.gpu-present",),
    remedy=Remedy(
        text="run gpucheck in the virtual machine that has the GPU; to keep it here, take its id out of the vfio-pci "
        "`ids=` option in /etc/modprobe.d or on the kernel's command line, and reboot",
        commands={"": ("grep -rs vfio /etc/modprobe.d /proc/cmdline",)},
        impact="reboot",
        verify="gpucheck doctor --only pci",
    ),
)
