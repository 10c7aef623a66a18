"""A GPU without NVIDIA's driver draws a picture at best: "nvidia-smi: command not found", and frameworks use the CPU.

TensorFlow says "Could not find cuda drivers on your machine, GPU will not be used".
"""

from gpucheck.facts import Driver, Kernel, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.scope import no_host_kernel

GUIDE = "https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/index.html"
UBUNTU = ("sudo apt-get update", "sudo apt-get install -y ubuntu-drivers-common", "sudo ubuntu-drivers install")
DEBIAN = ("sudo apt-get update", 'sudo apt-get install -y "linux-headers-$(uname -r)" nvidia-driver')


def judge(system: System, driver: Driver, kernel: Kernel | None) -> Outcome:
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
    ubuntu = system.os_id == "ubuntu"
    install = Remedy(
        text="install NVIDIA's driver, then reboot"
        + ("" if ubuntu else "; on Debian enable the non-free component first"),
        commands={"debian": UBUNTU if ubuntu else DEBIAN, "arch": ("sudo pacman -S --needed nvidia-open",)},
        impact="persistent",
        url=GUIDE,
    )
    return bad("NVIDIA's driver is not installed: neither its kernel module nor its libraries are here", remedy=install)


RULE = Rule(id="driver.installed", title="NVIDIA's driver is installed", judge=judge, after=("pci.gpu-present",))
