"""The operating system, its processor and memory, and whether this is a container or WSL."""

from __future__ import annotations

import re
import shlex

from gpucheck.facts import System
from gpucheck.host import CannotLook, Host

# Those that decide what CUDA and the frameworks see and say. No other is ever read: environments hold secrets.
VARIABLES = (
    "CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "NVIDIA_DRIVER_CAPABILITIES", "KERAS_BACKEND",
    "KERAS_TORCH_DEVICE", "JAX_PLATFORMS", "JAX_PLATFORM_NAME", "TF_CPP_MIN_LOG_LEVEL", "TF_XLA_FLAGS", "XLA_FLAGS",
    "LD_LIBRARY_PATH", "CUDA_MODULE_LOADING",
)  # fmt: skip
# A shell, because `printenv A B` does not say which of the two it answers. ${A+"A=$A"} is nothing where A is not set.
ENVIRONMENT = ("sh", "-c", "printf '%s\\n' " + " ".join(f'${{{name}+"{name}=${name}"}}' for name in VARIABLES))
FAMILIES = ("debian", "rhel", "suse", "arch", "alpine")
RELATIVES = {"ubuntu": "debian", "fedora": "rhel", "centos": "rhel", "opensuse": "suse", "archlinux": "arch"}


def probe(host: Host) -> System:
    os_release = parse_os_release(host.read("/etc/os-release") or host.read("/usr/lib/os-release") or "")
    kernel = (host.read("/proc/sys/kernel/osrelease") or "").strip()
    if not kernel:
        raise CannotLook("/proc is not mounted here")
    memory = parse_memory(host.read("/proc/meminfo") or "")
    mounts = host.read("/proc/mounts") or ""
    return System(
        os=os_release.get("PRETTY_NAME"),
        os_family=os_family(os_release),
        os_id=os_release.get("ID"),
        kernel=kernel,
        arch=host.run(("uname", "-m")).out.strip(),
        cpus=parse_cpu_list(host.read("/sys/devices/system/cpu/online") or ""),
        memory_bytes=memory,
        shm_bytes=parse_shm(mounts, memory),
        container=_container(host, mounts),
        wsl="microsoft" in kernel.lower() or host.read("/proc/sys/fs/binfmt_misc/WSLInterop") is not None,
        environment=parse_environment(host.run(ENVIRONMENT).out),
    )


def parse_os_release(text: str) -> dict[str, str]:
    """os-release(5): shell assignments. A line that is none is left out."""
    values = {}
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals and not name.startswith("#"):
            try:
                values[name.strip()] = "".join(shlex.split(value)[:1])
            except ValueError:  # an unclosed quote
                values[name.strip()] = value.strip().strip("\"'")
    return values


def os_family(os_release: dict[str, str]) -> str | None:
    """debian, rhel, suse, arch, alpine, or the distribution's own id where it is related to none of these."""
    own = os_release.get("ID", "")
    for word in (own, *os_release.get("ID_LIKE", "").split()):
        base = word.split("-")[0]  # opensuse-leap
        if base in FAMILIES or base in RELATIVES:
            return RELATIVES.get(base, base)
    return own or None


def parse_cpu_list(text: str) -> int | None:
    """The kernel's list format: "0-3,8-11" is 8."""
    ranges = re.findall(r"(\d+)(?:-(\d+))?", text)
    return sum(int(last or first) - int(first) + 1 for first, last in ranges) or None


def parse_memory(text: str) -> int | None:
    kib = re.search(r"^MemTotal:\s+(\d+) kB", text, re.MULTILINE)
    return int(kib[1]) * 1024 if kib else None


def parse_shm(mounts: str, memory_bytes: int | None) -> int | None:
    """Bytes of /dev/shm. A tmpfs without size= is half of memory (kernel: Documentation/filesystems/tmpfs.rst)."""
    rows = [line.split() for line in mounts.splitlines()]
    # The last one mounted covers the others.
    mounted = [row for row in rows if len(row) > 3 and row[1] == "/dev/shm"][-1:]  # noqa: S108
    if not mounted or mounted[0][2] != "tmpfs":
        return None
    size = re.search(r"(?:^|,)size=(\d+)k(?:,|$)", mounted[0][3])
    if size:
        return int(size[1]) * 1024
    return memory_bytes // 2 if memory_bytes else None


def parse_environment(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: value for name, _, value in pairs if name in VARIABLES}


def _container(host: Host, mounts: str) -> str | None:
    mounted = {line.split()[1] for line in mounts.splitlines() if line.count(" ") > 1}
    if "/dev/termination-log" in mounted:  # every container of a pod has it
        return "kubernetes"
    if host.read("/run/.containerenv") is not None:
        return "podman"
    # A machine whose disk was made from an image keeps the file; a running container also has its hosts file mounted.
    if "/etc/hosts" in mounted and host.read("/.dockerenv") is not None:
        return "docker"
    if host.read("/.singularity.d") is not None:
        return "apptainer"
    declared = host.read("/run/systemd/container")  # lxc, systemd-nspawn, ...
    if declared and declared.strip() != "wsl":
        return declared.strip()
    named = re.search(r"docker|containerd|lxc|kubepods|libpod", host.read("/proc/1/cgroup") or "")
    return named[0] if named else None
