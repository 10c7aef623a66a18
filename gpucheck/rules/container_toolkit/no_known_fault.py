"""Some versions of the NVIDIA Container Toolkit are known to break containers with GPUs; their issues say which."""

from gpucheck.compat import Compat
from gpucheck.facts import ContainerToolkit, Docker, System
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip
from gpucheck.rules.engines import GUIDE, no_hook, own_toolkit
from gpucheck.rules.scope import no_host


def judge(system: System, docker: Docker, container_toolkit: ContainerToolkit, compat: Compat) -> Outcome:
    if reason := no_host(system) or own_toolkit(system, docker):
        return skip(reason)
    version = container_toolkit.version
    if version is None:
        return skip("there is no nvidia-ctk to ask for a version")
    if reason := no_hook(docker, container_toolkit):
        return skip(reason)
    for fault in compat.faults_of_toolkit(version):
        here = fault.rootless in (None, docker.rootless) and fault.cgroups in (None, docker.cgroups)
        if here:
            return bad(f"toolkit {version} {fault.says}")
    return ok(f"toolkit {version} is none of those known to break containers")


RULE = Rule(
    id="container_toolkit.no-known-fault",
    title="The NVIDIA Container Toolkit is no version with a known fault",
    severity=Severity.WARNING,
    judge=judge,
    after=("container_toolkit.installed", "docker.reachable"),
    remedy=Remedy(
        text="upgrade it, all its packages to one version; where the newest does the same take CDI, which has no hook",
        commands={
            "debian": (
                "sudo apt-get update",
                "sudo apt-get install -y --only-upgrade nvidia-container-toolkit nvidia-container-toolkit-base "
                "libnvidia-container-tools libnvidia-container1",
            ),
            "rhel": ("sudo dnf upgrade -y 'nvidia-container-toolkit*' 'libnvidia-container*'",),
        },
        impact="none",
        precondition="it came from NVIDIA's repository",
        check="command -v nvidia-ctk",
        verify="gpucheck doctor --only container_toolkit",
        url=GUIDE,
    ),
)
