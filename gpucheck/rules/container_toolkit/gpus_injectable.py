"""Installed is not connected: the engine must know a way to a GPU, a CDI device, the nvidia runtime or the hook.

Otherwise: could not select device driver "" with capabilities: [[gpu]]; unknown or invalid runtime name: nvidia;
unresolvable CDI devices nvidia.com/gpu=all. Reloading dockerd is enough for --runtime=nvidia; for `--gpus` it looks for
the hook once, when it starts, and in its own PATH: an engine in a virtual machine has another.
"""

from gpucheck.facts import ContainerToolkit, Docker, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.scope import no_host

KIND = "nvidia.com/gpu"
GUIDE = "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html"
GENERATE = Remedy(
    text="write a CDI spec; run it again after every driver upgrade (toolkit 1.18 and later do that by themselves)",
    commands={
        "": (
            "sudo mkdir -p /etc/cdi",
            "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
            "nvidia-ctk cdi list",
        )
    },
    impact="none",
)
ROOTLESS = Remedy(
    text="register the nvidia runtime with your rootless Docker, and leave cgroups, which it may not set, alone; "
    "restarting the engine stops your containers",
    commands={
        "": (
            'nvidia-ctk runtime configure --runtime=docker --config="$HOME/.config/docker/daemon.json"',
            "systemctl --user restart docker",
            "sudo nvidia-ctk config --set nvidia-container-cli.no-cgroups --in-place",
        )
    },
    impact="none",
    url=GUIDE,
)


def judge(system: System, docker: Docker, container_toolkit: ContainerToolkit) -> Outcome:
    if reason := no_host(system):
        return skip(reason)
    specs = [spec.path for spec in container_toolkit.cdi_specs if spec.kind == KIND and not spec.error]
    offered = [device for device in docker.cdi_devices if device.startswith(KIND)]
    if offered:
        return ok(f"by CDI: the engine offers {offered[0]}")
    if docker.product == "podman":  # reads the specs itself, each time; Docker Engine says what it read
        if specs:
            return ok(f"by CDI: {specs[0]}")
        return bad("Podman gives GPUs by CDI, and there is no spec of nvidia.com/gpu", remedy=GENERATE)
    if "nvidia" in docker.runtimes:
        return ok("by the nvidia runtime")
    if container_toolkit.hook:
        return unsure(
            "nvidia-container-runtime-hook is on this PATH; whether the engine found it when it started is not known: "
            "restart Docker, then start a container with its GPUs"
        )
    written = "; daemon.json has it, not yet read" if "nvidia" in container_toolkit.daemon_json else ""
    torn = f"; daemon.json: {container_toolkit.daemon_json_error}" if container_toolkit.daemon_json_error else ""
    unread = f"; {specs[0]} is here, not read by it" if specs else ""
    return bad(
        f"no CDI device, no hook, and of runtimes only {', '.join(docker.runtimes) or 'none'}{unread}{written}{torn}",
        remedy=ROOTLESS if docker.rootless else None,
    )


RULE = Rule(
    id="container_toolkit.gpus-injectable",
    title="The engine can give GPUs to a container",
    judge=judge,
    after=("container_toolkit.installed", "docker.reachable"),
    remedy=Remedy(
        text="register the nvidia runtime with Docker and restart it, which stops containers unless live-restore is on",
        commands={"": ("sudo nvidia-ctk runtime configure --runtime=docker", "sudo systemctl restart docker")},
        impact="none",
        url=GUIDE,
    ),
)
