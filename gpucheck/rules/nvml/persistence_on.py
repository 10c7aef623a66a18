"""Without persistence mode the driver lets a GPU go when its last program ends, and wakes it for the next.

Each start then takes seconds more, and settings such as clocks are lost. nvidia-persistenced keeps it. A display, as
on a desktop or a laptop, does that too; and a laptop saves power without.
"""

from gpucheck.facts import Nvml, System
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip, unsure
from gpucheck.rules.gpus import names, untold, which
from gpucheck.rules.scope import count


def judge(system: System, nvml: Nvml) -> Outcome:
    if system.wsl:
        return skip("in WSL2 the driver is Windows' own")
    servers = [gpu for gpu in nvml.gpus if not (gpu.brand or "GeForce").startswith(("GeForce", "Titan"))]
    told = [gpu for gpu in servers if gpu.persistence is not None]
    found = [gpu for gpu in told if not gpu.persistence]
    if found:
        return bad(f"persistence mode is off on {which(found, told)}", affects=names(found))
    if reason := untold(nvml.gpus, "nvmlDeviceGetPersistenceMode"):
        return unsure(reason)
    return ok(f"on for {count(len(told), 'GPU')}") if told else skip("no GPU of a server here")


RULE = Rule(
    id="nvml.persistence-on",
    title="The driver keeps idle GPUs awake",
    judge=judge,
    severity=Severity.NOTE,
    after=("nvml.answers",),
    remedy=Remedy(
        text="start the daemon that keeps them; on the host, where this is a container",
        commands={"": ("sudo systemctl enable --now nvidia-persistenced",)},
        precondition="nvidia-persistenced is installed",
        check="systemctl cat nvidia-persistenced",
        impact="service",
        verify="gpucheck doctor --only nvml",
        url="https://docs.nvidia.com/deploy/driver-persistence/index.html",
    ),
)
