"""On machines with NVSwitch the fabric manager must register every GPU before CUDA starts.

Without it nvidia-smi is fine and CUDA fails: "Error 802: system not yet initialized". Its version must be the driver's.
NVML tells it from Hopper on; on an A100 or V100 only the service itself can.
"""

from gpucheck.facts import Nvml, Pci, Services, System, Unit
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.gpus import install_fabric_manager, names, untold, which
from gpucheck.rules.scope import count, no_host

LOOK = "`systemctl status nvidia-fabricmanager` tells"
ON_THE_HOST = Remedy(
    text="only the owner of the host can put this right: its fabric manager must run, of exactly the driver's version, "
    "and this container or machine must be part of a partition of its fabric",
    url="https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/index.html",
)


def judge(system: System, nvml: Nvml, pci: Pci | None, services: Services | None) -> Outcome:
    unit = services.unit("nvidia-fabricmanager") if services else None
    remedy = install_fabric_manager(nvml.driver_version) if unit and unit.load == "not-found" else None
    if system.container or not (pci and pci.nvswitches):
        remedy = ON_THE_HOST
    fabric = [gpu for gpu in nvml.gpus if gpu.fabric_state is not None]
    waiting = [gpu for gpu in fabric if gpu.fabric_state != "completed" or gpu.fabric_status not in (None, "SUCCESS")]
    if waiting:
        first = waiting[0]
        return bad(
            f"not registered: {which(waiting, fabric)}, state {first.fabric_state}, status {first.fabric_status}"
            + (f"; its service {_state(unit)}" if unit else ""),
            affects=names(waiting),
            remedy=remedy,
        )
    if reason := untold(nvml.gpus, "nvmlDeviceGetGpuFabricInfo"):
        return unsure(f"{reason}; {LOOK}")
    if fabric:
        return ok(f"{count(len(fabric), 'GPU')} registered, none missing")
    if pci is not None and not pci.nvswitches:
        return skip("NVML tells of no fabric, and no NVSwitch is on the bus")
    if reason := no_host(system):
        return skip(f"NVML tells of no fabric; {reason}")
    if pci is None:
        return unsure(f"NVML tells of no fabric, and the PCI bus could not be looked at; {LOOK}")
    here = f"{count(len(pci.nvswitches), 'NVSwitch', 'es')} on the bus"
    if unit is None:
        return unsure(f"{here}, and NVML tells nothing of these GPUs' fabric; {LOOK}")
    if unit.active == "active":
        return ok(f"{here}, and the fabric manager's service is active")
    return bad(f"{here}, and the fabric manager's service {_state(unit)}", remedy=remedy)


def _state(unit: Unit) -> str:
    if unit.load == "not-found":
        return "is not installed"
    how = f" ({unit.result})" if unit.active == "failed" and unit.result else ""
    return f"is {'masked' if unit.load == 'masked' else unit.active}{how}"


RULE = Rule(
    id="nvml.fabric-ready",
    title="The fabric manager has registered every GPU",
    judge=judge,
    after=("nvml.answers", "services.fabric-manager-fits-driver"),
    remedy=Remedy(
        text="start the fabric manager; where it does not stay, its log says why (/var/log/fabricmanager.log)",
        commands={
            "": ("sudo systemctl enable --now nvidia-fabricmanager", "systemctl status nvidia-fabricmanager --no-pager")
        },
        impact="service",
        precondition="nvidia-fabricmanager is installed",
        check="systemctl cat nvidia-fabricmanager",
        url="https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/index.html",
    ),
)
