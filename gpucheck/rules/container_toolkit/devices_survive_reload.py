"""What NVIDIA's hook adds to a container's device cgroup systemd does not know of, and undoes at its daemon-reload.

Any package upgrade does one. The running container then says: Failed to initialize NVML: Unknown Error, and has its GPU
again only when it is made anew. Devices by CDI are the engine's own, and stay.
"""

from gpucheck.facts import ContainerToolkit, Docker, System
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip
from gpucheck.rules.engines import CDI_GUIDE, HAS_CTK, cdi_device, no_hook, own_toolkit
from gpucheck.rules.scope import no_host


def judge(system: System, docker: Docker, container_toolkit: ContainerToolkit) -> Outcome:
    if reason := no_host(system) or own_toolkit(system, docker):
        return skip(reason)
    if reason := no_hook(docker, container_toolkit):
        return ok(reason) if cdi_device(docker, container_toolkit) else skip(reason)
    if docker.rootless or container_toolkit.no_cgroups:
        return skip("the hook sets no cgroup here")
    if docker.cgroup_driver == "systemd":
        return bad("cgroups are systemd's, and GPUs come by NVIDIA's hook: a daemon-reload takes them away")
    return ok(f"cgroups are {docker.cgroup_driver or 'not systemd'}'s")


RULE = Rule(
    id="container_toolkit.devices-survive-reload",
    title="Running containers keep their GPUs when systemd reloads",
    severity=Severity.NOTE,
    judge=judge,
    after=("container_toolkit.gpus-injectable",),
    remedy=Remedy(
        text="let Docker, 28.2 or newer, give GPUs by CDI (`docker run --device nvidia.com/gpu=all`); or have it keep "
        'its cgroups itself: "exec-opts": ["native.cgroupdriver=cgroupfs"] in daemon.json, and restart it',
        commands={
            "": (
                "sudo mkdir -p /etc/cdi",
                "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml",
                "docker info --format '{{json .DiscoveredDevices}}'",
            )
        },
        impact="none",
        precondition=HAS_CTK[0],
        check=HAS_CTK[1],
        verify="gpucheck doctor --only container_toolkit",
        url=CDI_GUIDE.replace("cdi-support", "troubleshooting"),
    ),
)
