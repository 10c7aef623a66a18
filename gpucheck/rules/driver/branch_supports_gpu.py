"""Each driver branch drops old GPUs and knows none that came after it: the module loads, "No devices were found".

580 is the last branch for Maxwell, Pascal and Volta, 470 for Kepler; Ada starts with 520, Blackwell with 570. A GPU
that NVML lists is served, whatever the tables say.
"""

from gpucheck.compat import Compat
from gpucheck.facts import Driver, Kernel, Nvml, Pci, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.scope import UBUNTU_DRIVER, count, fitting, listed, not_in_table


def judge(
    driver: Driver, compat: Compat, kernel: Kernel | None, pci: Pci | None, nvml: Nvml | None, system: System | None
) -> Outcome:
    version = driver.version or (kernel.module_version if kernel else None)
    if version is None:
        return skip("no driver is here to judge")
    if nvml and nvml.gpus:
        return ok(f"NVML lists {count(len(nvml.gpus), 'GPU')} with driver {version}")
    serves, gpus = fitting(compat.gpus(pci, None), lambda capability: compat.driver_serves(version, capability))
    if serves is None:
        return skip(not_in_table(gpus, f"driver {version}"))
    if serves:
        return ok(f"driver {version} serves compute capability {listed(gpus.values())}")
    capability = min(gpus.values())
    branch = compat.branch(capability)
    ubuntu = system is not None and system.os_id == "ubuntu"
    if branch and branch.last and version.major > branch.last:
        why = f"has dropped compute capability {capability}: {branch.last} is its last branch"
        remedy = _install(f"of branch {branch.last} or older, and hold it back from upgrades", ubuntu)
    else:
        first = branch and branch.first
        why = f"does not know compute capability {capability}: {first} is its first branch"
        remedy = _install(f"of branch {first} or newer", ubuntu)
    return bad(f"driver {version} {why}", affects=tuple(gpus), remedy=remedy)


def _install(which: str, ubuntu: bool) -> Remedy:
    return Remedy(
        text=f"install a driver {which}; then reboot" + (" (Ubuntu's tool takes one that fits)" if ubuntu else ""),
        commands={"debian": UBUNTU_DRIVER} if ubuntu else {},
        impact="reboot",
        verify="gpucheck doctor --only driver",
        url="https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/version-locking.html",
    )


RULE = Rule(
    id="driver.branch-supports-gpu",
    title="The driver's branch serves the GPU",
    judge=judge,
    after=("kernel.module-built",),
)
