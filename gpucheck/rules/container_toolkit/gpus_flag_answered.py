"""`docker run --gpus` asks for NVIDIA's driver by name. Docker looks for the toolkit's programs once, at its start.

Without: could not select device driver "" with capabilities: [[gpu]]; from Docker 29.3 on "AMD CDI spec not found",
whatever NVIDIA's CDI specs say. `--device nvidia.com/gpu=all` works by the specs alone.
"""

from gpucheck.facts import ContainerToolkit, Docker, Dockerd, System, Version
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip, unsure
from gpucheck.rules.engines import GUIDE, KIND, RESTART, RESTART_ROOTLESS, own_toolkit, saw, start
from gpucheck.rules.scope import no_host

BY_CDI = Version("29.0")  # --gpus is answered by CDI too, where nvidia-cdi-hook is here
DEVICE = Remedy(
    text="ask by `--device nvidia.com/gpu=all`; for --gpus too install the whole toolkit, and restart Docker", url=GUIDE
)


def judge(system: System, docker: Docker, container_toolkit: ContainerToolkit, dockerd: Dockerd | None) -> Outcome:
    if reason := no_host(system) or own_toolkit(system, docker):
        return skip(reason)
    if docker.product != "docker" or docker.server is None:
        return skip("no Docker Engine answers")
    if dockerd is None:
        return unsure("what the engine saw when it started is not known")
    offered = any(device.startswith(KIND) for device in docker.cdi_devices)
    other = ("nvidia-cdi-hook", dockerd.cdi_hook_changed) if docker.server >= BY_CDI and offered else ("", None)
    programs = [("nvidia-container-runtime-hook", dockerd.hook_changed), other]
    there = [(name, changed) for name, changed in programs if changed is not None]
    if not there and container_toolkit.hook:
        return unsure(
            "nvidia-container-runtime-hook is on this PATH and not in /usr/bin; the engine's PATH is not known"
        )
    if not there:
        name = "Docker from 29 on" if docker.server >= BY_CDI else f"Docker {docker.server}"
        return bad(f"neither of the programs is in /usr/bin by which {name} answers --gpus", remedy=DEVICE)
    seen = {name: saw(start(docker, dockerd), changed, dockerd.toolkit_born) for name, changed in there}
    if name := next((name for name, was in seen.items() if was), ""):
        return ok(f"by {name}, which was here when the engine started")
    if None in seen.values():
        return unsure(f"whether {there[0][0]} was here when the engine started is not known")
    return bad(
        f"{there[0][0]} was installed after the engine started, which looks for it once",
        remedy=RESTART_ROOTLESS if docker.rootless else RESTART,
    )


RULE = Rule(
    id="container_toolkit.gpus-flag-answered",
    title="Docker answers --gpus with NVIDIA's GPUs",
    severity=Severity.WARNING,
    judge=judge,
    after=("container_toolkit.gpus-injectable", "container_toolkit.cdi-fresh"),
)
