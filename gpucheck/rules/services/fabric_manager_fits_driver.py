"""On machines with NVSwitch the fabric manager runs only with the driver of exactly its own version.

After an upgrade of one of the two it says "fabric manager version is incompatible", and CUDA fails with error 802.
"""

from gpucheck.facts import Driver, Nvml, Pci, Services, System
from gpucheck.model import Outcome, Rule, bad, ok, skip, unsure
from gpucheck.rules.gpus import install_fabric_manager
from gpucheck.rules.scope import no_host


def judge(system: System, nvml: Nvml, pci: Pci | None, driver: Driver | None, services: Services | None) -> Outcome:
    registered = [gpu for gpu in nvml.gpus if gpu.fabric_state == "completed"]
    if not (pci and pci.nvswitches) and all(gpu.fabric_state is None for gpu in nvml.gpus):
        return skip("no NVSwitch is on the bus, and NVML tells of no fabric")
    unit = services.unit("nvidia-fabricmanager") if services else None
    if unit and unit.load == "not-found":
        return skip("no fabric manager is installed here")
    loaded = (driver.version if driver else None) or nvml.driver_version
    version = services.fabric_manager if services else None
    if version is None or loaded is None:
        if registered:
            return skip("its version is not told here; it has registered the GPUs, so it fits")
        if reason := no_host(system):
            return skip(reason)
        return unsure("the fabric manager's version is not told here; `nv-fabricmanager --version` tells")
    if version != loaded:
        return bad(
            f"the fabric manager is {version}; driver {loaded} needs {loaded}", remedy=install_fabric_manager(loaded)
        )
    return ok(f"fabric manager and driver are {version}")


RULE = Rule(
    id="services.fabric-manager-fits-driver",
    title="The fabric manager is of the driver's version",
    judge=judge,
    after=("nvml.answers",),
)
