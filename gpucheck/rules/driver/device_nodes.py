"""Programs reach the driver through /dev/nvidiactl and /dev/nvidia0, 1, ...; CUDA also through /dev/nvidia-uvm.

Without them NVML says "driver not loaded" and cuInit fails with 100 or 999. On a host nvidia-modprobe, which is
setuid, makes them on first use; a container has those that it was started with.
"""

import re

from gpucheck.facts import Driver, Nvml, System, User
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.scope import START_WITH_GPUS, count, operators

UVM = "/dev/nvidia-uvm"
NOT_MADE = "without nvidia-modprobe (setuid) only root can make it"


def judge(system: System, driver: Driver, nvml: Nvml | None, user: User | None) -> Outcome:
    paths = {node.path for node in driver.devices}
    if system.wsl:
        return skip("WSL2 has /dev/dxg instead") if "/dev/dxg" in paths else bad("there is no /dev/dxg")
    gpus = sorted(path for path in paths if re.fullmatch(r"/dev/nvidia\d+", path))
    needed = ("/dev/nvidiactl", UVM) if system.container else ("/dev/nvidiactl",)
    missing = [path for path in needed if path not in paths] + ([] if gpus else ["/dev/nvidia0"])
    if missing and nvml and nvml.gpus and not system.container:
        reached = f"NVML reached {count(len(nvml.gpus), 'GPU')}, so {', '.join(missing)} came on first use"
        return ok(reached) if driver.modprobe or UVM in paths else _without_uvm(reached, user)
    if missing and (reason := operators(driver)):
        return skip(reason)
    if missing:
        return bad(f"not there: {', '.join(missing)}", remedy=START_WITH_GPUS if system.container else None)
    seen = f"/dev/nvidiactl and {count(len(gpus), 'GPU node')} are there"
    if UVM in paths:
        return ok(seen)
    if driver.modprobe:
        return ok(f"{seen}; nvidia-modprobe makes {UVM} on first use")
    return _without_uvm(seen, user)


def _without_uvm(seen: str, user: User | None) -> Outcome:
    said = f"{seen}, {UVM} is not; {NOT_MADE}"
    return bad(f"{said}, and this user is not root") if user and user.uid != 0 else unsure(said)


RULE = Rule(
    id="driver.device-nodes",
    title="The driver's device nodes are there",
    judge=judge,
    after=("driver.module-loaded", "system.container-given-gpus"),
    remedy=Remedy(
        text="make them, as root; nvidia-modprobe, where it is installed setuid, does it for everybody on first use",
        commands={
            "debian": ("sudo apt-get install -y nvidia-modprobe", "sudo nvidia-modprobe -c 0 -u"),
            "": ("sudo nvidia-modprobe -c 0 -u",),
        },
        precondition="the nvidia module is loaded",
        check="test -d /sys/module/nvidia",
        verify="gpucheck doctor --only driver",
    ),
)
