"""The first faults again on Debian and Fedora, whose packages, and so whose fixes, are others than Ubuntu's."""

from __future__ import annotations

from tests.machines.constructed.basics import (
    DEBIAN_KERNEL,
    DESKTOP_NVML,
    DRIVER_NOT_LOADED,
    LAPTOP_KERNEL,
    NO_FRAMEWORK,
    REFUSED,
    REGISTERED,
)
from tests.machines.constructed.containers import base, on_kernel, podman
from tests.machines.constructed.software import KERAS, TF, environment, wheels
from tests.machines.parts import (
    DEBIAN_12,
    DEBIAN_FOLDER,
    FEDORA_41,
    OPEN,
    REDHAT_FOLDER,
    Described,
    engine,
    gpu,
    libraries,
    linux,
    loaded,
    module,
)

GPU = "0000:01:00.0"
DEBIAN_DRIVER, FEDORA_DRIVER = "535.183.01", "580.105.08"
NOUVEAU = Described(files={"/proc/modules": "nouveau 2527232 4 - Live 0x0\n"})
PODMAN = on_kernel(LAPTOP_KERNEL, podman("5.4.2"))


def debian(owner: str | None) -> Described:
    host = linux(DEBIAN_12, DEBIAN_KERNEL, cpus=16, memory_gib=62, devices=gpu(GPU, "10DE:2684", owner, "30000"))
    return host | engine("26.1.4", "1.45", CDISpecDirs=[]) | NO_FRAMEWORK | REGISTERED


def fedora(owner: str | None) -> Described:
    host = linux(FEDORA_41, LAPTOP_KERNEL, cpus=32, memory_gib=62, devices=gpu(GPU, "10DE:2757", owner, "30000"))
    return host | NO_FRAMEWORK


# akmods built and signed the module, and its key is enrolled.
AKMOD = (
    fedora("nvidia")
    | module(LAPTOP_KERNEL, FEDORA_DRIVER, "Dual MIT/GPL", "laptop_1700000000_0a1b2c3d")
    | loaded(OPEN, FEDORA_DRIVER, 1)
)

MACHINES: dict[str, Described] = {
    "no-driver-debian": debian("nouveau") | NOUVEAU,
    "no-driver-fedora": fedora("nouveau") | NOUVEAU | PODMAN | base("1.18.1"),
    # A new kernel came without its headers, so DKMS had nothing to build for.
    "no-module-for-kernel-debian": debian(None)
    | libraries(DEBIAN_FOLDER, DEBIAN_DRIVER)
    | Described(
        files={f"/lib/modules/{DEBIAN_KERNEL}/build": None},
        nvml="rtx4090-laptop",
        nvml_changes={**DESKTOP_NVML, REFUSED: DRIVER_NOT_LOADED},
    ),
    "no-module-for-kernel-fedora": fedora(None)
    | REGISTERED
    | libraries(REDHAT_FOLDER, FEDORA_DRIVER)
    | Described(
        files={f"/lib/modules/{LAPTOP_KERNEL}/build": None},
        nvml="rtx4090-laptop",
        nvml_changes={REFUSED: DRIVER_NOT_LOADED},
    ),
    # RPM Fusion's akmod-nvidia without xorg-x11-drv-nvidia-cuda: a picture, and neither CUDA nor nvidia-smi.
    "libcuda-not-installed": AKMOD | REGISTERED | environment(TF, KERAS, *wheels(nccl="2.27.7")),
    "podman-without-toolkit": AKMOD
    | libraries(REDHAT_FOLDER, FEDORA_DRIVER)
    | PODMAN
    | Described(nvml="rtx4090-laptop"),
}
