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
    "LD_LIBRARY_PATH", "CUDA_MODULE_LOADING", "COLAB_RELEASE_TAG", "COLAB_GPU", "CUDA_LAUNCH_BLOCKING",
    # DCGM's list of variables that change how CUDA behaves.
    "NSIGHT_CUDA_DEBUGGER", "CUDA_INJECTION32_PATH", "CUDA_INJECTION64_PATH", "CUDA_AUTO_BOOST",
    "CUDA_ENABLE_COREDUMP_ON_EXCEPTION", "CUDA_COREDUMP_FILE", "CUDA_DEVICE_WAITS_ON_EXCEPTION", "CUDA_PROFILE",
    "COMPUTE_PROFILE", "OPENCL_PROFILE",
)  # fmt: skip
# That a scheduler started this as a job; its number is nobody's business.
JOBS = ("SLURM_JOB_ID", "PBS_JOBID", "LSB_JOBID")
# A shell, because `printenv A B` does not say which of the two it answers. ${A+"A=$A"} is nothing where A is not set.
# The last word shows that all of them were told.
ASKED = [f'${{{name}+"{name}=${name}"}}' for name in VARIABLES] + [f"${{{name}+{name}=}}" for name in JOBS]
ENVIRONMENT = ("sh", "-c", f"printf '%s\\n' {' '.join(ASKED)} end")
MAC_VERSION = "/System/Library/CoreServices/SystemVersion.plist"
DMI = "/sys/class/dmi/id"
# The beginnings of a virtual machine's vendor or product, as systemd's detect-virt knows them.
HYPERVISORS = {
    "KVM": "kvm", "OpenStack": "kvm", "KubeVirt": "kvm", "Amazon EC2": "amazon", "QEMU": "qemu", "VMware": "vmware",
    "innotek GmbH": "virtualbox", "VirtualBox": "virtualbox", "Xen": "xen", "Parallels": "parallels", "BHYVE": "bhyve",
    "Hyper-V": "hyper-v", "Apple Virtualization": "apple", "Google Compute Engine": "google",
    "Virtual Machine": "hyper-v",
}  # fmt: skip
FAMILIES = ("debian", "rhel", "suse", "arch", "alpine")
RELATIVES = {"ubuntu": "debian", "fedora": "rhel", "centos": "rhel", "opensuse": "suse", "archlinux": "arch"}


def probe(host: Host) -> System:
    os_release = parse_os_release(host.read("/etc/os-release") or host.read("/usr/lib/os-release") or "")
    kernel = (host.read("/proc/sys/kernel/osrelease") or "").strip()
    platform = "Linux"
    if not kernel:
        platform, _, kernel = host.run(("uname", "-sr")).out.strip().partition(" ")
        if platform == "Linux" or not re.fullmatch(r"[A-Za-z]{3,20}", platform):
            raise CannotLook("/proc is not mounted here")
    memory = parse_memory(host.read("/proc/meminfo") or "")
    mounts = host.read("/proc/mounts") or ""
    arch = host.run(("uname", "-m")).out.strip()
    if not re.fullmatch(r"[\w.-]{1,30}", arch, re.ASCII) or not re.fullmatch(r"[\w.+~-]{1,100}", kernel, re.ASCII):
        raise CannotLook("what this system calls itself (uname) cannot be read")
    variables = environment(host)
    vendor, product = (_line(host, f"{DMI}/{name}") for name in ("sys_vendor", "product_name"))
    return System(
        os=os_release.get("PRETTY_NAME") or _mac(host, platform),
        os_family=os_family(os_release),
        os_id=os_release.get("ID"),
        kernel=kernel,
        arch=arch,
        cpus=parse_cpu_list(host.read("/sys/devices/system/cpu/online") or ""),
        memory_bytes=memory,
        shm_bytes=parse_shm(mounts, memory),
        container=_container(host, mounts),
        wsl="microsoft" in kernel.lower() or host.read("/proc/sys/fs/binfmt_misc/WSLInterop") is not None,
        environment=variables,
        platform=platform,
        vendor=vendor,
        product=product,
        hypervisor=hypervisor(vendor, product),
        jetson=_jetson(host, kernel) if arch == "aarch64" else None,
        colab="COLAB_RELEASE_TAG" in variables or "COLAB_GPU" in variables,
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


def environment(host: Host) -> dict[str, str]:
    """Raises CannotLook where the shell does not tell all of it: a variable that is not there must mean that."""
    result = host.run(ENVIRONMENT)
    if result.code != 0 or result.out.splitlines()[-1:] != ["end"]:
        raise CannotLook("the shell (sh) does not tell which variables are set")
    return parse_environment(result.out)


def parse_environment(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines())
    return {name: value for name, _, value in pairs if name in VARIABLES + JOBS}


def hypervisor(vendor: str | None, product: str | None) -> str | None:
    """Who made this virtual machine. A machine that a cloud rents out whole (c5.metal) is none."""
    if product and product.endswith(".metal"):
        return None
    names = [name for name in (product, vendor) if name]
    return next((made for start, made in HYPERVISORS.items() if any(name.startswith(start) for name in names)), None)


def _line(host: Host, path: str) -> str | None:
    """The first line of a file that a container may have masked: then, too, the rest of the system is known."""
    try:
        text = host.read(path)
    except CannotLook:
        return None
    return ((text or "")[:200].splitlines() or [""])[0].strip(" \0") or None


def _mac(host: Host, platform: str) -> str | None:
    version = re.search(r"<key>ProductVersion</key>\s*<string>([\d.]+)<", host.read(MAC_VERSION) or "")
    return f"macOS {version[1]}" if platform == "Darwin" and version else None


def _jetson(host: Host, kernel: str) -> str | None:
    """A board with a Tegra chip, by its device tree; in a container, where that is masked, by its kernel."""
    chip = "nvidia,tegra" in (_line(host, "/proc/device-tree/compatible") or "")
    if not chip and not kernel.endswith("-tegra"):
        return None
    return _line(host, "/proc/device-tree/model") or "a Jetson"


def _container(host: Host, mounts: str) -> str | None:
    mounted = {words[1] for line in mounts.splitlines() if len(words := line.split()) > 1}
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
