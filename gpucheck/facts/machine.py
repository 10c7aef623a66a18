"""The machine and NVIDIA's driver in it: what is true whatever NVML says."""

from __future__ import annotations

from collections.abc import Mapping

from gpucheck.facts.version import Version, fact


@fact
class System:
    os: str | None  # "Debian GNU/Linux 12 (bookworm)"
    os_family: str | None  # debian, rhel, suse, arch, ...: what a remedy's commands are keyed by
    os_id: str | None  # ubuntu, debian, rocky, ...
    kernel: str
    arch: str
    cpus: int | None
    memory_bytes: int | None
    shm_bytes: int | None  # size of /dev/shm
    container: str | None  # docker, podman, kubernetes, ...; None on a host
    wsl: bool
    environment: Mapping[str, str]  # only the variables that steer CUDA and the frameworks


@fact
class PciDevice:
    address: str  # 0000:3b:00.0
    device_id: str  # 2330, hexadecimal, lower case
    driver: str | None  # nvidia, nouveau, vfio-pci; None = nobody has it


@fact
class Pci:
    gpus: tuple[PciDevice, ...]  # NVIDIA's display and 3D controllers (class 03xx)
    nvswitches: tuple[PciDevice, ...]  # NVIDIA's bridges (class 0680)


@fact
class Kernel:
    release: str
    modules: tuple[str, ...]  # loaded, of those that matter to a GPU
    module_version: Version | None  # of the nvidia module built for this kernel, loaded or not
    module_licence: str | None  # "NVIDIA" (proprietary) or "Dual MIT/GPL" (open)
    module_signer: str | None
    headers: bool
    secure_boot: bool | None  # None = no UEFI variables here
    taints: int  # bit mask of /proc/sys/kernel/tainted


@fact
class Library:
    path: str
    version: Version | None  # from the file's real name


@fact
class DeviceNode:
    path: str
    major: int
    minor: int
    mode: str  # octal: "666"; "" = a CDI spec that does not say
    group: str


@fact
class Driver:
    version: Version | None  # of the loaded kernel module; None = not loaded
    open_module: bool | None
    libraries: tuple[Library, ...]  # libcuda, libnvidia-ml: the user-space half
    devices: tuple[DeviceNode, ...]  # /dev/nvidia*, /dev/dxg
    modprobe: bool = False  # nvidia-modprobe is installed setuid: it makes /dev/nvidia-uvm on first use
