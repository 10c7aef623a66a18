"""The NVIDIA driver's two halves, kernel module and libraries, and the device nodes between them. Needs no NVML."""

from __future__ import annotations

import re
import stat

from gpucheck.facts import Driver, Version
from gpucheck.host import Host
from gpucheck.probes import files

NODE = re.compile(r"nvidia(?:\d+|ctl|-.+)|dxg")
WSL_DRIVERS = "/usr/lib/wsl/drivers"  # Windows' own; what a container on WSL has instead of /usr/lib/wsl/lib
MODPROBE = "/usr/bin/nvidia-modprobe"


def probe(host: Host) -> Driver:
    version, open_module = parse_version(host.read("/proc/driver/nvidia/version") or "")
    if version is None:
        loaded = host.read("/sys/module/nvidia/version")
        version = Version(loaded.strip()) if loaded and loaded.strip() else None
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
    )


def parse_version(text: str) -> tuple[Version | None, bool | None]:
    """(version, open) of /proc/driver/nvidia/version. The open module calls itself "Open Kernel Module for x86_64"."""
    line = re.search(r"^NVRM version:.*Kernel Module\b.*?\s(\d+\.\d+(?:\.\d+)?)\s", text, re.MULTILINE)
    return (Version(line[1]), "Open Kernel Module" in line[0]) if line else (None, None)
