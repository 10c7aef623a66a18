"""What many rules say alike: where a question does not arise, how a container gets its GPUs, which GPUs these are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from gpucheck.facts import System, Version
from gpucheck.model import Remedy

START_WITH_GPUS = Remedy(
    text="only the host can put this right: start the container again with its GPUs, `docker run --gpus all` or "
    "`podman run --device nvidia.com/gpu=all`, and with NVIDIA_DRIVER_CAPABILITIES=compute,utility where that is set",
    impact="service",
    url="https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html",
)

TWO_INSTALLERS = Remedy(
    text="keep one of the two, best the packages: run `sudo nvidia-uninstall`, the .run file's own, then install the "
    "packages of the driver again over what it took with it, and reboot",
    commands={
        "debian": ("dpkg -l | grep -E 'nvidia|libcuda'", "head -n 3 /var/log/nvidia-installer.log"),
        "rhel": ("rpm -qa | grep -i nvidia", "head -n 3 /var/log/nvidia-installer.log"),
        "": ("head -n 3 /var/log/nvidia-installer.log",),
    },
    impact="reboot",
    url="https://docs.nvidia.com/datacenter/tesla/driver-installation-guide/index.html",
)

UBUNTU_DRIVER = (
    "sudo apt-get update",
    "sudo apt-get install -y ubuntu-drivers-common",
    "sudo ubuntu-drivers install",
)
NO_GPU = "no GPU here is in our table"


def no_host_kernel(system: System) -> str | None:
    """Why the kernel's modules say nothing here, or None where they do."""
    if system.wsl:
        return "in WSL2 the driver is Windows' own"
    if system.container:
        return f"only the host of this container ({system.container}) can tell"
    return None


def no_host(system: System) -> str | None:
    """Why this is not a place to run containers from, or None where it is."""
    return f"only the host of this container ({system.container}) can tell" if system.container else None


def listed(versions: Iterable[Version]) -> str:
    """Each once, in order: "7.5, 8.6"."""
    return ", ".join(map(str, sorted(set(versions))))


def fitting(
    gpus: Mapping[str, Version], fits: Callable[[Version], bool | None]
) -> tuple[bool | None, dict[str, Version]]:
    """False and the GPUs that do not fit; else None and those of which a table tells nothing; else True and all."""
    told = {gpu: fits(capability) for gpu, capability in gpus.items()}
    verdict = False if False in told.values() else None if None in told.values() or not told else True
    return verdict, {gpu: gpus[gpu] for gpu, fit in told.items() if fit is verdict}


def not_in_table(gpus: Mapping[str, Version], what: str) -> str:
    """Why there is no answer: which compute capability is not known to go with `what`, "cuDNN 8.0"."""
    return f"{what} with compute capability {listed(gpus.values())} is not in our table" if gpus else NO_GPU


def count(number: int, noun: str, plural: str = "s") -> str:
    """ "1 GPU", "2 GPUs"; `plural` is what the noun takes at its end."""
    return f"{number} {noun}{'' if number == 1 else plural}"
