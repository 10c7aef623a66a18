"""Suspend takes the power from the GPU. The driver keeps its memory only if it was told to, and systemd calls it.

Otherwise CUDA fails after a resume with "unknown error" (999) while nvidia-smi works, until nvidia_uvm is loaded again.
"""

from gpucheck.facts import Driver, Suspend, System
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip
from gpucheck.rules.scope import count, no_host_kernel

SERVICES = ("nvidia-suspend", "nvidia-resume")


def judge(system: System, driver: Driver, suspend: Suspend) -> Outcome:
    if reason := no_host_kernel(system):
        return skip(reason)
    preserve = driver.parameters.get("PreserveVideoMemoryAllocations")
    if driver.version is None or preserve is None:
        return skip("no module is loaded" if driver.version is None else "this driver does not tell what it preserves")
    if suspend.times is None:
        return skip("this kernel does not count how often it was suspended")
    if suspend.times == 0:
        return ok("not suspended since it started")
    seen = f"suspended {count(suspend.times, 'time')} since it started, PreserveVideoMemoryAllocations is {preserve}"
    if driver.parameters.get("UseKernelSuspendNotifiers") == "1":
        return ok(f"{seen}, and the kernel itself calls the driver")
    missing = [name for name in SERVICES if name not in suspend.services]
    if preserve != "0" and not missing:
        return ok(f"{seen}, and systemd calls the driver")
    return bad(f"{seen}" + (f", and {' and '.join(missing)} are not enabled" if missing else ""))


RULE = Rule(
    id="driver.survives-suspend",
    title="The GPU's memory outlives a suspend",
    judge=judge,
    severity=Severity.WARNING,
    after=("driver.module-loaded",),
    remedy=Remedy(
        text="load nvidia_uvm again (nothing may use CUDA then); for the next time set "
        "NVreg_PreserveVideoMemoryAllocations=1 in /etc/modprobe.d and have systemd call the driver",
        commands={
            "": (
                "sudo modprobe -r nvidia_uvm && sudo modprobe nvidia_uvm",
                "sudo systemctl enable nvidia-suspend.service nvidia-resume.service nvidia-hibernate.service",
            )
        },
        impact="service",
        precondition="no program uses the GPU",
        url="https://download.nvidia.com/XFree86/Linux-x86_64/450.66/README/powermanagement.html",
    ),
)
