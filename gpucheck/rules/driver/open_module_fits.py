"""NVIDIA ships two kernel modules. The open one drives Turing and newer; Blackwell and newer have no other.

With the wrong one the module loads and nvidia-smi says "No devices were found"; the kernel log says "RmInitAdapter
failed" or that the GPU is not supported by the open module.
"""

from gpucheck.compat import Compat
from gpucheck.facts import Driver, Kernel, Pci
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.scope import listed

KINDS = {True: "open", False: "proprietary"}


def judge(pci: Pci, driver: Driver, kernel: Kernel | None, compat: Compat) -> Outcome:
    is_open = driver.open_module
    if is_open is None and kernel and kernel.module_licence:
        is_open = "GPL" in kernel.module_licence
    if is_open is None:
        return skip("no nvidia module is here to judge")
    gpus = compat.gpus(pci, None)
    unfit = tuple(gpu for gpu, capability in gpus.items() if not compat.module_fits(capability, open_module=is_open))
    if unfit:
        capability = gpus[unfit[0]]
        return bad(
            f"the {KINDS[is_open]} kernel module does not drive compute capability {capability}: "
            f"that takes the {KINDS[not is_open]} one",
            affects=unfit,
        )
    if not gpus:
        return skip("no GPU on the bus is in our table")
    return ok(f"the {KINDS[is_open]} module drives compute capability {listed(gpus.values())}")


RULE = Rule(
    id="driver.open-module-fits",
    title="The kind of kernel module fits the GPU",
    judge=judge,
    after=("kernel.module-built",),
    remedy=Remedy(
        text="install the other kind of the same driver (the open one's packages have -open in their name) and reboot",
        commands={"debian": ("apt-cache search --names-only 'nvidia.*(open|dkms)'",)},
        impact="none",
        url="https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/kernel-modules.html",
    ),
)
