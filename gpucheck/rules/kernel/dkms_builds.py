"""DKMS compiles the driver's module for each new kernel. A driver older than the kernel often does not compile.

apt or dnf says "Bad return status for module build on kernel" and "Consult make.log"; after the next reboot nvidia-smi
"couldn't communicate with the NVIDIA driver".
"""

from gpucheck.facts import Dkms, Driver, Kernel, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.scope import UBUNTU_DRIVER, no_host_kernel

LOOK = "tail -n 40 /var/lib/dkms/nvidia*/*/build/make.log"
UBUNTU = Remedy(
    text="install the driver that Ubuntu recommends, whose modules come ready-made; or boot the kernel of before "
    "(GRUB: Advanced options), where the module still is",
    commands={"debian": (LOOK, *UBUNTU_DRIVER)},
    impact="reboot",
)


def judge(system: System, kernel: Kernel, driver: Driver, dkms: Dkms) -> Outcome:
    if reason := no_host_kernel(system):
        return skip(reason)
    here = driver.version or kernel.module_version
    failed = next((build for build in dkms.failed if build.kernel == kernel.release), None)
    if here:
        return ok(f"module {here} is there for kernel {kernel.release}")
    if kernel.module_error:
        return unsure(kernel.module_error)
    if failed:
        return bad(
            f"DKMS could not build {failed.module} for kernel {kernel.release}: {failed.error or 'make.log says why'}",
            affects=(failed.module,),
            remedy=UBUNTU if system.os_id == "ubuntu" else None,
        )
    if any(not build.kernel for build in dkms.failed):
        return unsure("a build of DKMS failed, and its make.log does not say for which kernel")
    return skip(f"DKMS left no failed build for kernel {kernel.release}")


RULE = Rule(
    id="kernel.dkms-builds",
    title="DKMS can build the nvidia module for the running kernel",
    judge=judge,
    after=("driver.installed",),
    remedy=Remedy(
        text="install a newer branch of the driver, one made for this kernel; or boot the kernel of before, where the "
        "module still is. Where the compiler itself is missing or older than the kernel's, install that one",
        commands={"": (LOOK,)},
        impact="reboot",
        url="https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/index.html",
    ),
)
