"""The driver, its kernel module and the kernel: what is wrong with them, and healthy counterparts."""

from __future__ import annotations

from gpucheck.host import Result
from gpucheck.probes import dkms, driver, kernel, packages, suspend
from tests.machines.constructed.basics import (
    DESKTOP_DRIVER,
    DESKTOP_KERNEL,
    DESKTOP_NVML,
    DRIVER_NOT_LOADED,
    LAPTOP,
    LIB_RM_VERSION_MISMATCH,
    MODPROBE,
    NO_FRAMEWORK,
    REFUSED,
    REGISTERED,
    SIGNED,
    UNSIGNED,
    WORKING,
    installed,
)
from tests.machines.parts import (
    DEBIAN_FOLDER,
    OPEN,
    PROPRIETARY,
    REDHAT_FOLDER,
    UBUNTU_2404,
    Described,
    done,
    engine,
    gpu,
    libraries,
    linux,
    loaded,
    module,
)

GPU = "0000:01:00.0"
NO_PERMISSION = 4
NEWER = "570.133.07"
SECURE = Described(files={kernel.SECURE_BOOT: "\x06\0\0\0\1"})
NOUVEAU = Described(files={"/proc/modules": "nouveau 2527232 4 - Live 0x0\n"})
NO_DEVICE = Described(nvml="rtx4090-laptop", nvml_changes={**DESKTOP_NVML, "count": 0})


def refused(code: int) -> Described:
    return Described(nvml="rtx4090-laptop", nvml_changes={**DESKTOP_NVML, REFUSED: code})


def dpkg(version: str, history: str = "", *names: str) -> Described:
    """Ubuntu's packages of the driver, and apt's log."""
    listed = names or ("libnvidia-compute-570", "nvidia-dkms-570-open", "nvidia-driver-570-open", "nvidia-utils-570")
    rows = [f"ii  {name} {version}-0ubuntu0.24.04.1\n" for name in listed]
    rows += ["ii  libnvidia-container1 1.17.8-1\n", "ii  nvidia-container-toolkit 1.17.8-1\n"]
    return Described(
        files={"/var/lib/dpkg": "info\nstatus\nupdates\n", packages.HISTORY: history},
        runs={
            packages.DPKG: Result(code=1, out="".join(rows), err="dpkg-query: no packages found matching libcuda1*\n")
        },
    )


UNATTENDED = f"""
Start-Date: 2026-11-19  06:11:02
Commandline: /usr/bin/unattended-upgrade
Upgrade: tzdata:amd64 (2026b-0ubuntu0.24.04.1, 2026c-0ubuntu0.24.04.1)
End-Date: 2026-11-19  06:11:03

Start-Date: 2026-11-20  06:32:11
Commandline: /usr/bin/unattended-upgrade
Upgrade: libnvidia-compute-570:amd64 ({DESKTOP_DRIVER}-0ubuntu0.24.04.1, {NEWER}-0ubuntu0.24.04.1), \
nvidia-utils-570:amd64 ({DESKTOP_DRIVER}-0ubuntu0.24.04.1, {NEWER}-0ubuntu0.24.04.1)
End-Date: 2026-11-20  06:32:40
"""

NEW_KERNEL = "6.19.0-3-generic"
MAKE_LOG = f"""DKMS (dkms-3.2.0) make.log for nvidia/{DESKTOP_DRIVER} for kernel {NEW_KERNEL} (x86_64)
Mon Feb  9 13:38:53 GMT 2026

Building module(s)
# command: unset ARCH; env NV_VERBOSE=1 'make' -j8 NV_EXCLUDE_BUILD_MODULES='' KERNEL_UNAME={NEW_KERNEL} modules
make[1]: Entering directory '/usr/src/linux-headers-{NEW_KERNEL}'
  CC [M]  nvidia/nv.o
/var/lib/dkms/nvidia/{DESKTOP_DRIVER}/build/nvidia/nv-mmap.c: In function 'nv_encode_caching':
/var/lib/dkms/nvidia/{DESKTOP_DRIVER}/build/nvidia/nv-mmap.c:334:16: warning: this statement may fall through
/var/lib/dkms/nvidia/{DESKTOP_DRIVER}/build/common/inc/nv-linux.h:564:17: error: implicit declaration of function \
'ioremap_nocache'; did you mean 'ioremap_cache'? [-Wimplicit-function-declaration]
make[3]: *** [scripts/Makefile.build:288: /var/lib/dkms/nvidia/{DESKTOP_DRIVER}/build/nvidia/nv.o] Error 1
make[2]: *** [Makefile:1831: /var/lib/dkms/nvidia/{DESKTOP_DRIVER}/build] Error 2
make: *** [Makefile:115: modules] Error 2
"""


