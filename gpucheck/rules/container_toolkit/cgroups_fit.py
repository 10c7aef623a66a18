"""NVIDIA's hook opens the device cgroup of a container itself. A rootless engine may not, and no other may do without.

Rootless: bpf_prog_query(BPF_CGROUP_DEVICE) failed: operation not permitted. With no-cgroups = true where the engine is
root's: Failed to initialize NVML: Unknown Error, in every container. CDI needs neither.
"""

from gpucheck.facts import ContainerToolkit, Docker, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.engines import GUIDE, HAS_CTK, no_hook, own_toolkit
from gpucheck.rules.scope import no_host

SET, CLEAR = "nvidia-container-cli.no-cgroups", "nvidia-container-cli.no-cgroups=false"


def _write(value: str, text: str) -> Remedy:
    return Remedy(
        text=text,
        commands={"": (f"sudo nvidia-ctk config --set {value} --in-place",)},
        impact="none",
        precondition=f"{HAS_CTK[0]}, 1.14.4 or newer; older ones: in /etc/nvidia-container-runtime/config.toml by hand",
        check=HAS_CTK[1],
        verify="gpucheck doctor --only container_toolkit",
        url=GUIDE,
    )


def judge(system: System, docker: Docker, container_toolkit: ContainerToolkit) -> Outcome:
    if reason := no_host(system) or own_toolkit(system, docker) or no_hook(docker, container_toolkit):
        return skip(reason)
    if container_toolkit.no_cgroups is None:
        return unsure("/etc/nvidia-container-runtime/config.toml cannot be read")
    value = str(container_toolkit.no_cgroups).lower()
    kind = "rootless" if docker.rootless else "root's"
    if docker.rootless == container_toolkit.no_cgroups:
        return ok(f"no-cgroups is {value}, and the engine is {kind}")
    if docker.rootless:
        remedy = _write(SET, "have the hook leave cgroups alone; a Docker of root's beside it then needs CDI for GPUs")
    else:
        remedy = _write(CLEAR, "have the hook set cgroups again; a rootless Docker beside this one then needs CDI")
    return bad(f"no-cgroups is {value}, and the engine is {kind}: it takes {str(docker.rootless).lower()}",
               remedy=remedy)  # fmt: skip


RULE = Rule(
    id="container_toolkit.cgroups-fit",
    title="The hook sets device cgroups where, and only where, the engine may",
    judge=judge,
    after=("container_toolkit.gpus-injectable",),
)
