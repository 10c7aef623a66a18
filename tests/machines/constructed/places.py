"""Where gpucheck runs: containers, WSL, Colab, Jetson, cloud machines, and systems that are not supported."""

from __future__ import annotations

from gpucheck.host import Result
from gpucheck.probes import kernel_log, linker, services, system, user
from tests.machines.constructed.basics import DEBIAN_KERNEL, LIB_RM_VERSION_MISMATCH, WSL
from tests.machines.constructed.branches import CUDA_13
from tests.machines.constructed.hardware import A100_GPUS, A100_SWITCHES, KERNEL
from tests.machines.constructed.software import CUDA_CACHE, KERAS, TF, environment, library_path, variables
from tests.machines.parts import (
    DEBIAN_12,
    DEBIAN_FOLDER,
    OPEN,
    PROPRIETARY,
    UBUNTU_2204,
    UBUNTU_2404,
    Described,
    cache,
    done,
    gpu,
    libraries,
    linux,
    loaded,
    python,
    rented,
)

VM_KERNEL = "6.8.0-1021-gcp"
DRIVER = "570.124.06"
ROOT = done("uid=0(root) gid=0(root) groups=0(root)\n")
NO_DMESG = Result(code=1, out="", err="dmesg: read kernel buffer failed: Operation not permitted\n")
ETC = "".join(f"/dev/sda1 /etc/{name} ext4 rw,relatime 0 0\n" for name in ("resolv.conf", "hostname", "hosts"))
MOUNTS = f"overlay / overlay rw,relatime 0 0\nshm /dev/shm tmpfs rw,nosuid,nodev,noexec,relatime,size=65536k 0 0\n{ETC}"
T4_DEVICE = gpu("0000:00:04.0", "10DE:1EB8")
T4_NVML = Described(
    nvml="t4",
    nvml_changes={
        "gpu.retired_pending": 0, "system.driver_version": DRIVER, "system.nvml_version": f"12.{DRIVER}",
        "system.cuda_version": 12080,
    },
)  # fmt: skip


def container(
    os_release: str, release: str, devices: dict[str, str], files: dict[str, str | None] | None = None
) -> Described:
    """What a container sees of its host: kernel, PCI bus, /proc/driver; no modules of its own, no kernel log."""
    host = linux(os_release, release, cpus=4, memory_gib=16, devices=devices)
    return host | Described(
        files={
            "/.dockerenv": "", "/proc/mounts": MOUNTS, f"/lib/modules/{release}": None, "/proc/1/cgroup": "0::/\n",
            f"/lib/modules/{release}/build": None, **(files or {}),
        },
        runs={user.COMMAND: ROOT, kernel_log.DMESG: NO_DMESG},
    )  # fmt: skip


MODULE = Described(
    files={
        "/proc/driver/nvidia/version": f"NVRM version: {OPEN.format(DRIVER)}\nGCC version:  gcc version 12.3.0\n",
        "/proc/modules": "nvidia_uvm 1 0 - Live 0x0 (OE)\nnvidia 1 1 nvidia_uvm, Live 0x0 (OE)\n",
    }
)
IN_DOCKER = container(DEBIAN_12, VM_KERNEL, T4_DEVICE)
WITH_T4 = IN_DOCKER | loaded(OPEN, DRIVER, 1) | libraries(DEBIAN_FOLDER, DRIVER) | T4_NVML
TENSORFLOW = environment(TF, KERAS) | Described(runs=CUDA_CACHE)
POD = Described(files={"/.dockerenv": None, "/proc/mounts": f"{MOUNTS}/dev/sda1 /dev/termination-log ext4 rw 0 0\n"})
GIVEN = {"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"}

