"""What rules about engines say alike: where one is, which CDI devices it finds, what it saw when it started."""

from __future__ import annotations

from collections.abc import Iterable

from gpucheck.facts import CdiSpec, ContainerToolkit, Docker, Dockerd, System, Version
from gpucheck.model import Remedy

KIND = "nvidia.com/gpu"
CDI_FOLDERS = ("/etc/cdi", "/var/run/cdi")  # the CDI specification's own default, the stronger last
GUIDE = "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/install-guide.html"
CDI_GUIDE = "https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/cdi-support.html"
OWN_CDI = Version("1.18")  # the toolkit's runtime
TELLS_CDI = Version("28.2")  # Docker Engine tells which devices it found
HAS_CTK = ("nvidia-ctk is installed", "command -v nvidia-ctk")
RESTART = Remedy(
    text="restart Docker, which stops its containers unless live-restore is on",
    commands={"": ("sudo systemctl restart docker",)},
    impact="service",
    precondition="its containers may stop for a moment",
)
RESTART_ROOTLESS = Remedy(
    text="restart your rootless Docker, which stops its containers unless live-restore is on",
    commands={"": ("systemctl --user restart docker",)},
    impact="service",
    precondition="its containers may stop for a moment",
)


def is_desktop(docker: Docker) -> bool:
    return "Docker Desktop" in (docker.system or "") or docker.context == "desktop-linux"


def own_toolkit(system: System, docker: Docker | None) -> str | None:
    """Why an engine is not served by this system's toolkit, or None where it is."""
    if docker and is_desktop(docker):
        return f"Docker Desktop brings {'a toolkit of its own' if system.wsl else 'a virtual machine of its own'}"
    return "the snap docker brings a toolkit of its own" if docker and docker.snap else None


def cdi_device(docker: Docker, container_toolkit: ContainerToolkit) -> str | None:
    """A CDI device of NVIDIA's that Docker Engine has, or the spec where it is too old to say, and told to read it."""
    offered = next((device for device in docker.cdi_devices if device.startswith(KIND)), None)
    if offered or not docker.cdi_spec_dirs or docker.server is None or docker.server >= TELLS_CDI:
        return offered
    return next((spec.path for spec in in_use(docker, container_toolkit.cdi_specs)), None)


def by_cdi(docker: Docker, container_toolkit: ContainerToolkit) -> bool:
    """Whether CDI is this engine's one way to a GPU."""
    other = "nvidia" in docker.runtimes or container_toolkit.hook
    return docker.product == "podman" or (bool(docker.server) and not other)


def no_hook(docker: Docker, container_toolkit: ContainerToolkit) -> str | None:
    """Why GPUs do not come into containers by NVIDIA's hook, or None where they may."""
    if docker.product != "docker" or docker.server is None:
        return "no Docker Engine answers; Podman gives GPUs by CDI"
    if cdi_device(docker, container_toolkit):
        return "the engine has CDI devices: a container with --device nvidia.com/gpu=all has no hook"
    version = container_toolkit.version
    if docker.default_runtime == "nvidia" and version is not None and version >= OWN_CDI:
        return f"the nvidia runtime is the engine's default, which from {OWN_CDI} on makes CDI specs for itself"
    return None


def settings(docker: Docker, dockerd: Dockerd | None) -> str:
    """The daemon.json that the engine reads."""
    if docker.rootless:
        return "~/.config/docker/daemon.json"
    if docker.snap:
        return "/var/snap/docker/current/config/daemon.json"
    return (dockerd.config if dockerd else None) or "/etc/docker/daemon.json"


def start(docker: Docker, dockerd: Dockerd | None) -> int | None:
    """When the engine that answers was started; None where that is not known."""
    if dockerd is None or docker.product != "docker" or docker.snap or is_desktop(docker):
        return None
    return dockerd.rootless_started if docker.rootless else dockerd.started


def saw(started: int | None, changed: int | None, born: int | None) -> bool | None:
    """Whether a program of the toolkit's was there when an engine looked for it, at its start. None = not known.

    `born`: when the toolkit was first installed; an upgrade changes its programs alone.
    """
    if started is None or changed is None:
        return None
    if changed <= started or born is None:
        return True if changed <= started else None
    return born <= started


def folders(docker: Docker | None) -> tuple[str, ...]:
    """Where the engine looks for CDI specs, the stronger last."""
    told = docker.cdi_spec_dirs if docker and docker.cdi_spec_dirs else CDI_FOLDERS
    return tuple(map(real, told))


def nvidias(specs: Iterable[CdiSpec]) -> tuple[CdiSpec, ...]:
    return tuple(spec for spec in specs if spec.kind == KIND and not spec.error)


def folder_of(spec: CdiSpec) -> str:
    return real(spec.path.rpartition("/")[0])


def in_use(docker: Docker | None, specs: Iterable[CdiSpec]) -> tuple[CdiSpec, ...]:
    """NVIDIA's specs of which the engine takes a device: of a name in two folders the last folder's."""
    ranks = {folder: rank for rank, folder in enumerate(folders(docker))}
    read = [spec for spec in nvidias(specs) if folder_of(spec) in ranks]
    best: dict[str, int] = {}
    for spec in read:
        for name in spec.devices:
            best[name] = max(best.get(name, 0), ranks[folder_of(spec)])
    return tuple(spec for spec in read if any(best[name] == ranks[folder_of(spec)] for name in spec.devices))


def real(path: str) -> str:
    """/var/run is a link to /run."""
    return path.rstrip("/").replace("/var/run/", "/run/", 1)
