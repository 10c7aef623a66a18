"""Installed is not connected: the engine must know a way to a GPU, a CDI device, the nvidia runtime or the hook.

Otherwise: could not select device driver "" with capabilities: [[gpu]]; unknown or invalid runtime name: nvidia;
unresolvable CDI devices nvidia.com/gpu=all. Reloading dockerd is enough for a runtime and stops no container.
"""

from gpucheck.facts import ContainerToolkit, Docker, System, Version
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.scope import no_host

KIND = "nvidia.com/gpu"
CDI_BY_DEFAULT = Version("28.2")  # of Docker Engine; before that CDI is a feature to switch on
GENERATE = Remedy(
    text="write a CDI spec; run it again after every driver upgrade (toolkit 1.18 and later do that by themselves)",
    commands={
        "": (
            "sudo mkdir -p /etc/cdi",
            "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
            "nvidia-ctk cdi list",
        )
    },
    impact="persistent",
)


def judge(system: System, docker: Docker, container_toolkit: ContainerToolkit) -> Outcome:
    if reason := no_host(system):
        return skip(reason)
    specs = [spec.path for spec in container_toolkit.cdi_specs if spec.kind == KIND]
    podman = docker.product == "podman"
    offered = [device for device in docker.cdi_devices if device.startswith(KIND)]
    if offered:
        return ok(f"by CDI: the engine offers {offered[0]}")
    if specs and (podman or (docker.server and docker.server >= CDI_BY_DEFAULT)):
        return ok(f"by CDI: {specs[0]}")
    if podman:
        return bad("Podman gives GPUs by CDI, and there is no spec of nvidia.com/gpu", remedy=GENERATE)
    if "nvidia" in docker.runtimes:
        return ok("by the nvidia runtime")
    if container_toolkit.hook:
        return ok("by nvidia-container-runtime-hook")
    written = "; daemon.json has it, not yet read" if "nvidia" in container_toolkit.daemon_json else ""
    torn = f"; daemon.json: {container_toolkit.daemon_json_error}" if container_toolkit.daemon_json_error else ""
    return bad(f"no CDI device, no hook, and of runtimes only {', '.join(docker.runtimes) or 'none'}{written}{torn}")


RULE = Rule(
    id="container_toolkit.gpus-injectable",
    title="The engine can give GPUs to a container",
    judge=judge,
    after=("container_toolkit.installed", "docker.reachable"),
    remedy=Remedy(
        text="register the nvidia runtime with Docker and have it read its configuration again",
        commands={"": ("sudo nvidia-ctk runtime configure --runtime=docker", "sudo systemctl reload docker")},
        impact="persistent",
        url="https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html",
    ),
)
