"""On machines with NVSwitch the fabric manager must register every GPU before CUDA starts.

Without it nvidia-smi is fine and CUDA fails: "Error 802: system not yet initialized". Its version must be the driver's.
"""

from gpucheck.facts import Nvml
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.scope import count


def judge(nvml: Nvml) -> Outcome:
    fabric = [gpu for gpu in nvml.gpus if gpu.fabric_state is not None]
    if not fabric:
        return skip("no GPU here is on an NVSwitch fabric")
    waiting = [gpu for gpu in fabric if gpu.fabric_state != "completed" or gpu.fabric_status not in (None, "SUCCESS")]
    if waiting:
        first = waiting[0]
        return bad(
            f"{len(waiting)} of {len(fabric)} GPUs are not registered: {first.fabric_state}, {first.fabric_status}",
            affects=tuple(gpu.uuid or f"GPU {gpu.index}" for gpu in waiting),
        )
    return ok(f"{count(len(fabric), 'GPU')} registered, none missing")


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
        impact="persistent",
        url="https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/index.html",
    ),
)
