"""Healthy machines, and the faults that everybody meets first."""

from __future__ import annotations

from gpucheck.probes import driver, kernel, system
from tests.machines.parts import (
    DEBIAN_12,
    DEBIAN_FOLDER,
    FEDORA_41,
    NVIDIA_RUNTIME,
    OPEN,
    PROPRIETARY,
    REDHAT_FOLDER,
    UBUNTU_2204,
    UBUNTU_2404,
    Described,
    cdi,
    discovered,
    done,
    engine,
    fabric_manager,
    gpu,
    libraries,
    linux,
    loaded,
    module,
    ports,
    python,
    rented,
    tensorflow,
    toolkit,
    unreachable,
)

CDI_FOLDERS = ["/etc/cdi", "/var/run/cdi"]
NO_FRAMEWORK = python("/usr/bin/python3")
MODPROBE = Described(nodes={driver.MODPROBE: (0, 0)})
REFUSED = "ret.nvmlInitWithFlags"
DRIVER_NOT_LOADED, LIB_RM_VERSION_MISMATCH = 9, 18

T4_KERNEL = "5.15.0-91-generic"
T4 = (
    linux(UBUNTU_2204, T4_KERNEL, cpus=4, memory_gib=16, devices=gpu("0000:00:1e.0", "10DE:1EB8"))
    | module(T4_KERNEL, "525.89.02", "NVIDIA", "Canonical Ltd. Kernel Module Signing")
    | loaded(PROPRIETARY, "525.89.02", 1)
    | libraries(DEBIAN_FOLDER, "525.89.02")
    | engine("26.1.4", "1.45", Runtimes=NVIDIA_RUNTIME, CDISpecDirs=[])
    | toolkit("1.14.6")
    | tensorflow("2.17.1", "12.3", "8.9.7.29")
    | ports({"0000:00:1e.0": ""})
    | rented("aws", "g4dn.xlarge")
    | Described(nvml="t4", nvml_changes={"gpu.retired_pending": 0})
)

H100_KERNEL = "6.8.0-60-generic"
H100_GPUS = [gpu(f"0000:{bus}:00.0", "10DE:2330") for bus in ("1b", "43", "52", "61", "9d", "c3", "d1", "df")]
H100_SWITCHES = [gpu(f"0000:{bus}:00.0", "10DE:22A3", "nvidia-nvswitch", "68000") for bus in ("07", "08", "09", "0a")]
H100_DEVICES = {address: lines for device in (*H100_GPUS, *H100_SWITCHES) for address, lines in device.items()}
H100 = (
    linux(UBUNTU_2404, H100_KERNEL, cpus=224, memory_gib=2015, devices=H100_DEVICES)
    | module(H100_KERNEL, "590.48.01", "Dual MIT/GPL", "Canonical Ltd. Kernel Module Signing")
    | loaded(OPEN, "590.48.01", 8, extra=("nvidia_peermem",))
    | libraries(DEBIAN_FOLDER, "590.48.01")
    | engine(
        "29.2.1", "1.53", Driver="overlayfs", Runtimes=NVIDIA_RUNTIME, CDISpecDirs=CDI_FOLDERS,
        DiscoveredDevices=discovered(8),
    )
    | toolkit("1.18.1")
    | cdi("/var/run/cdi/nvidia.yaml", DEBIAN_FOLDER, "590.48.01", gpus=8, uvm=509)
    | python(
        "/opt/conda/bin/python3", "nvidia_cudnn_cu12-9.10.2.21.dist-info", "torch-2.9.1.dist-info",
        files={"torch/version.py": "__version__ = '2.9.1+cu128'\ncuda: Optional[str] = '12.8'\n"},
    )
    | ports({address: f"0000:{int(address[5:7], 16) - 1:02x}:01.0" for each in H100_GPUS for address in each})
    | fabric_manager("590.48.01")
    | Described(nvml="h100x8")
)  # fmt: skip