# An image of NVIDIA's with CUDA 13 on a host with driver 570: the toolkit's hook puts the image's own, newer libcuda
# first, as /etc/ld.so.conf.d/00-compat-*.conf. The image's PyTorch was built by NVIDIA.
COMPAT = "/usr/local/cuda/compat/libcuda.so.1"
NGC_TORCH = "torch-2.9.0a0+50eac811a6.nv25.9.dist-info"
NGC_IMAGE = (
    CUDA_13
    | python("/usr/bin/python3", NGC_TORCH, files={"torch/version.py": "cuda: Optional[str] = '13.0'\n"})
    | Described(
        runs={linker.CACHE: cache(COMPAT, f"{DEBIAN_FOLDER}/libcuda.so.1")},
        links={COMPAT: "/usr/local/cuda-13.0/compat/libcuda.so.580.82.07"},
        nvml_changes={"system.cuda_version": 13000},
    )
)

# Google's device plugin mounts the node's driver at /usr/local/nvidia; NVIDIA's puts it where CDI or the hook does.
GKE_FOLDER = "/usr/local/nvidia/lib64"
GKE_LINKS = {f"{GKE_FOLDER}/{name}.so.1": f"{GKE_FOLDER}/{name}.so.{DRIVER}" for name in ("libcuda", "libnvidia-ml")}

COLAB_FOLDER = "/usr/lib64-nvidia"
COLAB_DRIVER = "550.54.15"
COLAB_VARIABLES = {"COLAB_RELEASE_TAG": "release-colab_20261118-060048_RC00", "COLAB_GPU": ""}
COLAB = container(UBUNTU_2204, "6.6.105+", {}) | rented("gcp", "n1-standard-2")
COLAB_LINKS = {
    f"{COLAB_FOLDER}/{name}.so.1": f"{COLAB_FOLDER}/{name}.so.{COLAB_DRIVER}" for name in ("libcuda", "libnvidia-ml")
}
COLAB_T4 = (
    container(UBUNTU_2204, "6.6.105+", T4_DEVICE)
    | rented("gcp", "n1-standard-2")
    | loaded(PROPRIETARY, COLAB_DRIVER, 1)
    | library_path({COLAB_FOLDER: {"libcuda.so.1": COLAB_LINKS[f"{COLAB_FOLDER}/libcuda.so.1"]}})
    | python("/usr/bin/python3", "torch-2.9.1+cu126.dist-info")
    | Described(
        links=COLAB_LINKS,
        nvml="t4",
        nvml_changes={
            "gpu.retired_pending": 0, "system.driver_version": COLAB_DRIVER, "system.cuda_version": 12040,
            "system.nvml_version": f"12.{COLAB_DRIVER}",
        },
    )
    | Described(runs=variables(**COLAB_VARIABLES, **GIVEN, LD_LIBRARY_PATH=COLAB_FOLDER).runs)
)  # fmt: skip

JETSON_KERNEL = "5.15.148-tegra"
ARM = Described(runs={("uname", "-m"): done("aarch64\n")})
JETSON = (
    linux(UBUNTU_2204, JETSON_KERNEL, cpus=12, memory_gib=61, devices={})
    | ARM
    | Described(
        files={
            "/proc/device-tree/compatible": "nvidia,p3737-0000+p3701-0005\0nvidia,p3701-0005\0nvidia,tegra234\0",
            "/proc/device-tree/model": "NVIDIA Jetson AGX Orin Developer Kit\0",
        },
        runs={linker.CACHE: cache("/usr/lib/aarch64-linux-gnu/nvidia/libcuda.so.1")},
        links={"/usr/lib/aarch64-linux-gnu/nvidia/libcuda.so.1": "/usr/lib/aarch64-linux-gnu/nvidia/libcuda.so.1.1"},
    )
    | python("/usr/bin/python3", "torch-2.8.0.dist-info", files={"torch/version.py": "cuda: Optional[str] = '12.6'\n"})
)

