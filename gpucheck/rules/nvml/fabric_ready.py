"""On machines with NVSwitch the fabric manager must register every GPU before CUDA starts.

Without it nvidia-smi is fine and CUDA fails: "Error 802: system not yet initialized". Its version must be the driver's.
NVML tells it from Hopper on; on an A100 only the service itself can.
"""

from gpucheck.facts import Nvml, Pci
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.scope import count

LOOK = "`systemctl status nvidia-fabricmanager` tells"


def judge(nvml: Nvml, pci: Pci | None) -> Outcome:
    fabric = [gpu for gpu in nvml.gpus if gpu.fabric_state is not None]
    waiting = [gpu for gpu in fabric if gpu.fabric_state != "completed" or gpu.fabric_status not in (None, "SUCCESS")]
    if waiting:
        first = waiting[0]
        return bad(
            f"{len(waiting)} of {len(fabric)} GPUs are not registered: {first.fabric_state}, {first.fabric_status}",
            affects=tuple(gpu.uuid or f"GPU {gpu.index}" for gpu in waiting),
        )
    for gpu in nvml.gpus:
        if error := next((e for e in gpu.errors if e.call.startswith("nvmlDeviceGetGpuFabricInfo")), None):
            return unsure(f"GPU {gpu.index}: {error.call} gives {error.code} ({error.name}); {LOOK}")
    if fabric:
        return ok(f"{count(len(fabric), 'GPU')} registered, none missing")
    if pci is None:
        return unsure(f"NVML tells of no fabric, and the PCI bus could not be looked at; {LOOK}")
    if pci.nvswitches:
        return unsure(f"of {len(pci.nvswitches)} NVSwitches on the bus NVML tells nothing here; {LOOK}")
    return skip("NVML tells of no fabric, and no NVSwitch is on the bus")


RULE = Rule(
    id="nvml.fabric-ready",
    title="The fabric manager has registered every GPU",
    judge=judge,
    after=("nvml.answers",),
    remedy=Remedy(
        text="start the fabric manager, of exactly the driver's version, on the host; in a VM ask its owner",
        commands={
            "": ("sudo systemctl enable --now nvidia-fabricmanager", "systemctl status nvidia-fabricmanager --no-pager")
        },
        impact="none",
        url="https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/index.html",
    ),
)
