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
