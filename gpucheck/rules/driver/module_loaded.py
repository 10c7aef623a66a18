"""The nvidia kernel module is the driver's lower half. Built and allowed, it still has to be loaded.

nvidia-smi says "couldn't communicate with the NVIDIA driver"; CUDA says error 100, no CUDA-capable device.
"""

from gpucheck.facts import Driver, Nvml, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip

ON_THE_HOST = Remedy(
    text="load it on the host of this container: `sudo modprobe nvidia`", verify="gpucheck doctor --only driver"
)


def judge(system: System, driver: Driver, nvml: Nvml | None) -> Outcome:
    if driver.version:
        kind = {True: ", the open one", False: ", the proprietary one", None: ""}[driver.open_module]
        return ok(f"module {driver.version} is loaded{kind}")
    if system.wsl:
        return skip("in WSL2 the driver is Windows' own")
    if nvml and nvml.driver_version:
        return ok(f"NVML reached driver {nvml.driver_version}, though the kernel tells of no module here")
    return bad("the kernel has not loaded nvidia", remedy=ON_THE_HOST if system.container else None)


RULE = Rule(
    id="driver.module-loaded",
    title="The nvidia kernel module is loaded",
    judge=judge,
    after=(
        "kernel.module-built",
        "kernel.nouveau-absent",
        "kernel.secure-boot-allows-module",
        "pci.gpu-answers",
        "pci.bars-assigned",
        "driver.open-module-fits",
        "driver.branch-supports-gpu",
    ),
    remedy=Remedy(
        text="load it; where that fails, the kernel log says why",
        commands={"": ("sudo modprobe nvidia", "sudo dmesg | grep -iE 'nvrm|nvidia' | tail")},
        verify="gpucheck doctor --only driver",
    ),
)
