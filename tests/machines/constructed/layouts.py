"""Healthy systems whose driver, or what tells of it, is in other places than a distribution's."""

from __future__ import annotations

from gpucheck.host import Result
from gpucheck.probes import kernel_log, linker, pci, user
from tests.machines.constructed.basics import DESKTOP_NVML, T4_KERNEL
from tests.machines.constructed.places import DRIVER, ETC, MODULE, T4_DEVICE, T4_NVML, WITH_T4, container
from tests.machines.constructed.software import library_path
from tests.machines.parts import (
    DEBIAN_12,
    DEBIAN_FOLDER,
    OPEN,
    UBUNTU_2204,
    Described,
    done,
    gpu,
    libraries,
    linux,
    loaded,
    python,
)

NAMES = ("libcuda.so", "libnvidia-ml.so")
TORCH = python("/opt/conda/bin/python3", "torch-2.9.1+cu126.dist-info")

# `apptainer exec --nv`: the real files are bound to the names of their links, so no name tells a version.
SINGULARITY = "/.singularity.d/libs"
BOUND = {f"{name}.1": f"{SINGULARITY}/{name}.1" for name in NAMES}
APPTAINER = (
    container(UBUNTU_2204, T4_KERNEL, T4_DEVICE)
    | loaded(OPEN, DRIVER, 1)
    | T4_NVML
    | TORCH
    | library_path({SINGULARITY: {"libcuda.so.1": BOUND["libcuda.so.1"]}})
    | Described(
        files={
            "/.dockerenv": None,
            "/.singularity.d": "actions\nenv\nlabels.json\nlibs\nrunscript\nstartscript\n",
            "/proc/mounts": f"overlay / overlay rw,relatime 0 0\ntmpfs /dev/shm tmpfs rw,nosuid,nodev 0 0\n{ETC}",
        },
        links={path: path for path in BOUND.values()},
        runs={user.COMMAND: done("uid=1000(user) gid=1000(user) groups=1000(user)\n")},
    )
)

# runsc's own kernel: it has no modules, no PCI bus and no /proc/driver, and hands the GPU's device nodes on.
GVISOR_KERNEL = "4.4.0"
GVISOR = (
    container(DEBIAN_12, GVISOR_KERNEL, {})
    | loaded(OPEN, DRIVER, 1)
    | libraries(DEBIAN_FOLDER, DRIVER)
    | T4_NVML
    | TORCH
    | Described(
        files={
            "/proc/driver/nvidia/version": None, "/proc/modules": None, "/proc/sys/kernel/tainted": None,
            pci.DEVICES: None,
        },
        runs={
            kernel_log.DMESG: done(
                "[    0.000000] Starting gVisor...\n[    0.354495] Daemonizing children...\n"
                "[    1.479987] Committing treasure map to memory...\n[    2.187453] Ready!\n"
            )
        },
    )
)  # fmt: skip

# libnvidia-container mounts the image's cuda-compat among the host's libraries; ldconfig takes the newest of a name.
COMPAT = "580.65.06"
COMPAT_MOUNTED = (
    WITH_T4
    | python("/usr/bin/python3", "torch-2.9.1+cu130.dist-info")
    | Described(
        links={f"{DEBIAN_FOLDER}/libcuda.so.1": f"{DEBIAN_FOLDER}/libcuda.so.{COMPAT}"},
        nvml_changes={"system.cuda_version": 13000},
    )
)

NIX_DRIVER, NIX_KERNEL = "570.153.02", "6.12.42"
NIX_STORE = f"/nix/store/a6kbivfsa0rscf11l4373v80c5c6l6na-nvidia-x11-{NIX_DRIVER}-{NIX_KERNEL}/lib"
NIXOS = (
    linux(
        'NAME=NixOS\nID=nixos\nVERSION_ID="25.05"\nPRETTY_NAME="NixOS 25.05 (Warbler)"\n', NIX_KERNEL, cpus=16,
        memory_gib=62, devices=gpu("0000:01:00.0", "10DE:2684", "nvidia", "30000"),
    )
    | loaded(OPEN, NIX_DRIVER, 1)
    | python("/run/current-system/sw/bin/python3", "torch-2.9.1+cu128.dist-info")
    | Described(
        files={f"/lib/modules/{NIX_KERNEL}": None, f"/lib/modules/{NIX_KERNEL}/build": None, "/usr/local": None},
        links={f"/run/opengl-driver/lib/{name}.1": f"{NIX_STORE}/{name}.{NIX_DRIVER}" for name in NAMES},
        runs={linker.CACHE: Result(code=127, out="", err="")},
        nvml="rtx4090-laptop",
        nvml_changes={
            **DESKTOP_NVML, "system.driver_version": NIX_DRIVER, "system.nvml_version": f"12.{NIX_DRIVER}",
        },
    )
)  # fmt: skip

# Module and device nodes are the driver container's work; nothing of it is in the node's own /usr and /dev.
OPERATORS_FOLDER = "/run/nvidia/driver/usr/lib/x86_64-linux-gnu"
OPERATORS_NODE = (
    linux(UBUNTU_2204, T4_KERNEL, cpus=8, memory_gib=62, devices=gpu("0000:3b:00.0", "10DE:1EB8"))
    | MODULE
    | python("/usr/bin/python3")
    | Described(links={f"{OPERATORS_FOLDER}/{name}.1": f"{OPERATORS_FOLDER}/{name}.{DRIVER}" for name in NAMES})
)

MACHINES: dict[str, Described] = {
    "apptainer-with-t4": APPTAINER,
    "container-in-gvisor": GVISOR,
    "container-with-compat-mounted": COMPAT_MOUNTED,
    "nixos-desktop": NIXOS,
    "node-of-gpu-operator": OPERATORS_NODE,
}
