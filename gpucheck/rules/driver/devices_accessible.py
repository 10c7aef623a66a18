"""Who may use a GPU is decided by the modes of /dev/nvidia*: 666 unless a display setup or VirtualGL narrowed it.

Without the right NVML says "Insufficient Permissions" (4), and frameworks find no GPU while root does.
"""

import re

from gpucheck.facts import Driver, Nvml
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.scope import count

NO_PERMISSION = 4
UVM = "/dev/nvidia-uvm"  # CUDA opens it, NVML never does
NEEDED = re.compile(rf"/dev/(?:nvidiactl|nvidia\d+|dxg)|{UVM}")


def judge(driver: Driver, nvml: Nvml | None) -> Outcome:
    nodes = [node for node in driver.devices if NEEDED.fullmatch(node.path)]
    closed = [node for node in nodes if int(node.mode[-1:] or "0", 8) & 6 != 6]
    if not nodes:
        return skip("there are no device nodes yet")
    if not closed:
        return ok(f"everybody may read and write the {count(len(nodes), 'node')}")
    opened = nvml is not None and nvml.error is None and bool(nvml.gpus)
    doubtful = [node for node in closed if not opened or node.path == UVM]
    first = doubtful[0] if doubtful else closed[0]
    seen = f"{first.path} has mode {first.mode} and group {first.group}"
    if not doubtful:
        return ok(f"{seen}, and this user may open it")
    if nvml and nvml.error and nvml.error.code == NO_PERMISSION:
        return bad(
            f"{seen}: this user may not open it (NVML: {nvml.error.name})", affects=tuple(n.path for n in closed)
        )
    return unsure(f"{seen}; whether this user may open it is not known here")


RULE = Rule(
    id="driver.devices-accessible",
    title="This user may open the GPU's device nodes",
    judge=judge,
    after=("driver.device-nodes", "driver.libraries-match"),
    remedy=Remedy(
        text="add yourself to the group above and log in again (in a container: `--group-add`); the mode is "
        "NVreg_DeviceFileMode's in /etc/modprobe.d",
        commands={"": ("ls -l /dev/nvidia*", "id", "grep -i devicefile /proc/driver/nvidia/params")},
        impact="none",
    ),
)
