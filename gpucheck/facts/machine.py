"""The machine and NVIDIA's driver in it: what is true whatever NVML says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

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
    platform: str = "Linux"  # as `uname -s` says: Darwin is macOS
    vendor: str | None = None  # of the machine, as its firmware says: "Dell Inc."; None also where that is masked
    product: str | None = None  # "Google Compute Engine", "Virtual Machine"
    hypervisor: str | None = None  # amazon, google, kvm, ...: who made this virtual machine; None = no sign of one
    jetson: str | None = None  # the board: "NVIDIA Jetson AGX Orin Developer Kit"
    colab: bool = False


@fact
class PciDevice:
    address: str  # 0000:3b:00.0
    device_id: str  # 2330, hexadecimal, lower case
    driver: str | None  # nvidia, nouveau, vfio-pci; None = nobody has it
    answers: bool | None = None  # None = asleep (D3cold), or this kernel does not tell
    power: str | None = None  # D0, D3hot, D3cold; of a kernel before 5.11 "suspended", or nothing
    link_speed: str | None = None  # "16.0 GT/s PCIe"; falls when idle
    link_speed_max: str | None = None  # of the GPU, whatever the slot
    link_width: int | None = None
    link_width_max: int | None = None
    unassigned: tuple[int, ...] | None = None  # memory regions (BARs) that the driver needs and that have no address


@fact
class Pci:
    gpus: tuple[PciDevice, ...]  # NVIDIA's display and 3D controllers (class 03xx)
    nvswitches: tuple[PciDevice, ...]  # NVIDIA's bridges (class 0680)


@fact
class PciBridges:
    """What switches between GPUs do with traffic from one to the other. Only root is told."""

    redirecting: tuple[str, ...] | None  # ports that send it through the CPU (ACS); None = fewer than two GPUs, or a VM


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
    enrolled: tuple[str, ...] | None = None  # the machine owner's keys; None = not asked, or not told
    module_error: str | None = None  # why it could not be asked which module is built


@fact
class FailedBuild:
    module: str  # nvidia/570.124.06
    kernel: str
    error: str | None  # the compiler's first error


@fact
class Dkms:
    failed: tuple[FailedBuild, ...]  # builds of an nvidia module that left their log behind: the last try failed


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
    parameters: Mapping[str, str] = field(default_factory=dict)  # of the loaded module, those that matter here
    hmm: bool | None = None  # nvidia_uvm may use HMM; None = it is not loaded, or too old to know


@fact
class DriverPackage:
    name: str
    version: Version  # of the driver in it
    held: bool  # kept from upgrades


@fact
class Upgrade:
    """The last change of the driver's packages that the package manager's log knows."""

    when: str  # 2026-11-20 06:32:11, local time
    by: str | None  # the program: unattended-upgrade, apt-get
    version: Version  # of the driver that it brought


@fact
class Packages:
    manager: str | None  # dpkg, rpm, pacman
    driver: tuple[DriverPackage, ...]
    upgrade: Upgrade | None
    runfile: bool  # NVIDIA's .run installer put a driver here: its log and its uninstaller are here
    runfile_version: Version | None = None


@fact
class User:
    uid: int
    groups: tuple[str, ...]


@fact
class Suspend:
    times: int | None  # since the machine started; None = this kernel does not count
    services: tuple[str, ...]  # of nvidia-suspend, nvidia-resume: those that systemd starts
