"""An engine drops a whole CDI spec that is newer than its CDI library: unresolvable CDI devices nvidia.com/gpu=all.

Toolkit 1.19.1 and later write version 0.7.0, because of additionalGids; Podman 4.9 of Ubuntu 24.04 reads up to 0.6.0:
json: unknown field "additionalGids".
"""

import re
import shlex

from gpucheck.compat import Compat
from gpucheck.facts import ContainerToolkit, Docker, System, Version
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.engines import CDI_GUIDE, HAS_CTK, by_cdi, folder_of, folders, nvidias, own_toolkit
from gpucheck.rules.scope import no_host

REFRESH_ENV = "/etc/nvidia-container-toolkit/nvidia-cdi-refresh.env"


def _again(path: str) -> Remedy:
    """Of a spec that somebody wrote by hand."""
    return Remedy(
        text="write it again in the older format; users in containers who are not root then miss the groups of device "
        "nodes; or upgrade the engine",
        commands={
            "": (
                "sudo nvidia-ctk cdi generate --feature-flag no-additional-gids-for-device-nodes "
                f"--output={shlex.quote(path)}",
                "nvidia-ctk cdi list",
            )
        },
        impact="none",
        precondition=HAS_CTK[0],
        check=HAS_CTK[1],
        verify="gpucheck doctor --only container_toolkit",
        url=CDI_GUIDE,
    )


def judge(system: System, docker: Docker, container_toolkit: ContainerToolkit, compat: Compat) -> Outcome:
    if reason := no_host(system) or own_toolkit(system, docker):
        return skip(reason)
    if docker.server is None:
        return skip("no engine answers")
    read = [spec for spec in nvidias(container_toolkit.cdi_specs) if folder_of(spec) in folders(docker)]
    if not read:
        return skip("there is no CDI spec of nvidia.com/gpu where the engine looks")
    name = "Podman" if docker.product == "podman" else "Docker Engine"
    for spec in read:
        version = Version(spec.version) if spec.version and re.match(r"[0-9]", spec.version) else None
        floor = compat.reads_cdi(docker.product or "docker", version) if version else None
        if floor and docker.server < floor:
            told = f"{spec.path} is CDI {version}; {name} {docker.server} reads none so new, {floor} does"
            if not by_cdi(docker, container_toolkit):
                return skip(f"{told}; it has another way to GPUs")
            refreshed = folder_of(spec) == "/run/cdi"
            return bad(told, affects=(spec.path,), remedy=None if refreshed else _again(spec.path))
    return ok(f"{name} {docker.server} reads CDI {', '.join(sorted({spec.version or '?' for spec in read}))}")


RULE = Rule(
    id="container_toolkit.cdi-understood",
    title="The engine reads CDI specs as new as these",
    judge=judge,
    after=("container_toolkit.installed", "docker.same-kernel"),
    remedy=Remedy(
        text="have it written in the older format, now and whenever it is refreshed; users in containers who are not "
        "root then miss the groups of device nodes; or upgrade the engine",
        commands={
            "": (
                "echo NVIDIA_CTK_CDI_GENERATE_FEATURE_FLAGS=no-additional-gids-for-device-nodes"
                f" | sudo tee -a {REFRESH_ENV}",
                "sudo systemctl restart nvidia-cdi-refresh.service",
                "nvidia-ctk cdi list",
            )
        },
        impact="none",
        precondition=f"{HAS_CTK[0]}, 1.18 or newer, whose service writes the specs",
        check=f"test -e {REFRESH_ENV}",
        verify="gpucheck doctor --only container_toolkit",
        url=CDI_GUIDE,
    ),
)
