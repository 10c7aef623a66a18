"""The driver's kernel module is built for one kernel. A kernel update without headers leaves the new kernel without it.

Then "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver", most often after a reboot.
"""

from gpucheck.facts import Driver, Kernel, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.scope import UBUNTU_DRIVER, no_host_kernel

BUILD = "if ls -d /usr/src/nvidia* >/dev/null 2>&1; then sudo dkms autoinstall; fi"  # ready-made modules have no source
AKMODS = "if test -x /usr/sbin/akmods; then sudo akmods --force; fi"  # RPM Fusion's way
UBUNTU = Remedy(
    text="have Ubuntu install the modules of its driver for this kernel (`dkms status` says what failed to build); or "
    "reboot into the kernel that has them",
    commands={"debian": (*UBUNTU_DRIVER, "sudo modprobe nvidia")},
    impact="reboot",
    verify="gpucheck doctor --only kernel",
)


def judge(system: System, kernel: Kernel, driver: Driver) -> Outcome:
    if driver.version:
        return ok(f"module {driver.version} runs in kernel {kernel.release}")
    if reason := no_host_kernel(system):
        return skip(reason)
    if kernel.module_version:
        return ok(f"module {kernel.module_version} is built for kernel {kernel.release}")
    if kernel.module_error:
        return unsure(kernel.module_error)
    headers = "are here" if kernel.headers else "are missing too"
    return bad(
        f"kernel {kernel.release} has no nvidia module; its headers, which building one needs, {headers}",
        remedy=UBUNTU if system.os_id == "ubuntu" else None,
    )


RULE = Rule(
    id="kernel.module-built",
    title="The nvidia module is built for the running kernel",
    judge=judge,
    after=("driver.installed", "kernel.dkms-builds"),
    remedy=Remedy(
        text="install the headers of the running kernel and build the module for it (`dkms status` says what failed), "
        "or the ready-made modules for it from where the driver came; or reboot into the kernel that has it",
        commands={
            "debian": (
                'sudo apt-get install -y "linux-headers-$(uname -r)"',
                BUILD,
                "sudo modprobe nvidia",
            ),
            "rhel": ('sudo dnf install -y "kernel-devel-$(uname -r)"', BUILD, AKMODS, "sudo modprobe nvidia"),
            "": ("dkms status",),
        },
        impact="none",
        verify="gpucheck doctor --only kernel",
    ),
)
