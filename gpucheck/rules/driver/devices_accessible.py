"""Who may use a GPU is decided by the modes of /dev/nvidia*: 666 unless a display setup or VirtualGL narrowed it.

Without the right NVML says "Insufficient Permissions" (4), and frameworks find no GPU while root does.
"""

from gpucheck.facts import Driver, Nvml
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.scope import count

NO_PERMISSION = 4


def judge(driver: Driver, nvml: Nvml | None) -> Outcome:
    nodes = [node for node in driver.devices if not node.path.startswith(("/dev/nvidia-caps", "/dev/nvidia-modeset"))]
    closed = [node for node in nodes if int(node.mode[-1:] or "0", 8) & 6 != 6]
    if not nodes:
        return skip("there are no device nodes yet")
    if not closed:
        return ok(f"everybody may read and write the {count(len(nodes), 'node')}")
    seen = f"{closed[0].path} has mode {closed[0].mode} and group {closed[0].group}"
    if nvml and nvml.error is None and nvml.gpus:
        return ok(f"{seen}, and this user may open it")
    if nvml and nvml.error and nvml.error.code == NO_PERMISSION:
        return bad(
            f"{seen}: this user may not open it (NVML: {nvml.error.name})", affects=tuple(n.path for n in closed)
        )
    return unsure(f"{seen}; whether this user is in it is not known here")


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
