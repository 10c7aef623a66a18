"""Each driver branch drops old GPUs and knows none that came after it: the module loads, "No devices were found".

580 is the last branch for Maxwell, Pascal and Volta, 470 for Kepler; Ada starts with 520, Blackwell with 570. A GPU
that NVML lists is served, whatever the tables say.
"""

from gpucheck.compat import Compat
from gpucheck.facts import Driver, Kernel, Nvml, Pci
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.scope import count, fitting, listed, not_in_table


def judge(driver: Driver, compat: Compat, kernel: Kernel | None, pci: Pci | None, nvml: Nvml | None) -> Outcome:
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
    if branch and branch.last and version.major > branch.last:
        why = f"has dropped compute capability {capability}: {branch.last} is its last branch"
    else:
        why = f"does not know compute capability {capability}: {branch and branch.first} is its first branch"
    return bad(f"driver {version} {why}", affects=tuple(gpus))


RULE = Rule(
    id="driver.branch-supports-gpu",
    title="The driver's branch serves the GPU",
    judge=judge,
    after=("kernel.module-built",),
    remedy=Remedy(
        text="install a driver of the branch named above, and hold it back from upgrades",
        impact="reboot",
        verify="gpucheck doctor --only driver",
        url="https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/version-locking.html",
    ),
)