GH200_KERNEL = "6.8.0-1021-nvidia-64k"
GH200_DRIVER = "580.105.08"
ARM_FOLDER = "/usr/lib/aarch64-linux-gnu"
GH200 = (
    linux(UBUNTU_2404, GH200_KERNEL, cpus=72, memory_gib=480, devices=gpu("0009:01:00.0", "10DE:2342"))
    | ARM
    | loaded(OPEN.replace("x86_64", "aarch64"), GH200_DRIVER, 1)
    | libraries(ARM_FOLDER, GH200_DRIVER)
    | python("/usr/bin/python3", "torch-2.9.1+cu130.dist-info")
    | Described(
        files={
            f"{system.DMI}/sys_vendor": "Supermicro\n", f"{system.DMI}/product_name": "ARS-111GL-NHR\n",
        },
        nvml="h200",
        nvml_changes={
            "gpu.name": "NVIDIA GH200 480GB", "gpu.pci_device_id": 0x234210DE, "gpu.pci_domain": 9, "gpu.pci_bus": 1,
            "system.driver_version": GH200_DRIVER, "system.nvml_version": f"13.{GH200_DRIVER}",
        },
    )
)  # fmt: skip

# A Mac has no /proc; its answers, by the manual pages of uname, readlink and sw_vers.
VERSION_PLIST = (
    '<?xml version="1.0" encoding="UTF-8"?>\n<plist version="1.0">\n<dict>\n\t<key>ProductName</key>\n'
    "\t<string>macOS</string>\n\t<key>ProductVersion</key>\n\t<string>15.5</string>\n</dict>\n</plist>\n"
)
MAC = Described(
    files={system.MAC_VERSION: VERSION_PLIST, "/dev": "null\nzero\n", "/usr/local": "bin\n"},
    runs={
        ("uname", "-sr"): done("Darwin 24.5.0\n"),
        ("uname", "-m"): done("arm64\n"),
        system.ENVIRONMENT: done("end\n"),
        user.COMMAND: done("uid=501(user) gid=20(staff) groups=20(staff),12(everyone),80(admin)\n"),
    },
) | python("/opt/homebrew/bin/python3", "torch-2.9.1.dist-info", files={"torch/version.py": "cuda = None\n"})

STRAY = libraries(DEBIAN_FOLDER, "535.183.01")
WSL_LIBRARIES = Described(runs={linker.CACHE: cache("/usr/lib/wsl/lib/libcuda.so.1")})
OPERATING_SYSTEM, UNKNOWN = 17, 999
INIT = "ret.nvmlInitWithFlags"
OWN_FOLDER = "/opt/conda/lib"
OWN_LIBCUDA = {"libcuda.so.1": f"{OWN_FOLDER}/libcuda.so.535.183.01"}
ALPINE = 'NAME="Alpine Linux"\nID=alpine\nVERSION_ID=3.22.1\nPRETTY_NAME="Alpine Linux v3.22"\n'
NO_GLIBC = Described(runs={linker.CACHE: Result(code=1, out="", err="")})

