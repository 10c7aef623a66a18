"""Programs reach the driver through /dev/nvidiactl and /dev/nvidia0, 1, ...; CUDA also through /dev/nvidia-uvm.

Without them NVML says "driver not loaded" and cuInit fails with 100 or 999. On a host they are made on first use; a
container has those that it was started with.
"""

import re

from gpucheck.facts import Driver, Nvml, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.scope import START_WITH_GPUS, count


def judge(system: System, driver: Driver, nvml: Nvml | None) -> Outcome:
    paths = {node.path for node in driver.devices}
    if system.wsl:
        return skip("WSL2 has /dev/dxg instead") if "/dev/dxg" in paths else bad("there is no /dev/dxg")
    gpus = sorted(path for path in paths if re.fullmatch(r"/dev/nvidia\d+", path))
    needed = ("/dev/nvidiactl", "/dev/nvidia-uvm") if system.container else ("/dev/nvidiactl",)
    missing = [path for path in needed if path not in paths] + ([] if gpus else ["/dev/nvidia0"])
    if missing and nvml and nvml.gpus and not system.container:
        return ok(f"NVML reached {count(len(nvml.gpus), 'GPU')}; {', '.join(missing)} came or comes on first use")
    if missing:
        return bad(f"not there: {', '.join(missing)}", remedy=START_WITH_GPUS if system.container else None)
    later = "" if "/dev/nvidia-uvm" in paths else "; /dev/nvidia-uvm comes on first use"
    return ok(f"/dev/nvidiactl and {count(len(gpus), 'GPU node')} are there{later}")


RULE = Rule(
    id="driver.device-nodes",
    title="The driver's device nodes are there",
    judge=judge,
    after=("driver.module-loaded",),
    remedy=Remedy(
        text="make them; nvidia-modprobe is the program that does it on first use, so look whether it is installed",
        commands={
            "debian": ("sudo apt-get install -y nvidia-modprobe", "sudo nvidia-modprobe -c 0 -u"),
            "": ("sudo nvidia-modprobe -c 0 -u",),
        },
    ),
)
