"""What many rules say alike: where a question does not arise, how a container gets its GPUs, which GPUs these are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from gpucheck.facts import Driver, Library, System, Version
from gpucheck.model import Outcome, Remedy, skip, unsure

START_WITH_GPUS = Remedy(
    text="only the host can put this right: start the container again with its GPUs, `docker run --gpus all`, "
    "`podman run --device nvidia.com/gpu=all` or `apptainer run --nv`, and with "
    "NVIDIA_DRIVER_CAPABILITIES=compute,utility where that is set",
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
OPERATOR = "/run/nvidia/driver/"  # the root of the GPU Operator's driver container, seen from its host


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


def operators(driver: Driver | None) -> str | None:
    """Why nothing outside pods can use this driver, or None where that is not so."""
    paths = [library.path for library in driver.libraries] if driver else []
    if not paths or not all(path.startswith(OPERATOR) for path in paths):
        return None
    return f"the driver is in the GPU Operator's container ({paths[0]}): ask in a pod that was given a GPU"


def bus_unseen(system: System | None) -> Outcome:
    """Of a PCI bus that could not be looked at. Some containers are not shown any, gVisor's for one."""
    unseen = "the PCI bus could not be looked at"
    return skip(f"{unseen}; {no_host(system)}") if system and system.container else unsure(unseen)


def is_compat(system: System | None, driver: Driver, libcuda: Library) -> bool:
    """Whether this libcuda is the package cuda-compat's: a newer driver's, beside the libraries of the loaded one.

    libnvidia-container mounts it among these (compat_mode.c), where nothing but its version tells it from them.
    """
    newer = bool(libcuda.version and driver.version and libcuda.version > driver.version)
    return "/compat/" in libcuda.path or (newer and system is not None and system.container is not None)


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


def few(names: Iterable[str], most: int = 6) -> tuple[str, ...]:
    """Of thousands the first, as an outcome affects them."""
    all_of_them = tuple(names)
    return (*all_of_them[:most], "and others") if len(all_of_them) > most else all_of_them
