"""NCCL and data loaders share memory between processes by /dev/shm. A container has 64 MB of it unless given more.

Several GPUs then stop with: Error while creating shared memory segment /dev/shm/nccl-..., or unhandled system error.
"""

import re

from gpucheck.facts import Driver, System
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip, unsure
from gpucheck.rules.scope import count

NEEDED = 2**30


def judge(system: System, driver: Driver) -> Outcome:
    if system.container is None:
        return skip("this is no container, and a host's /dev/shm is half of its memory")
    gpus = sum(1 for node in driver.devices if re.fullmatch(r"/dev/nvidia\d+", node.path))
    if gpus < 2:
        return skip(f"{count(gpus, 'GPU')} in this container, and one shares nothing with another")
    if system.shm_bytes is None:
        return unsure("the size of /dev/shm is not known")
    told = f"{system.shm_bytes // 2**20} MiB of shared memory for {gpus} GPUs"
    return ok(told) if system.shm_bytes >= NEEDED else bad(f"{told}; {NEEDED // 2**20} MiB is what NCCL asks for")


RULE = Rule(
    id="system.shm-large-enough",
    title="Shared memory is large enough for several GPUs",
    severity=Severity.WARNING,
    judge=judge,
    after=("driver.device-nodes",),
    remedy=Remedy(
        text="only the host can put this right: start the container again with `--shm-size=1g`, or `--ipc=host`; in "
        'Kubernetes mount an emptyDir with medium "Memory" at /dev/shm',
        impact="data",
        verify="gpucheck doctor --only system",
        url="https://docs.nvidia.com/deeplearning/nccl/user-guide/docs/troubleshooting.html",
    ),
)
