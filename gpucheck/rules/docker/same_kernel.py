"""Containers have the GPUs of the kernel that they run on. An engine in a virtual machine, or elsewhere, has another.

Docker Desktop on Linux is a virtual machine without GPUs: could not select device driver "" with capabilities: [[gpu]],
or load library failed: libnvidia-ml.so.1, however well this machine's own driver works. On WSL2 it has the GPUs.
"""

from gpucheck.facts import Docker, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.engines import is_desktop
from gpucheck.rules.scope import no_host

NATIVE = Remedy(
    text="take the engine of this machine: install Docker Engine beside Docker Desktop if it is not here, then choose "
    "its context",
    commands={"": ("docker context use default", "docker context ls")},
    precondition="Docker Engine itself runs here",
    check="docker --context default version",
    verify="gpucheck doctor --only docker",
    url="https://docs.docker.com/engine/install/",
)


def judge(system: System, docker: Docker) -> Outcome:
    if reason := no_host(system):
        return skip(reason)
    if not docker.server:
        return skip("no engine answers")
    if docker.kernel is None:
        return unsure("the engine does not say which kernel it runs on")
    if docker.kernel == system.kernel:
        return ok(f"kernel {docker.kernel}")
    where = "Docker Desktop's virtual machine" if is_desktop(docker) else f"the engine of context {docker.context}"
    return bad(
        f"{where} has kernel {docker.kernel}; this machine has {system.kernel}",
        remedy=NATIVE if is_desktop(docker) else None,
    )


RULE = Rule(
    id="docker.same-kernel",
    title="The engine's containers run on this machine's kernel",
    judge=judge,
    after=("pci.gpu-present", "docker.reachable"),
    remedy=Remedy(
        text="for this machine's GPUs take its own engine: `docker context use default`, and unset DOCKER_HOST; for "
        "those of the engine's machine run gpucheck there",
        commands={"": ("docker context ls", "env -u DOCKER_HOST docker --context default version")},
        verify="gpucheck doctor --only docker",
    ),
)