def on_kernel(release: str, devices: dict[str, str]) -> Described:
    host = linux(UBUNTU_2404, release, cpus=16, memory_gib=62, devices=devices)
    return host | engine("26.1.4", "1.45", CDISpecDirs=[]) | NO_FRAMEWORK | REGISTERED


def blackwells(*addresses: str, owner: str | None = "nvidia") -> dict[str, str]:
    return {at: text for address in addresses for at, text in gpu(address, "10DE:2B85", owner, "30000").items()}


FEDORA_KERNEL = "6.17.10-100.fc41.x86_64"
PARAMETERS = """ResmanDebugLevel: 4294967295
RmLogonRC: 1
ModifyDeviceFiles: 1
DeviceFileUID: 0
DeviceFileGID: {group}
DeviceFileMode: {mode}
InitializeSystemMemoryAllocations: 1
PreserveVideoMemoryAllocations: {preserve}
EnableS0ixPowerManagement: 0
RegistryDwords: ""
TemporaryFilePath: "/var/tmp"
"""


def parameters(*, group: int = 0, mode: int = 0o666, preserve: int = 0) -> Described:
    text = PARAMETERS.format(group=group, mode=mode, preserve=preserve)
    return Described(files={"/proc/driver/nvidia/params": text})


PAIR = ("0000:01:00.0", "0000:02:00.0")
PAIR_KERNEL = "6.14.0-33-generic"
PAIR_NVML = {
    "system.driver_version": "580.95.05", "system.nvml_version": "13.580.95.05", "gpu.name": "NVIDIA GeForce RTX 5090",
    "gpu.pci_device_id": 0x2B8510DE, "gpu.compute_capability": "12 0", "count": 2,
     "gpu.1.pci_bus_id": "00000000:02:00.0", "gpu.1.minor": 1,
    "gpu.1.uuid": "GPU-00000000-0000-0000-0000-000000000001",
}  # fmt: skip

