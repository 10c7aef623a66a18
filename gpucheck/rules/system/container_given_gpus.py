"""A container sees the host's PCI bus and kernel module, but only those GPUs that it was started with.

Without any, /dev has no nvidia0, and nvidia-smi is "not found" or says "couldn't communicate with the NVIDIA driver".
NVIDIA_VISIBLE_DEVICES=none or void asks for no GPU; CDI sets void too, and gives GPUs.
"""

import re

from gpucheck.facts import Driver, Nvml, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.scope import START_WITH_GPUS, count

NONE = ("", "none", "void")
REQUEST = Remedy(
    text="only the pod's specification can put this right: ask for `nvidia.com/gpu: 1` under resources.limits, on a "
    "cluster whose nodes offer it (`kubectl describe nodes` lists nvidia.com/gpu)",
    impact="service",
    url="https://kubernetes.io/docs/tasks/manage-gpus/scheduling-gpus/",
)


def judge(system: System, driver: Driver | None, nvml: Nvml | None) -> Outcome:
    if system.container is None or system.wsl:
        return skip("this is no container" if system.container is None else "WSL2 has /dev/dxg instead")
    nodes = [node for node in driver.devices if re.fullmatch(r"/dev/nvidia\d+", node.path)] if driver else []
    if nodes or (nvml and nvml.gpus):
        return ok(
            f"this container ({system.container}) has {count(len(nodes) or len(nvml.gpus if nvml else ()), 'GPU')}"
        )
    if driver is None:
        return unsure("whether this container has GPUs could not be looked at")
    given = system.environment.get("NVIDIA_VISIBLE_DEVICES")
    why = f": NVIDIA_VISIBLE_DEVICES is '{given}'" if given in NONE else ""
    kubernetes = system.container in ("kubernetes", "kubepods")
    remedy = REQUEST if kubernetes else START_WITH_GPUS
    return bad(f"this container ({system.container}) was started without a GPU{why}", remedy=remedy)


RULE = Rule(
    id="system.container-given-gpus",
    title="The container was given a GPU",
    judge=judge,
    after=("pci.gpu-present", "driver.module-loaded"),
    remedy=START_WITH_GPUS,
)
