"""NVIDIA ships two kernel modules. The open one drives Turing and newer; Blackwell and newer have no other.

With the wrong one the module loads and nvidia-smi says "No devices were found"; the kernel log says "RmInitAdapter
failed" or that the GPU is not supported by the open module.
"""

from gpucheck.compat import Compat
from gpucheck.facts import Driver, Kernel, Pci, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.fits import apart, beside
from gpucheck.rules.scope import bus_unseen, listed

KINDS = {True: "open", False: "proprietary"}
GUIDE = "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/kernel-modules.html"
LOOK = {"debian": ("apt-cache search --names-only '^nvidia-(driver|open|dkms|kernel)'",)}
TO_OPEN = Remedy(
    text="install the open kernel module of the same driver and reboot: Ubuntu's packages have -open at their end "
    "(nvidia-driver-580-open), NVIDIA's are nvidia-open; its .run file asks, or takes `-m=kernel-open`",
    commands=LOOK,
    impact="reboot",
    url=GUIDE,
)
TO_PROPRIETARY = Remedy(
    text="install the proprietary kernel module, of branch 580 or older, and reboot: Ubuntu's packages without -open "
    "at their end (nvidia-driver-580), NVIDIA's cuda-drivers-580; newer branches have the open one alone. Hold it back "
    "from upgrades",
    commands=LOOK,
    impact="reboot",
    url=GUIDE,
)


def judge(system: System | None, pci: Pci | None, driver: Driver, kernel: Kernel | None, compat: Compat) -> Outcome:
    if pci is None:
        return bus_unseen(system)
    is_open = driver.open_module
    if is_open is None and (driver.version or (kernel and "nvidia" in kernel.modules)):
        return unsure("the nvidia module that is loaded does not say of which kind it is (/proc/driver/nvidia/version)")
    if is_open is None and kernel and kernel.module_licence:
        is_open = "GPL" in kernel.module_licence
    if is_open is None:
        return skip("no nvidia module is here to judge")
    gpus = compat.gpus(pci, None)
    fit, unfit = apart(gpus, lambda capability: compat.module_fits(capability, open_module=is_open))
    if unfit and not fit:
        return bad(
            f"the {KINDS[is_open]} kernel module does not drive compute capability {listed(unfit.values())}: "
            f"that takes the {KINDS[not is_open]} one",
            affects=tuple(unfit),
            remedy=TO_PROPRIETARY if is_open else TO_OPEN,
        )
    if not gpus:
        return skip("no GPU on the bus is in our table")
    return ok(f"the {KINDS[is_open]} module drives compute capability {listed(fit.values())}" + beside("it", unfit))


RULE = Rule(
    id="driver.open-module-fits",
    title="The kind of kernel module fits the GPU",
    judge=judge,
    after=("kernel.module-built",),
)
