"""SELinux keeps containers from NVIDIA's device nodes where these come in with the host's label.

So they do with a rootless Podman and with NVIDIA's hook: Failed to initialize NVML: Insufficient Permissions.
"""

from gpucheck.facts import Docker, Selinux, System
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip
from gpucheck.rules.scope import no_host

OPTION = "start containers with `--security-opt=label=disable`, as gpucheck does; it takes SELinux off that container"
BOOLEAN = Remedy(
    text=f"{OPTION}; or allow all containers these devices",
    commands={"": ("sudo setsebool -P container_use_xserver_devices on",)},
    impact="none",
    precondition="the policy has that boolean",
    check="getsebool container_use_xserver_devices",
    verify="gpucheck doctor --only container_toolkit",
    url="https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/troubleshooting.html",
)


def judge(system: System, docker: Docker, selinux: Selinux) -> Outcome:
    if reason := no_host(system):
        return skip(reason)
    if not selinux.enforcing:
        return skip("SELinux does not enforce here")
    if not docker.selinux:
        return skip("the engine does not label its containers")
    if docker.product == "podman" and not docker.rootless:
        return skip("Podman of root's makes device nodes in the container, with its label")
    if selinux.devices_allowed:
        return ok("container_use_xserver_devices is on")
    engine = "rootless Podman" if docker.product == "podman" else "Docker"
    told = "container_use_xserver_devices is off" if selinux.devices_allowed is False else "no boolean allows it"
    return bad(
        f"SELinux enforces, {engine} labels its containers, and {told}",
        remedy=BOOLEAN if selinux.devices_allowed is False else None,
    )


RULE = Rule(
    id="container_toolkit.selinux-allows-devices",
    title="SELinux lets containers use the GPUs' device nodes",
    severity=Severity.WARNING,
    judge=judge,
    after=("container_toolkit.gpus-injectable",),
    remedy=Remedy(text=OPTION, verify="gpucheck doctor --only container_toolkit", url=BOOLEAN.url),
)
