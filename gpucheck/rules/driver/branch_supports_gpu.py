"""Each driver branch drops old GPUs and knows none that came after it: the module loads, "No devices were found".

580 is the last branch for Maxwell, Pascal and Volta, 470 for Kepler; Blackwell starts with 570.
"""

from gpucheck.compat import Compat
from gpucheck.facts import Driver, Kernel, Nvml, Pci
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.scope import listed


def judge(driver: Driver, compat: Compat, kernel: Kernel | None, pci: Pci | None, nvml: Nvml | None) -> Outcome:
    version = driver.version or (kernel.module_version if kernel else None)
    if version is None:
        return skip("no driver is here to judge")
    gpus = compat.gpus(pci, nvml)
    for label, capability in gpus.items():
        branch = compat.branch(capability)
        if branch and branch.last and version.major > branch.last:
            return bad(
                f"driver {version} has dropped compute capability {capability}: {branch.last} is its last branch",
                affects=(label,),
            )
        if branch and branch.first and version.major < branch.first:
            return bad(
                f"driver {version} does not know compute capability {capability}: {branch.first} is its first branch",
                affects=(label,),
            )
    if not gpus:
        return skip("no GPU here is in our table")
    return ok(f"driver {version} serves compute capability {listed(gpus.values())}")


RULE = Rule(
    id="driver.branch-supports-gpu",
    title="The driver's branch serves the GPU",
    judge=judge,
    after=("kernel.module-built",),
    remedy=Remedy(
        text="install a driver of the branch named above, and hold it back from upgrades",
        impact="none",
        url="https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/version-locking.html",
    ),
)
