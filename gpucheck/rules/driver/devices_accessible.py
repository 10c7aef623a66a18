"""Who may use a GPU is decided by the modes of /dev/nvidia*: 666 unless a display setup or VirtualGL narrowed it.

Without the right NVML says "Insufficient Permissions" (4), and frameworks find no GPU while root does.
"""

import re

from gpucheck.facts import DeviceNode, Driver, Nvml, User
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.scope import count

NO_PERMISSION = 4
UVM = "/dev/nvidia-uvm"  # CUDA opens it, NVML never does
NAME = re.compile(r"[a-z_][a-z0-9_-]{0,31}")  # useradd(8)
NEEDED = re.compile(rf"/dev/(?:nvidiactl|nvidia\d+|dxg)|{UVM}")


def judge(driver: Driver, nvml: Nvml | None, user: User | None) -> Outcome:
    nodes = [node for node in driver.devices if NEEDED.fullmatch(node.path)]
    closed = [node for node in nodes if int(node.mode[-1:] or "0", 8) & 6 != 6]
    if not nodes:
        return skip("there are no device nodes yet")
    if not closed:
        return ok(f"everybody may read and write the {count(len(nodes), 'node')}")
    if nvml and nvml.error and nvml.error.code == NO_PERMISSION:
        mode = driver.parameters.get("DeviceFileMode", "")
        why = f", as NVreg_DeviceFileMode {int(mode):04o} says" if mode.isdecimal() else ""
        said = f"{_seen(closed[0])}{why}: this user may not open it (NVML: {nvml.error.name})"
        return bad(said, affects=tuple(node.path for node in closed), remedy=_join(closed[0]))
    opened = nvml is not None and nvml.error is None and bool(nvml.gpus)
    doubtful = [node for node in closed if not _member(user, node) and (not opened or node.path == UVM)]
    if not doubtful:
        return ok(f"{_seen(closed[0])}, and this user may open it")
    if user:
        said = f"{_seen(doubtful[0])}, which does not let this user in"
        return bad(said, affects=tuple(node.path for node in doubtful), remedy=_join(doubtful[0]))
    return unsure(f"{_seen(doubtful[0])}; whether this user may open it is not known here")


def _seen(node: DeviceNode) -> str:
    return f"{node.path} has mode {node.mode} and group {node.group}"


def _join(node: DeviceNode) -> Remedy | None:
    """Where the group may use the node, and is no group of administrators."""
    if node.group == "root" or int(node.mode[-2:-1] or "0", 8) & 6 != 6 or not NAME.fullmatch(node.group):
        return None
    return Remedy(
        text=f"add yourself to the group {node.group} and log in again (in a container: `--group-add`)",
        commands={"": (f'sudo usermod -aG {node.group} "$(id -un)"',)},
    )


def _member(user: User | None, node: DeviceNode) -> bool:
    """Whether a node's mode lets this user read and write it; NVML's success tells of an access list's."""
    if user is None or user.uid == 0:
        return user is not None
    return node.group in user.groups and int(node.mode[-2:-1] or "0", 8) & 6 == 6


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
        verify="gpucheck doctor --only driver",
    ),
)
