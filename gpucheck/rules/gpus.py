"""What rules about GPUs say alike: which of them, how many, the first by its number, and what NVML did not tell."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gpucheck.facts import Gpu, Version
from gpucheck.model import Remedy

HANDLE = "nvmlDeviceGetHandleByIndex"
RESET = (
    "end what runs on it, then `sudo nvidia-smi --gpu-reset -i N` with the GPU's number; GPUs of one NVSwitch board "
    "are reset together, without -i; where a reset is refused, restart the machine"
)


def which(found: Sequence[Gpu], told: Sequence[Gpu]) -> str:
    """ "GPU 0", "GPU 3 of 8", "5 of 8 GPUs (first: GPU 2)"."""
    first = f"GPU {found[0].index}"
    if len(found) == 1:
        return first if len(told) == 1 else f"{first} of {len(told)}"
    return f"{len(found)} of {len(told)} GPUs (first: {first})"


def names(gpus: Iterable[Gpu]) -> tuple[str, ...]:
    """For `affects`: what a script can use."""
    return tuple(gpu.uuid or f"GPU {gpu.index}" for gpu in gpus)


def untold(gpus: Iterable[Gpu], *calls: str) -> str | None:
    """What was asked and not answered, of the first GPU where one of these failed, or all: it gave no handle."""
    for gpu in gpus:
        error = next((error for error in gpu.errors if error.call.startswith((*calls, HANDLE))), None)
        if error:
            return f"GPU {gpu.index}: {error.call} gives {error.code} ({error.name})"
    return None


def install_fabric_manager(driver: Version | None) -> Remedy:
    exactly = f"{driver}" if driver else "the driver's version"
    debian = (
        "sudo apt-get update",
        f"sudo apt-get install -y 'nvidia-fabricmanager-{driver.major}={driver}*'",
        "sudo systemctl enable nvidia-fabricmanager",
        "sudo systemctl restart nvidia-fabricmanager",
    ) if driver else ()  # fmt: skip
    return Remedy(
        text=f"install the fabric manager of exactly {exactly}; NVIDIA's own repository calls the package "
        "nvidia-fabricmanager from 580 on, without a number",
        commands={**({"debian": debian} if debian else {}), "": ("cat /proc/driver/nvidia/version",)},
        impact="service",
        url="https://docs.nvidia.com/datacenter/tesla/fabric-manager-user-guide/index.html",
    )
