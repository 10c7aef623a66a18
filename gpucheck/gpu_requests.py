"""How to ask an engine for the GPUs: by CDI where it knows NVIDIA's devices, else by the container toolkit's hook."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpucheck.facts import Facts, Pci, Version
from gpucheck.model import Failure

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.types import DeviceRequest

ALL = "nvidia.com/gpu=all"
PODMAN_OBEYS = Version("5.4")  # older Podman takes such a request and ignores it (containers/podman#25171)


def every_gpu(client: DockerClient) -> list[DeviceRequest]:
    """The request for all GPUs. Raises Failure where the engine would ignore it."""
    from docker.types import DeviceRequest

    parts = {part["Name"]: part.get("Version") for part in client.version().get("Components") or ()}
    podman = parts.get("Podman Engine")
    if podman and Version(podman) < PODMAN_OBEYS:
        raise Failure(f"Podman {podman} ignores requests for GPUs", f"Podman {PODMAN_OBEYS} and newer obeys them", 1)
    if podman or knows_cdi(client.info()):
        return [DeviceRequest(driver="cdi", device_ids=[ALL])]
    return [DeviceRequest(count=-1, capabilities=[["gpu"]])]


def check_lent(environment: Mapping[str, str], facts: Facts) -> None:
    """Raises Failure in a job of Slurm's that has a part of this machine's GPUs: an engine would give it all of them.

    sbatch(1): SLURM_JOB_GPUS lists the job's on this node by their numbers there, whatever it may see.
    """
    lent = [each for each in environment.get("SLURM_JOB_GPUS", "").split(",") if each]
    pci = facts.known.get(Pci)
    number = len(pci.gpus) if pci else 0
    if lent and len(lent) < number:
        raise Failure(
            f"Slurm lent this job {len(lent)} of {number} GPUs ({','.join(lent):.60}), and a container would get all",
            "`--on host`, or a job that takes the node whole", 1,
        )  # fmt: skip


def knows_cdi(info: Mapping[str, Any]) -> bool:
    """Whether the engine has NVIDIA's CDI devices. Since API 1.50 it lists them; older ones only name their folders,
    which can be looked into where the engine is on this machine.
    """
    if info.get("DiscoveredDevices") is not None:
        return any(device["ID"].startswith("nvidia.com/gpu=") for device in info["DiscoveredDevices"])
    specs = [path for folder in info.get("CDISpecDirs") or () for path in Path(folder).glob("*.[yj]*")]
    return info.get("Name") == os.uname().nodename and any(map(_is_nvidias, specs))


def _is_nvidias(spec: Path) -> bool:
    """Not where the file cannot be read: then the engine's hook is asked."""
    try:
        return "nvidia.com/gpu" in spec.read_text()
    except (OSError, UnicodeDecodeError):
        return False