ENROLLED = """[key 1]
SHA1 Fingerprint: 76:a0:92:06:58:00:bf:37:69:01:c3:72:cd:55:a9:0e:1f:de:d2:e0
Certificate:
    Data:
        Version: 3 (0x2)
        Issuer: C=GB, ST=Isle of Man, L=Douglas, O=Canonical Ltd., CN=Canonical Ltd. Master Certificate Authority
        Subject: C=GB, ST=Isle of Man, L=Douglas, O=Canonical Ltd., CN=Canonical Ltd. Master Certificate Authority
"""
AZURE = Described(
    files={
        "/sys/class/dmi/id/sys_vendor": "Microsoft Corporation\n",
        "/sys/class/dmi/id/product_name": "Virtual Machine\n",
    }
)
MACHINES: dict[str, Described] = {
    # The compiler of a new kernel refuses the driver of before; apt said so, and the machine was restarted.
    "dkms-build-failed": on_kernel(NEW_KERNEL, gpu(GPU, "10DE:2684", None, "30000"))
    | libraries(DEBIAN_FOLDER, DESKTOP_DRIVER)
    | dpkg(DESKTOP_DRIVER)
    | refused(DRIVER_NOT_LOADED)
    | Described(
        files={
            dkms.TREE: "dkms_dbversion\nmok.key\nmok.pub\nnvidia\n",
            f"{dkms.TREE}/nvidia": f"{DESKTOP_DRIVER}\nkernel-{DESKTOP_KERNEL}-x86_64\n",
            f"{dkms.TREE}/nvidia/{DESKTOP_DRIVER}/build/make.log": MAKE_LOG,
        }
    ),
    # Upgraded in the night: the files are new, the module is of before. In Docker it is the same failure.
    "driver-upgraded-unattended": WORKING
    | REGISTERED
    | libraries(DEBIAN_FOLDER, NEWER)
    | dpkg(NEWER, UNATTENDED)
    | refused(LIB_RM_VERSION_MISMATCH),
    "driver-upgraded-by-dnf": LAPTOP
    | libraries(REDHAT_FOLDER, "580.119.02")
    | Described(
        files={"/usr/lib/sysimage/rpm": "rpmdb.sqlite\n"},
        runs={
            packages.RPM: done(
                "nvidia-container-toolkit 1.17.8 1763000000\n"
                "akmod-nvidia 580.119.02 1795155131\n"
                "xorg-x11-drv-nvidia-cuda-libs 580.119.02 1795155130\n"
            )
        },
        nvml_changes={REFUSED: LIB_RM_VERSION_MISMATCH},
    ),
    # NVIDIA's installer over Ubuntu's packages, one patch release apart.
    "run-file-over-packages": WORKING
    | REGISTERED
    | libraries(DEBIAN_FOLDER, "570.124.04")
    | dpkg(DESKTOP_DRIVER)
    | refused(LIB_RM_VERSION_MISMATCH)
    | Described(
        files={
            packages.INSTALLER: "nvidia-installer log file '/var/log/nvidia-installer.log'\n"
            "creation time: Thu Feb 27 19:11:41 2026\ninstaller version: 570.124.04\n\nPATH: /usr/bin:/bin\n",
        },
        nodes={packages.UNINSTALL: (0, 0)},
    ),
    # The module is signed with the key that Ubuntu made here; nobody confirmed it at the next start.
    "secure-boot-key-not-enrolled": installed(None)
    | SIGNED
    | SECURE
    | Described(runs={kernel.ENROLLED: done(ENROLLED)}),
    # nouveau has the GPU because the nvidia module may not load: to keep nouveau out would leave no picture.
    "secure-boot-unsigned-nouveau": installed("nouveau") | UNSIGNED | SECURE | NOUVEAU,
    "secure-boot-azure": installed(None) | UNSIGNED | SECURE | AZURE,
    # The module stays loaded, says "requires use of the NVIDIA open kernel modules", and finds no device.
    "blackwell-proprietary-module": on_kernel(PAIR_KERNEL, blackwells(GPU))
    | module(PAIR_KERNEL, "580.105.08", "NVIDIA", "desktop Secure Boot Module Signature key")
    | loaded(PROPRIETARY, "580.105.08", 1)
    | libraries(DEBIAN_FOLDER, "580.105.08")
    | NO_DEVICE,
    # The open module refuses the GPU, so it is not loaded: "None of the NVIDIA devices were initialized".
    "pascal-open-module": on_kernel(PAIR_KERNEL, gpu(GPU, "10DE:1B80", None, "30000"))
    | module(PAIR_KERNEL, "580.105.08", "Dual MIT/GPL", "desktop Secure Boot Module Signature key")
    | libraries(DEBIAN_FOLDER, "580.105.08")
    | refused(DRIVER_NOT_LOADED),
    # A server without nvidia-modprobe; no program of root's has used CUDA since it started.
    "uvm-node-missing": WORKING
    | REGISTERED
    | Described(files={"/dev": "null\nnvidia0\nnvidiactl\nzero\n"}),
    "device-nodes-for-a-group": WORKING
    | REGISTERED
    | MODPROBE
    | parameters(group=1001, mode=0o660)
    | Described(rights=dict.fromkeys(("/dev/nvidiactl", "/dev/nvidia0", "/dev/nvidia-uvm"), "660 vglusers"))
    | refused(NO_PERMISSION),
    "laptop-resumed-without-services": LAPTOP
    | parameters(preserve=0)
    | Described(files={suspend.COUNT: "3\n", suspend.WANTED: None}),
    "laptop-resumed-healthy": LAPTOP
    | parameters(preserve=1)
    | Described(files={suspend.COUNT: "3\n", suspend.WANTED: "nvidia-resume.service\nnvidia-suspend.service\n"}),
    "two-blackwells-with-hmm": on_kernel(PAIR_KERNEL, blackwells(*PAIR))
    | module(PAIR_KERNEL, "580.95.05", "Dual MIT/GPL", "desktop Secure Boot Module Signature key")
    | loaded(OPEN, "580.95.05", 2)
    | libraries(DEBIAN_FOLDER, "580.95.05")
    | Described(files={driver.NO_HMM: "N\n"}, nvml="rtx4090-laptop", nvml_changes=PAIR_NVML),
}  # fmt: skip