LAPTOP_KERNEL = "6.17.10-100.fc41.x86_64"
LAPTOP = (
    linux(FEDORA_41, LAPTOP_KERNEL, cpus=32, memory_gib=62, devices=gpu("0000:01:00.0", "10DE:2757", "nvidia", "30000"))
    | module(LAPTOP_KERNEL, "580.105.08", "Dual MIT/GPL", "laptop_1700000000_0a1b2c3d")
    | loaded(OPEN, "580.105.08", 1)
    | libraries(REDHAT_FOLDER, "580.105.08")
    | MODPROBE
    | engine("28.2.2", "1.50", Runtimes=NVIDIA_RUNTIME, CDISpecDirs=CDI_FOLDERS)
    | toolkit("1.17.8")
    | python("/home/user/.venv/bin/python3", "torch-2.9.1+cu130.dist-info")
    | ports({"0000:01:00.0": "0000:00:01.0"}, pci_id="8086:A70D")
    | Described(files={kernel.SECURE_BOOT: "\x06\0\0\0\1"}, nvml="rtx4090-laptop")
)

REGISTERED = engine("26.1.4", "1.45", Runtimes=NVIDIA_RUNTIME, CDISpecDirs=[]) | toolkit("1.17.8")
DESKTOP_KERNEL = "6.8.0-60-generic"
DESKTOP_DRIVER = "570.124.06"
DESKTOP_NVML = {
    "gpu.name": "NVIDIA GeForce RTX 4090", "gpu.pci_device_id": 0x268410DE, "system.cuda_version": 12080,
    "system.driver_version": DESKTOP_DRIVER, "system.nvml_version": f"12.{DESKTOP_DRIVER}",
}  # fmt: skip


def desktop(owner: str | None) -> Described:
    """A desktop with an RTX 4090 that this kernel driver has, and Docker."""
    devices = gpu("0000:01:00.0", "10DE:2684", owner, "30000")
    host = linux(UBUNTU_2404, DESKTOP_KERNEL, cpus=16, memory_gib=62, devices=devices)
    return host | engine("26.1.4", "1.45", CDISpecDirs=[]) | NO_FRAMEWORK


def installed(owner: str | None) -> Described:
    """... and the driver's packages, but NVML finds no driver at work."""
    refused = Described(nvml="rtx4090-laptop", nvml_changes={**DESKTOP_NVML, REFUSED: DRIVER_NOT_LOADED})
    return desktop(owner) | libraries(DEBIAN_FOLDER, DESKTOP_DRIVER) | REGISTERED | refused


SIGNED = module(DESKTOP_KERNEL, DESKTOP_DRIVER, "Dual MIT/GPL", "desktop Secure Boot Module Signature key")
UNSIGNED = module(DESKTOP_KERNEL, DESKTOP_DRIVER, "Dual MIT/GPL", None)
WORKING = (
    desktop("nvidia")
    | SIGNED
    | loaded(OPEN, DESKTOP_DRIVER, 1)
    | libraries(DEBIAN_FOLDER, DESKTOP_DRIVER)
    | Described(nvml="rtx4090-laptop", nvml_changes=DESKTOP_NVML)
)

