"""The NVIDIA driver's two halves, kernel module and libraries, and the device nodes between them. Needs no NVML."""

from __future__ import annotations

import re
import stat

from gpucheck.facts import Driver, Version
from gpucheck.host import CannotLook, Host
from gpucheck.probes import files

NODE = re.compile(r"nvidia(?:\d+|ctl|-.+)|dxg")
WSL_DRIVERS = "/usr/lib/wsl/drivers"  # Windows' own; what a container on WSL has instead of /usr/lib/wsl/lib
MODPROBE = "/usr/bin/nvidia-modprobe"
PARAMETERS = ("ModifyDeviceFiles", "DeviceFileGID", "DeviceFileMode", "PreserveVideoMemoryAllocations",
              "UseKernelSuspendNotifiers")  # fmt: skip
NO_HMM = "/sys/module/nvidia_uvm/parameters/uvm_disable_hmm"  # kernel-open/nvidia-uvm/uvm_hmm.c


def probe(host: Host) -> Driver:
    version, open_module = parse_version(host.read("/proc/driver/nvidia/version") or "")
    if version is None:
        loaded = re.match(r"[0-9]{1,6}(?:\.[0-9]{1,6}){1,3}", host.read("/sys/module/nvidia/version") or "")
        version = Version(loaded[0]) if loaded else None
    nodes = [f"/dev/{name}" for name in (host.read("/dev") or "").split() if NODE.fullmatch(name)]
    sonames, folders = ["libcuda.so.1", "libnvidia-ml.so.1"], list(files.LIBRARY_FOLDERS)
    if "/dev/dxg" in nodes:
        sonames += ["libcuda.so.1.1"]
        stores = (host.read(WSL_DRIVERS) or "").splitlines()  # of every device of the PC
        folders += [f"{WSL_DRIVERS}/{name}" for name in stores if name.startswith("nv")]
    there = files.present(host, [*nodes, MODPROBE])
    modprobe = there.pop(MODPROBE, None)
    return Driver(
        version=version,
        open_module=open_module,
        libraries=files.libraries(host, sonames, folders),
        devices=tuple(entry.device for entry in there.values() if entry and entry.device),
        modprobe=modprobe is not None and bool(modprobe.mode & stat.S_ISUID),
        parameters=parse_parameters(_optional(host, "/proc/driver/nvidia/params")),
        hmm={"Y": False, "N": True}.get(_optional(host, NO_HMM).strip()),
    )


def _optional(host: Host, path: str) -> str:
    """What explains, and decides nothing: to be refused it hides nothing else."""
    try:
        return host.read(path) or ""
    except CannotLook:
        return ""


def parse_version(text: str) -> tuple[Version | None, bool | None]:
    """(version, open) of /proc/driver/nvidia/version. The open module calls itself "Open Kernel Module for x86_64"."""
    line = re.search(
        r"^NVRM version:.*Kernel Module\b.*?\s([0-9]{1,6}\.[0-9]{1,6}(?:\.[0-9]{1,6})?)\s", text[:4096], re.MULTILINE
    )
    return (Version(line[1]), "Open Kernel Module" in line[0]) if line else (None, None)


def parse_parameters(text: str) -> dict[str, str]:
    """ "DeviceFileMode: 432" lines; 432 is 0660 in octal."""
    found = re.findall(r"^(\w{1,60}): ([0-9]{1,10})$", text, re.MULTILINE)
    return {name: value for name, value in found if name in PARAMETERS}


def kept_parameters(text: str) -> str:
    return "".join(f"{name}: {value}\n" for name, value in parse_parameters(text).items())
