"""A GPU without NVIDIA's driver draws a picture at best: "nvidia-smi: command not found", and frameworks use the CPU.

TensorFlow says "Could not find cuda drivers on your machine, GPU will not be used".
"""

from gpucheck.compat import Compat
from gpucheck.facts import Driver, Kernel, Pci, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.scope import UBUNTU_DRIVER, no_host_kernel

GUIDE = "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/index.html"
DEBIAN = ("sudo apt-get update", 'sudo apt-get install -y "linux-headers-$(uname -r)" nvidia-driver')

FEDORA = Remedy(
    text="install NVIDIA's driver from RPM Fusion, then reboot; its module is built meanwhile, which takes minutes",
    commands={"rhel": ("sudo dnf install -y akmod-nvidia xorg-x11-drv-nvidia-cuda",)},
    impact="reboot",
    precondition="RPM Fusion's repository nonfree, or the part of it for NVIDIA's driver, is enabled",
    check="dnf repolist --enabled | grep rpmfusion-nonfree",
    verify="gpucheck doctor --only driver",
    url="https://rpmfusion.org/Howto/NVIDIA",
)


def judge(system: System, driver: Driver, compat: Compat, kernel: Kernel | None, pci: Pci | None) -> Outcome:
    if driver.version:
        return ok(f"driver {driver.version} is loaded")
    if reason := no_host_kernel(system):
        return skip(reason)
    if driver.libraries:
        return ok(f"the driver's libraries are here ({driver.libraries[0].path})")
    if kernel is None:
        return unsure("no driver is loaded, and whether one is installed could not be looked at")
    if kernel.module_version:
        return ok(f"the kernel module {kernel.module_version} is installed")
    if kernel.module_error:
        return unsure(kernel.module_error)
    return bad("neither NVIDIA's kernel module nor its libraries are here", remedy=_install(system, compat, pci))


def _install(system: System, compat: Compat, pci: Pci | None) -> Remedy:
    text = "install NVIDIA's driver, then reboot"
    commands: dict[str, tuple[str, ...]] = {}
    known = list(compat.gpus(pci, None).values())
    if system.os_id == "fedora":
        return FEDORA
    if system.os_id == "ubuntu":
        commands = {"debian": UBUNTU_DRIVER}
    elif system.os_id == "debian":
        text, commands = f"{text}; enable the component non-free first", {"debian": DEBIAN}
    elif pci and len(known) == len(pci.gpus) and all(compat.module_fits(c, open_module=True) for c in known):
        commands = {"arch": ("sudo pacman -S --needed --noconfirm nvidia-open",)}  # Arch has no other kind
    return Remedy(text=text, commands=commands, impact="reboot", verify="gpucheck doctor --only driver", url=GUIDE)


RULE = Rule(
    id="driver.installed",
    title="NVIDIA's driver is installed",
    judge=judge,
    after=("pci.gpu-present", "pci.not-passed-through", "pci.gpu-answers", "pci.bars-assigned"),
)