WSL_KERNEL = "5.15.167.4-microsoft-standard-WSL2"
WSL_STORE = f"{driver.WSL_DRIVERS}/nv_dispi.inf_amd64_0373d825005116d0"
WSL = (
    linux(UBUNTU_2204, WSL_KERNEL, cpus=16, memory_gib=31, devices={})
    | Described(
        files={
            "/proc/sys/fs/binfmt_misc/WSLInterop": "enabled\ninterpreter /init\nflags: PF\noffset 0\nmagic 4d5a\n",
            "/dev": "dxg\nnull\nzero\n",
            driver.WSL_DRIVERS: f"hdaudio.inf_amd64_5e3d1c2b4a6f7089\n{WSL_STORE.rpartition('/')[2]}\n",
            "/sys/bus/pci/devices": "3b2c:00:00.0\n",  # Microsoft's virtual render device
            "/sys/bus/pci/devices/3b2c:00:00.0/uevent": "DRIVER=dxgkrnl\nPCI_CLASS=30200\nPCI_ID=1414:008E\n",
        },
        links={
            path: path
            for path in (
                "/usr/lib/wsl/lib/libcuda.so.1",
                "/usr/lib/wsl/lib/libcuda.so.1.1",
                "/usr/lib/wsl/lib/libnvidia-ml.so.1",
                f"{WSL_STORE}/libcuda.so.1.1",
                f"{WSL_STORE}/libnvidia-ml.so.1",
            )
        },
        nodes={"/dev/dxg": (10, 125)},
        nvml="rtx4090-laptop",
        nvml_changes={"system.driver_version": "581.57", "system.nvml_version": "13.580.102"},
    )
    | engine("26.1.4", "1.45", Runtimes=NVIDIA_RUNTIME, CDISpecDirs=[])
    | toolkit("1.17.8")
    | tensorflow("2.20.0", "12.5.1", "9.3.0.75")
)

DEBIAN_KERNEL = "6.1.0-28-amd64"
MACHINES: dict[str, Described] = {
    "t4-ubuntu2204-healthy": T4,
    "h100x8-healthy": H100,
    "rtx4090-laptop": LAPTOP,
    # Unattended upgrades brought new libraries; the module of before is still loaded.
    "driver-library-mismatch": WORKING
    | Described(links={f"{DEBIAN_FOLDER}/{name}.so.1": f"{DEBIAN_FOLDER}/{name}.so.570.133.07"
                       for name in ("libcuda", "libnvidia-ml")})
    | REGISTERED
    | Described(nvml="rtx4090-laptop", nvml_changes={REFUSED: LIB_RM_VERSION_MISMATCH}),
    "nouveau": installed("nouveau") | SIGNED | Described(files={"/proc/modules": "nouveau 2527232 4 - Live 0x0\n"}),
    "no-driver": desktop("nouveau") | Described(files={"/proc/modules": "nouveau 2527232 4 - Live 0x0\n"}),
    # A kernel update without its headers.
    "no-module-for-kernel": installed(None) | Described(files={f"/lib/modules/{DESKTOP_KERNEL}/build": None}),
    "secure-boot-unsigned": installed(None) | UNSIGNED | Described(files={kernel.SECURE_BOOT: "\x06\0\0\0\1"}),
    "docker-permission-denied": WORKING
    | toolkit("1.17.8")
    | unreachable(
        "29.2.1", "1.53", "permission denied while trying to connect to the docker API at unix:///var/run/docker.sock"
    ),
    "docker-without-toolkit": linux(
        DEBIAN_12, DEBIAN_KERNEL, cpus=8, memory_gib=31, devices=gpu("0000:00:1e.0", "10DE:1EB8")
    )
    | module(DEBIAN_KERNEL, "525.89.02", "NVIDIA", None)
    | loaded(PROPRIETARY, "525.89.02", 1)
    | libraries(DEBIAN_FOLDER, "525.89.02")
    | MODPROBE
    | engine("20.10.24+dfsg1", "1.41")
    | NO_FRAMEWORK
    | Described(nvml="t4", nvml_changes={"gpu.retired_pending": 0}),
    # The spec is of the driver before an upgrade, and of the boot before this one: nvidia-uvm had another number.
    "stale-cdi": WORKING
    | engine("28.2.2", "1.50", CDISpecDirs=CDI_FOLDERS, DiscoveredDevices=discovered(1))
    | toolkit("1.17.8")
    | cdi("/etc/cdi/nvidia.yaml", DEBIAN_FOLDER, "570.86.15", gpus=1, uvm=510),
    "wsl2": WSL,
    # A shell start-up file hides the GPUs from CUDA.
    "gpus-hidden": T4 | Described(runs={system.ENVIRONMENT: done("CUDA_VISIBLE_DEVICES=-1\nend\n")}),
}  # fmt: skip