MACHINES: dict[str, Described] = {
    "container-with-t4": WITH_T4 | TENSORFLOW | variables(**GIVEN),
    "container-with-cuda-compat": WITH_T4 | NGC_IMAGE | variables(**GIVEN),
    # On a board with NVSwitches: the bus shows them, NVML of an A100 knows no fabric, its manager is the host's.
    "container-on-a100x8": container(UBUNTU_2404, KERNEL, {**A100_GPUS, **A100_SWITCHES})
    | loaded(OPEN, "550.163.01", 8)
    | libraries(DEBIAN_FOLDER, "550.163.01")
    | Described(nvml="a100x8", runs={services.COMMAND: Result(code=127, out="", err="")})
    | Described(files={"/proc/mounts": MOUNTS.replace("65536k", "16777216k")})  # --shm-size=16g
    | python("/usr/bin/python3")
    | variables(**GIVEN),
    # `docker run` without --gpus: the host's bus and module can be seen, nothing else.
    "container-without-gpus": IN_DOCKER | MODULE | TENSORFLOW,
    "container-visible-devices-void": IN_DOCKER | MODULE | TENSORFLOW | variables(NVIDIA_VISIBLE_DEVICES="void"),
    "container-capabilities-graphics": IN_DOCKER
    | loaded(OPEN, DRIVER, 1)
    | TENSORFLOW
    | variables(NVIDIA_VISIBLE_DEVICES="all", NVIDIA_DRIVER_CAPABILITIES="graphics,display"),
    # `systemctl daemon-reload` on the host took the devices out of its cgroup: the nodes are there, opening them is not
    # permitted.
    "container-lost-its-gpus": WITH_T4 | TENSORFLOW | variables(**GIVEN) | Described(nvml_changes={INIT: UNKNOWN}),
    # The host's driver was upgraded and reloaded under a container that has the libraries of before.
    "container-of-before-the-upgrade": IN_DOCKER
    | loaded(OPEN, DRIVER, 1)
    | libraries(DEBIAN_FOLDER, "535.183.01")
    | TENSORFLOW
    | T4_NVML
    | Described(nvml_changes={INIT: LIB_RM_VERSION_MISMATCH}),
    # An image with a libcuda of its own in front of the host's.
    "container-with-own-libcuda": WITH_T4 | TENSORFLOW | library_path({OWN_FOLDER: OWN_LIBCUDA}),
    "container-on-alpine": container(ALPINE, VM_KERNEL, T4_DEVICE)
    | loaded(OPEN, DRIVER, 1)
    | libraries("/usr/lib64", DRIVER)
    | NO_GLIBC
    | python("/usr/bin/python3"),
    "pod-with-t4-on-gke": WITH_T4
    | POD
    | Described(links=GKE_LINKS)
    | TENSORFLOW
    | Described(runs=library_path({GKE_FOLDER: {"libcuda.so.1": GKE_LINKS[f"{GKE_FOLDER}/libcuda.so.1"]}}).runs),
    "pod-with-t4-on-eks": WITH_T4
    | POD
    | TENSORFLOW
    | variables(
        NVIDIA_VISIBLE_DEVICES="GPU-00000000-0000-0000-0000-000000000000", NVIDIA_DRIVER_CAPABILITIES="compute,utility"
    ),
    "pod-without-gpu-request": IN_DOCKER | POD | MODULE | TENSORFLOW | variables(NVIDIA_VISIBLE_DEVICES="void"),
    "colab-t4": COLAB_T4,
    "colab-without-gpu": COLAB | python("/usr/bin/python3", "torch-2.9.1+cpu.dist-info") | variables(**COLAB_VARIABLES),
    "cloud-vm-without-gpu": linux(DEBIAN_12, DEBIAN_KERNEL, cpus=4, memory_gib=16, devices={})
    | rented("gcp", "e2-standard-4")
    | python("/usr/bin/python3"),
    "laptop-without-gpu": linux(UBUNTU_2404, "6.8.0-60-generic", cpus=8, memory_gib=16, devices={})
    | Described(files={f"{system.DMI}/sys_vendor": "LENOVO\n", f"{system.DMI}/product_name": "21CB0000US\n"})
    | python("/usr/bin/python3"),
    "jetson-orin": JETSON,
    "gh200": GH200,
    "macos": MAC,
    "wsl1": linux(UBUNTU_2204, "4.4.0-19041-Microsoft", cpus=8, memory_gib=16, devices={}) | python("/usr/bin/python3"),
    # `apt install nvidia-cuda-toolkit` brought a Linux driver's libraries along.
    "wsl2-linux-driver": WSL
    | WSL_LIBRARIES
    | Described(links=STRAY.links)
    | Described(
        runs={linker.CACHE: cache(f"{DEBIAN_FOLDER}/libcuda.so.1", "/usr/lib/wsl/lib/libcuda.so.1")},
        nvml_changes={INIT: OPERATING_SYSTEM},
    ),
    # A GPU in TCC mode, or a Windows driver that is too old.
    "wsl2-access-blocked": WSL | WSL_LIBRARIES | Described(nvml_changes={INIT: OPERATING_SYSTEM}),
    "wsl2-without-dxg": WSL | Described(files={"/dev": "null\nzero\n"}),
}
