"""Container engines and what gives them GPUs."""

from __future__ import annotations

from gpucheck.facts.machine import DeviceNode
from gpucheck.facts.version import Version, fact


@fact
class Docker:
    client: Version | None
    server: Version | None
    product: str | None  # "docker" or "podman"
    api: Version | None
    error: str | None  # what the client said when no server answered
    context: str | None
    runtimes: tuple[str, ...]
    default_runtime: str | None
    cdi_spec_dirs: tuple[str, ...]
    cdi_devices: tuple[str, ...]
    cgroup_driver: str | None
    storage_driver: str | None
    rootless: bool
    warnings: tuple[str, ...]
    podman: Version | None = None  # its own command's, asked where no Docker Engine answered
    system: str | None = None  # the operating system that the engine says it is on: "Docker Desktop"
    kernel: str | None = None  # ... and its kernel's release
    snap: bool = False  # it is the snap docker
    cgroups: int | None = None  # version 1 or 2
    selinux: bool = False  # it labels its containers


@fact
class Dockerd:
    """The daemon as this machine shows it, whatever it says of itself. Times are seconds since 1970."""

    started: int | None  # None = no daemon of root's runs
    rootless_started: int | None  # one of this user's
    config: str | None  # another file than /etc/docker/daemon.json, by its command line
    unit: str | None  # docker.service, or the snap's where that alone is here; asked where no daemon runs
    state: str | None  # ... inactive, failed, masked, not-found, ...
    hook_changed: (
        int | None
    )  # /usr/bin/nvidia-container-runtime-hook was installed, or upgraded; None = it is not there
    cdi_hook_changed: int | None  # /usr/bin/nvidia-cdi-hook
    toolkit_born: (
        int | None
    )  # the toolkit's folder in /etc was made; None = not there, or its file system does not tell
    daemon_json_written: int | None


@fact
class CdiSpec:
    path: str
    error: str | None  # why it could not be parsed
    version: str | None
    kind: str | None  # nvidia.com/gpu
    devices: tuple[str, ...]
    missing_paths: tuple[str, ...]  # host paths it names that are not there
    driver_version: Version | None  # of the libraries it names
    device_nodes: tuple[DeviceNode, ...]  # where the spec itself gives major and minor


@fact
class ContainerToolkit:
    version: Version | None  # of nvidia-ctk
    hook: bool  # nvidia-container-runtime-hook is on PATH
    daemon_json: tuple[str, ...]  # runtimes that /etc/docker/daemon.json names
    daemon_json_error: str | None
    cdi_specs: tuple[CdiSpec, ...]
    no_cgroups: bool | None = False  # the hook leaves cgroups alone; None = its config.toml cannot be read


@fact
class Selinux:
    enforcing: bool
    devices_allowed: bool | None  # containers may use NVIDIA's device nodes; None = this policy has no such boolean
