"""What rules about GPUs say alike: which of them, how many, the first by its number, and what NVML did not tell.

And which GPUs are to be expected: not those of another user's job, nor cards that this driver does not drive.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from gpucheck.compat import Compat
from gpucheck.facts import Driver, Gpu, Nvml, Pci, System, Version
from gpucheck.model import Remedy

HANDLE = "nvmlDeviceGetHandleByIndex"
NO_PERMISSION = 4
SCHEDULERS = {"SLURM_JOB_ID": "Slurm", "PBS_JOBID": "PBS", "LSB_JOBID": "LSF"}
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
        if withheld(gpu):
            continue
        error = next((error for error in gpu.errors if error.call.startswith((*calls, HANDLE))), None)
        if error:
            return f"GPU {gpu.index}: {error.call} gives {error.code} ({error.name})"
    return None


def withheld(gpu: Gpu) -> bool:
    """Whether it is somebody else's: a device cgroup, or the mode of its node, keeps this user from it."""
    return any(error.call.startswith(HANDLE) and error.code == NO_PERMISSION for error in gpu.errors)


def scheduler(system: System) -> str | None:
    """Who gives each job its share of the GPUs here, where this is a job."""
    return next((name for variable, name in SCHEDULERS.items() if variable in system.environment), None)


def expected(nvml: Nvml, pci: Pci, driver: Driver | None, compat: Compat) -> tuple[str, ...]:
    """The addresses of the GPUs that the driver has, and of those without a driver that it could have.

    A card too old for it, or not in our table, beside one that it drives, stays without: that is no fault.
    """
    version, is_open = nvml.driver_version, driver.open_module if driver else None
    had = {gpu.device_id for gpu in pci.gpus if gpu.driver == "nvidia"}

    def could(device_id: str) -> bool:
        capability = compat.capability_of_device(device_id)
        if device_id in had or not had:
            return True
        if capability is None or (version and compat.driver_serves(version, capability) is False):
            return False
        return is_open is None or compat.module_fits(capability, open_module=is_open)

    return tuple(
        gpu.address for gpu in pci.gpus if gpu.driver == "nvidia" or (gpu.driver is None and could(gpu.device_id))
    )


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
