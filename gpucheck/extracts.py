"""Of each answer what its probe reads: what else a file or a command tells is nobody else's business.

A function of the text to the text that is kept, by the command's first words or the file's path. Of BARE, which the
kernel or NVIDIA wrote and nobody could have written into, all is kept.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping

from gpucheck.probes import (
    cloud,
    container_toolkit,
    cudnn,
    dkms,
    dockerd,
    driver,
    frameworks,
    image,
    kernel,
    kernel_log,
    linker,
    packages,
    pci_bridges,
    services,
    suspend,
    system,
    toolkit,
)

Keep = Callable[[str], str]

OS_RELEASE = ("ID", "ID_LIKE", "PRETTY_NAME")
MODULE = ("version", "license", "signer")
SHM = "/dev/shm"  # noqa: S108
MOUNTS = (SHM, "/etc/hosts", "/dev/termination-log")
CONTAINERS = re.compile(r"docker|containerd|lxc|kubepods|libpod")
BUILD_INFO = re.compile(r"""['"](?:cuda_version|is_cuda_build)['"][,:]\s*['"]?[\w.]+\b['"]?""")


def lines(pattern: str) -> Keep:
    """The lines that begin so."""
    begin = re.compile(pattern)
    return lambda text: "".join(f"{line}\n" for line in text.splitlines() if begin.match(line))


def first(pattern: str) -> Keep:
    """The first place that matches, and nothing around it."""
    wanted = re.compile(pattern, re.MULTILINE)
    return lambda text: f"{found[0]}\n" if (found := wanted.search(text)) else ""


def known(pattern: str, text: str) -> str:
    """The lines; one of another form becomes another that is of none either."""
    return "".join(f"{line if re.fullmatch(pattern, line) else '?'}\n" for line in text.splitlines())


def nothing(_: str) -> str:
    """Of what only has to be there."""
    return ""


def kept_os_release(text: str) -> str:
    """Never empty where it was not: the probe would look for another."""
    kept = [line for line in text.splitlines() if line.partition("=")[0].strip() in OS_RELEASE]
    return "".join(f"{line}\n" for line in kept) or "\n" * bool(text)


def kept_module(text: str) -> str:
    """What modinfo says of the first module; of other lines, that there are some."""
    found = kernel.parse_modinfo(text)
    known = [f"{name}: {found[name]}" for name in MODULE if name in found]
    return "".join(f"{line}\n" for line in (known or ["filename:"] * bool(found)))


def kept_mounts(text: str) -> str:
    """Where something is mounted, not what, for file servers have names; of a tmpfs its size."""
    kept = []
    for words in map(str.split, text.splitlines()):
        if len(words) > 3 and words[1] == SHM:
            sizes = [option for option in words[3].split(",") if option.startswith("size=")]
            kept.append(f"x {SHM} {words[2]} {','.join(sizes) or 'rw'}")
        elif len(words) > 1 and words[1] in MOUNTS:
            kept.append(f"x {words[1]}")
    return "".join(f"{line}\n" for line in kept)


def kept_folders(text: str) -> str:
    """Where python3 is, and the packages that were asked for."""
    python, *folders = text.splitlines() or [""]
    kept = [folder for folder in folders if folder.endswith(("-info", "-info/"))]
    return "".join(f"{line}\n" for line in (python, *kept)) if text else ""


kept_fabric_manager = first(r"Fabric Manager version is\s{0,8}:\s{0,8}\d{1,5}(?:\.\d{1,5}){1,3}(?=\s)")
kept_nvrm = first(r"^NVRM version:.*Kernel Module\b.*?\s[0-9]{1,6}(?:\.[0-9]{1,6}){1,2}\s")


def kept_build_info(text: str) -> str:
    return "".join(f"{pair}\n" for pair in BUILD_INFO.findall(text))


def kept_variables(text: str) -> str:
    kept = [f"{name}={value}" for name, value in system.parse_environment(text).items()]
    return "".join(f"{line}\n" for line in (*kept, *(["end"] if text.splitlines()[-1:] == ["end"] else [])))


def kept_cuda(text: str) -> str:
    version = toolkit.parse_version_json(text)
    return json.dumps({"cuda": {"version": str(version)}}) + "\n" if version else ""


RUNS: Mapping[tuple[str, ...], Keep] = {
    ("dmesg",): kernel_log.kept,
    ("journalctl",): kernel_log.kept,
    ("lspci",): pci_bridges.kept,
    ("modinfo",): kept_module,
    ("/sbin/modinfo",): kept_module,
    ("mokutil",): kernel.kept_enrolled,
    ("/sbin/ldconfig",): linker.kept,
    ("dpkg-query",): packages.kept_dpkg,
    ("rpm",): packages.kept_rpm,
    ("nvidia-ctk",): first(r"version \d{1,6}\.\d{1,6}\.\d{1,6}\b"),
    ("nvcc",): first(r"release \d+\.\d+"),
    ("/usr/local/cuda/bin/nvcc",): first(r"release \d+\.\d+"),
    services.FABRIC_MANAGER: lambda text: kept_fabric_manager(f"{text[:4096]}\n"),
    ("systemctl",): lines(rf"(?:{'|'.join(services.PROPERTIES)})=|$"),
    (*cloud.ASK,): cloud.kept_answer,
    container_toolkit.HOOK: nothing,
    system.ENVIRONMENT: kept_variables,
    ("readlink",): lambda text: known(r"/.*", text),
    ("python3",): kept_folders,
    (*container_toolkit.HOOK[:2], linker.LIST): lines("/"),
    ("stat",): lines(r"(?:\d{1,12} ){2}(?:\d{1,12}|-) /"),
    ("uname",): lambda text: text if re.fullmatch(r"[\w.+~ -]{1,130}\n?", text, re.ASCII) else "?\n",
}
FILES: Mapping[str, Keep] = {
    r"/etc/os-release|/usr/lib/os-release": kept_os_release,
    re.escape(system.MAC_VERSION): first(r"<key>ProductVersion</key>\s*<string>[\d.]+<"),
    r"/proc/mounts": kept_mounts,
    r"/proc/modules": lambda text: "".join(f"{name}\n" for name in kernel.parse_modules(text)),
    r"/proc/meminfo": first(r"^MemTotal:\s+\d+ kB"),
    r"/proc/cpuinfo": pci_bridges.kept_cpuinfo,
    r"/proc/1/cgroup": lambda text: "".join(CONTAINERS.findall(text)[:1]),
    r"/proc/\d+/cmdline": dockerd.kept,
    r"/proc/driver/nvidia/version": lambda text: kept_nvrm(text[:4096]),
    r"/proc/driver/nvidia/params": driver.kept_parameters,
    r"/run/user": dockerd.kept_users,
    r"/run/\.containerenv|/\.dockerenv|/\.singularity\.d|/proc/sys/fs/binfmt_misc/WSLInterop": nothing,
    rf"(?:{'|'.join(packages.MANAGERS)})": nothing,
    r"/lib/modules/[^/]+(?:/build)?": nothing,
    r"/usr/local": lines(r"cuda(-\d+(\.\d+)*)?$"),
    r"/usr/local/cuda[^/]*/version\.json": kept_cuda,
    r"/usr/local/cuda[^/]*/version\.txt": first(r"\d+\.\d+"),
    rf"{'|'.join(cudnn.HEADERS)}": lines(r"#define CUDNN_(?:MAJOR|MINOR|PATCHLEVEL)\s+\d+"),
    r"/dev": lambda text: "".join(f"{name}\n" for name in text.split() if driver.NODE.fullmatch(name)),
    driver.WSL_DRIVERS: lines(r"nv"),
    suspend.WANTED: suspend.kept_wanted,
    rf"{cloud.DMI}/chassis_asset_tag": cloud.kept,
    dkms.TREE: dkms.kept_modules,
    rf"{dkms.TREE}/[^/]+": dkms.kept_versions,
    rf"{dkms.TREE}/.+/make\.log": dkms.kept,
    packages.HISTORY: packages.kept_history,
    packages.INSTALLER: packages.kept_installer,
    packages.LOCKED: packages.kept_locked,
    packages.PACMAN: packages.kept_pacman,
    r".+\.(?:dist|egg)-info/METADATA": frameworks.kept,
    r".+\.(?:dist|egg)-info/INSTALLER": lambda text: text if frameworks.TOOL.fullmatch(text) else "?\n",
    r".+/torch/version\.py": first(r"^cuda\b[^=\n]*=\s*(?:None|'[\d.]+'|\"[\d.]+\")"),
    r".+/build_info\.py": kept_build_info,
    rf"(?:{'|'.join(container_toolkit.CDI_FOLDERS)})": lines(r".*\.(?:json|yaml)$"),
    container_toolkit.CONFIG: container_toolkit.kept_config,
}
IMAGE = image.kept
BARE = re.compile(
    r"/sys/(?:bus/pci|module|devices|firmware/efi|fs/selinux|power)/.+|/proc/sys/kernel/.+|/proc/uptime|/run/docker\.pid|"
    r"/run/systemd/container|/proc/device-tree/.+|/sys/class/dmi/id/(?:sys_vendor|product_name)"
)
