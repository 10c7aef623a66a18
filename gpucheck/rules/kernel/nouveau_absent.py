"""One driver at a time can own a GPU. While nouveau (or nova) has it, the nvidia module finds no device.

The kernel log says "NVRM: The NVIDIA probe routine was not called for 1 device(s)". This is asked only once an nvidia
module exists for this kernel: without one, nouveau is all that the screen has.
"""

from gpucheck.facts import Kernel, Pci, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.scope import bus_unseen, no_host_kernel

OTHERS = ("nouveau", "nova_core", "nova_drm")


def judge(system: System, kernel: Kernel, pci: Pci | None) -> Outcome:
    if reason := no_host_kernel(system):
        return skip(reason)
    if pci is None:
        return bus_unseen(system)
    taken = {gpu.address: gpu.driver for gpu in pci.gpus if gpu.driver in (*OTHERS, "nova-core")}
    if taken:
        seen = f"{', '.join(sorted(set(taken.values())))} owns {len(taken)} of {len(pci.gpus)} GPUs"
        if "nvidia" in {gpu.driver for gpu in pci.gpus}:  # an old card for the screen beside a new one is no fault
            return ok(f"{seen}, nvidia another")
        return bad(f"{seen}, so nvidia cannot", affects=tuple(taken))
    loaded = [module for module in kernel.modules if module in OTHERS]
    return ok(f"no GPU is with {loaded[0]}, though it is loaded" if loaded else "nouveau is not loaded")


BLACKLIST = (
    "printf 'blacklist nouveau\\noptions nouveau modeset=0\\n' | sudo tee /etc/modprobe.d/blacklist-nouveau.conf"
)

RULE = Rule(
    id="kernel.nouveau-absent",
    title="No other driver owns the GPU",
    judge=judge,
    after=("kernel.module-built", "kernel.secure-boot-allows-module"),
    remedy=Remedy(
        text="keep nouveau from loading, rebuild the initial RAM disk, then reboot",
        commands={
            "debian": (BLACKLIST, "sudo update-initramfs -u"),
            "rhel": (BLACKLIST, "sudo dracut --force"),
            "suse": (BLACKLIST, "sudo dracut --force"),
            "arch": (BLACKLIST, "sudo mkinitcpio -P"),
            "": (BLACKLIST,),
        },
        impact="reboot",
        verify="gpucheck doctor --only kernel",
    ),
)
