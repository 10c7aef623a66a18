"""What the constructed machines are made of. See README.md for where each format comes from."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from gpucheck import codec
from gpucheck.facts import Cloud, CloudEvent, CloudEvents
from gpucheck.host import Result
from gpucheck.probes import (
    cloud,
    container_toolkit,
    docker,
    dockerd,
    frameworks,
    kernel,
    kernel_log,
    linker,
    pci,
    pci_bridges,
    pcie,
    services,
    system,
    user,
)

DEBIAN_FOLDER, REDHAT_FOLDER, ARCH_FOLDER = "/usr/lib/x86_64-linux-gnu", "/usr/lib64", "/usr/lib"
UBUNTU_2204 = 'PRETTY_NAME="Ubuntu 22.04.5 LTS"\nNAME="Ubuntu"\nVERSION_ID="22.04"\nID=ubuntu\nID_LIKE=debian\n'
UBUNTU_2404 = 'PRETTY_NAME="Ubuntu 24.04.3 LTS"\nNAME="Ubuntu"\nVERSION_ID="24.04"\nID=ubuntu\nID_LIKE=debian\n'
DEBIAN_12 = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nNAME="Debian GNU/Linux"\nVERSION_ID="12"\nID=debian\n'
FEDORA_41 = 'NAME="Fedora Linux"\nVERSION_ID=41\nID=fedora\nPRETTY_NAME="Fedora Linux 41 (Workstation Edition)"\n'

OPEN = "NVIDIA UNIX Open Kernel Module for x86_64  {}  Release Build  (dvs-builder@U22-I3-H04-01-5)"
PROPRIETARY = "NVIDIA UNIX x86_64 Kernel Module  {}  Wed Feb  1 23:23:25 UTC 2023"
MODINFO = """filename:       /lib/modules/{kernel}/updates/dkms/nvidia.ko
alias:          char-major-195-*
version:        {version}
supported:      external
license:        {licence}
srcversion:     94E1C74A4E8DD0DEFA33FB1
depends:
name:           nvidia
vermagic:       {kernel} SMP preempt mod_unload modversions
{signature}parm:           NvSwitchRegDwords:NvSwitch regkey (charp)
"""
SIGNATURE = "sig_id:         PKCS#7\nsigner:         {}\nsig_hashalgo:   sha512\n"

ROOT_PORT = """18:01.0 PCI bridge: Intel Corporation Device 352a (rev 04) (prog-if 00 [Normal decode])
\tControl: I/O+ Mem+ BusMaster+ SpecCycle- MemWINV- VGASnoop- ParErr+ Stepping- SERR+ FastB2B- DisINTx+
\tCapabilities: [68] Express (v2) Root Port (Slot+), MSI 00
"""


def done(out: str) -> Result:
    return Result(code=0, out=out, err="")


@dataclass(frozen=True)
class Described:
    """A machine, or a part of one: `a | b` is a machine with both, and b's answer where both have one."""

    files: dict[str, str | None] = field(default_factory=dict)  # None = not there
    runs: dict[tuple[str, ...], Result] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)  # of libraries: link -> real file
    nodes: dict[str, tuple[int, int]] = field(default_factory=dict)  # device nodes and other paths: major, minor
    rights: dict[str, str] = field(default_factory=dict)  # of nodes that are not "666 root"
    times: dict[str, tuple[int, int, int]] = field(default_factory=dict)  # of files: written, changed, born
    nvml: str | None = None  # a profile of tests/fakenvml; None = there is no library
    nvml_changes: dict[str, object] = field(default_factory=dict)

    def __or__(self, other: Described) -> Described:
        return Described(
            files={**self.files, **other.files}, runs={**self.runs, **other.runs}, links={**self.links, **other.links},
            nodes={**self.nodes, **other.nodes}, rights={**self.rights, **other.rights},
            times={**self.times, **other.times}, nvml=other.nvml or self.nvml,
            nvml_changes={**self.nvml_changes, **other.nvml_changes},
        )  # fmt: skip


def linux(os_release: str, release: str, *, cpus: int, memory_gib: int, devices: dict[str, str]) -> Described:
    """A host; `devices` are PCI addresses with the lines of their uevent."""
    names = sorted({"0000:00:1f.0": "", **devices})
    uevents = {f"{pci.DEVICES}/{address}/uevent": text for address, text in devices.items()}
    return Described(
        files={
            "/etc/os-release": os_release,
            "/proc/sys/kernel/osrelease": f"{release}\n",
            "/proc/sys/kernel/tainted": "12289\n",
            "/proc/meminfo": f"MemTotal:       {memory_gib * 1024**2} kB\n",
            "/proc/mounts": "proc /proc proc rw,nosuid,nodev,noexec,relatime 0 0\n"
            "tmpfs /dev/shm tmpfs rw,nosuid,nodev,inode64 0 0\n",
            "/proc/1/cgroup": "0::/init.scope\n",
            "/proc/modules": "",
            "/sys/devices/system/cpu/online": f"0-{cpus - 1}\n",
            f"/lib/modules/{release}": "build\nkernel\nmodules.dep\n",
            f"/lib/modules/{release}/build": "Kconfig\nMakefile\ninclude\n",
            "/dev": "null\nzero\n",
            kernel_log.UPTIME: "90061.07 355221.12\n",
            kernel_log.BOOT_ID: "0f4c6f5e-2d63-4c8f-9f0b-7f1c7e0a9d11\n",
            "/usr/local": "bin\nlib\n",
            pci.DEVICES: "".join(f"{name}\n" for name in names),
            f"{pci.DEVICES}/0000:00:1f.0/uevent": "PCI_CLASS=60100\nPCI_ID=8086:1B81\nPCI_SLOT_NAME=0000:00:1f.0\n",
            **uevents,
            **slots(at for at, uevent in devices.items() if "PCI_CLASS=30" in uevent),
        },
        runs={
            ("uname", "-m"): done("x86_64\n"),
            kernel_log.DMESG: done(f"[    0.000000] Linux version {release} (build@host) #1 SMP PREEMPT_DYNAMIC\n"),
            system.ENVIRONMENT: done("end\n"),
            linker.CACHE: cache(),
            container_toolkit.HOOK: Result(code=127, out="", err=""),
            dockerd.UNITS: docker_units("not-found"),
            user.COMMAND: done("uid=1000(user) gid=1000(user) groups=1000(user),27(sudo)\n"),
            pci_bridges.COMMAND: done(ROOT_PORT),  # no switch
            services.COMMAND: done(units()),
            module_command(release): Result(code=1, out="", err="modinfo: ERROR: Module nvidia not found.\n"),
        },
    )  # fmt: skip


ABSENT = f"0x{0:016x} 0x{0:016x} 0x{0:016x}\n"
BAR0 = "0x00000000b2000000 0x00000000b2ffffff 0x0000000000040200\n"
BAR1 = "0x0000028800000000 0x0000028fffffffff 0x000000000014220c\n" + ABSENT
BAR3 = "0x0000028400000000 0x0000028401ffffff 0x000000000014220c\n" + ABSENT
REGIONS = BAR0 + BAR1 + BAR3 + "0x0000000000003000 0x000000000000307f 0x0000000000040101\n" + ABSENT * 7


def slot(
    address: str, *, speed: str = "16.0 GT/s PCIe", width: int = 16, power: str = "D0", regions: str = REGIONS
) -> dict[str, str | None]:
    """What sysfs says of a GPU's link and its memory regions; of one that fell off the bus "Unknown" and 63."""
    told = {
        "power_state": power, "current_link_speed": speed, "current_link_width": str(width),
        "max_link_speed": "16.0 GT/s PCIe", "max_link_width": "16",
    }  # fmt: skip
    files = {f"{pci.DEVICES}/{address}/{name}": f"{text}\n" for name, text in told.items()}
    return {**files, f"{pci.DEVICES}/{address}/resource": regions}


def slots(addresses: Iterable[str]) -> dict[str, str | None]:
    return {name: text for address in addresses for name, text in slot(address).items()}


def units(fabric_manager: str = "not-found inactive", persistenced: str = "not-found inactive") -> str:
    """`systemctl show`, an empty line between two units. Each is what it is loaded as, and how it is."""
    blocks = []
    for name, states in zip(services.UNITS, (fabric_manager, persistenced), strict=True):
        load, active = states.split()
        result = "exit-code" if active == "failed" else "success"
        enabled = "enabled" if load == "loaded" else ""
        blocks.append(f"Result={result}\nId={name}\nLoadState={load}\nActiveState={active}\nUnitFileState={enabled}\n")
    return "\n".join(blocks)


def fabric_manager(version: str, active: str = "active") -> Described:
    shown = done(units(f"loaded {active}", "loaded active"))
    return Described(
        runs={services.COMMAND: shown, services.FABRIC_MANAGER: done(f"Fabric Manager version is : {version}\n")}
    )


def ports(
    above: dict[str, str], *, pci_id: str = "8086:352A", width: int = 16, speed: str = "32.0 GT/s PCIe"
) -> Described:
    """GPUs that nvidia has, each with the address of the port above it; "" = it is on the root bus."""
    files = {pcie.BOUND: "".join(f"{name}\n" for name in ("bind", *sorted(above), "module", "new_id", "unbind"))}
    links = {}
    for address, port in above.items():
        links[f"{pci.DEVICES}/{address}"] = (
            f"/sys/devices/pci{(port or address)[:7]}/{f'{port}/' if port else ''}{address}"
        )
        if port:
            folder = f"{pci.DEVICES}/{port}"
            files[f"{folder}/uevent"] = f"DRIVER=pcieport\nPCI_CLASS=60400\nPCI_ID={pci_id}\nPCI_SLOT_NAME={port}\n"
            files[f"{folder}/max_link_width"], files[f"{folder}/max_link_speed"] = f"{width}\n", f"{speed}\n"
    return Described(files={**files}, links=links)


DMI = {
    "aws": {"sys_vendor": "Amazon EC2"},  # and product_name is the instance type
    "gcp": {"sys_vendor": "Google", "product_name": "Google Compute Engine"},
    "azure": {
        "sys_vendor": "Microsoft Corporation", "product_name": "Virtual Machine", "chassis_asset_tag": cloud.AZURE_TAG,
    },
}  # fmt: skip
PLACES = {"aws": ("us-east-1", "us-east-1a"), "gcp": ("us-central1", "us-central1-a"), "azure": ("eastus", None)}


def rented(
    provider: str, instance_type: str, *events: CloudEvent, spot: bool = False, untold: str | None = None
) -> Described:
    """A machine of a cloud; `untold`: its metadata service does not answer, and why."""
    told = {**DMI[provider], **({"product_name": instance_type} if provider == "aws" else {})}
    region, zone = PLACES[provider]
    place = Cloud(provider=provider, instance_type=instance_type, region=region, zone=zone, spot=spot)
    if untold:
        place = Cloud(provider=provider, instance_type=None, untold=untold)
    answers = {"place": place, "events": CloudEvents(events=events, untold=untold)}
    return Described(
        files={f"{cloud.DMI}/{name}": f"{text}\n" for name, text in told.items()},
        runs={
            (*cloud.ASK, provider, what): done(f"{json.dumps(codec.dump(answer))}\n")
            for what, answer in answers.items()
        },
    )


def module_command(release: str) -> tuple[str, ...]:
    return ("modinfo", "-k", release, *kernel.MODULE_NAMES)


def gpu(address: str, pci_id: str, driver: str | None = "nvidia", pci_class: str = "30200") -> dict[str, str]:
    bound = f"DRIVER={driver}\n" if driver else ""
    return {address: f"{bound}PCI_CLASS={pci_class}\nPCI_ID={pci_id}\nPCI_SLOT_NAME={address}\n"}


def module(release: str, version: str, licence: str, signer: str | None) -> Described:
    """An nvidia module built for that kernel, not loaded."""
    text = MODINFO.format(
        kernel=release, version=version, licence=licence, signature=SIGNATURE.format(signer) if signer else ""
    )
    return Described(runs={module_command(release): Result(code=1, out=text, err="")})


def loaded(nvrm: str, version: str, gpus: int, *, uvm: int = 509, extra: tuple[str, ...] = ()) -> Described:
    """The module at work: /proc, its device nodes."""
    nodes = {f"/dev/nvidia{n}": (195, n) for n in range(gpus)}
    nodes |= {"/dev/nvidiactl": (195, 255), "/dev/nvidia-uvm": (uvm, 0), "/dev/nvidia-uvm-tools": (uvm, 1)}
    names = sorted([path.removeprefix("/dev/") for path in nodes] + ["null", "zero"])
    modules = ("nvidia_uvm", "nvidia_drm", "nvidia_modeset", "nvidia", *extra)
    return Described(
        files={
            "/proc/driver/nvidia/version": f"NVRM version: {nvrm.format(version)}\nGCC version:  gcc version 12.3.0\n",
            "/proc/modules": "".join(f"{name} 1 0 - Live 0x0000000000000000 (OE)\n" for name in modules),
            "/dev": "".join(f"{name}\n" for name in names),
        },
        nodes=nodes,
    )


def libraries(folder: str, version: str) -> Described:
    names = ("libcuda", "libnvidia-ml")
    links = {f"{folder}/{name}.so.1": f"{folder}/{name}.so.{version}" for name in names}
    return Described(links=links, runs={linker.CACHE: cache(*links)})


def cache(*files: str) -> Result:
    """`ldconfig -p`, shortened to these files; the first of a name is the one that is loaded."""
    rows = [
        f"\t{file.rpartition('/')[2]} (libc6,{'AArch64' if 'aarch64' in file else 'x86-64'}) => {file}\n"
        for file in (*files, "/lib/x86_64-linux-gnu/libc.so.6")
    ]
    return done(f"{len(rows)} libs found in cache `/etc/ld.so.cache'\n{''.join(rows)}")


BEFORE, STARTED, AFTER = 1763000000, 1763971200, 1763980000  # seconds since 1970: when Docker was started


def docker_units(docker_service: str, snap: str = "not-found") -> Result:
    """`systemctl show`: of a unit that is not there, too, it prints a block."""
    blocks = []
    for name, state in zip(dockerd.UNITS[3:], (docker_service, snap), strict=True):
        load, active = (state, "inactive") if state in ("not-found", "masked") else ("loaded", state)
        blocks.append(f"Id={name}\nLoadState={load}\nActiveState={active}\n")
    return done("\n".join(blocks))


def daemon(pid_file: str = dockerd.PID, options: str = "-H\0fd://\0") -> Described:
    """Docker's daemon at work."""
    return Described(
        files={pid_file: "1234\n", "/proc/1234/cmdline": f"/usr/bin/dockerd\0{options}"},
        times={pid_file: (STARTED, STARTED, STARTED)},
    )


def engine(version: str, api: str, **info: Any) -> Described:
    """Docker Engine's answers, shortened to the keys that gpucheck reads."""
    client = {"Version": version, "ApiVersion": api, "DefaultAPIVersion": api, "Os": "linux", "Arch": "amd64",
              "Context": "default"}  # fmt: skip
    server = {
        "Platform": {"Name": "Docker Engine - Community"}, "Components": [{"Name": "Engine", "Version": version}],
        "Version": version, "ApiVersion": api, "Os": "linux", "Arch": "amd64",
    }  # fmt: skip
    runc = {"io.containerd.runc.v2": {"path": "runc"}, "runc": {"path": "runc"}}
    told = {
        "Driver": "overlay2", "CgroupDriver": "systemd", "CgroupVersion": "2", "DefaultRuntime": "runc",
        "OperatingSystem": "Ubuntu 24.04.3 LTS", "DockerRootDir": "/var/lib/docker",
        "SecurityOptions": ["name=apparmor", "name=seccomp,profile=builtin", "name=cgroupns"], "Warnings": None,
        **info, "Runtimes": {**runc, **info.get("Runtimes", {})},
    }  # fmt: skip
    return daemon() | Described(
        runs={
            docker.VERSION: done(json.dumps({"Client": client, "Server": server}) + "\n"),
            docker.INFO: done(json.dumps(told) + "\n"),
        }
    )


def discovered(gpus: int) -> list[dict[str, str]]:
    """`docker info` of Engine 28.2 and later: what it found in CDI specs."""
    return [{"Source": "cdi", "ID": f"nvidia.com/gpu={name}"} for name in (*range(gpus), "all")]


def unreachable(version: str, api: str, said: str) -> Described:
    client = {"Client": {"Version": version, "ApiVersion": api, "Context": "default"}, "Server": None}
    return Described(runs={docker.VERSION: Result(code=1, out=json.dumps(client) + "\n", err=f"{said}\n")})


TOOLKIT_FILES = (dockerd.HOOK, dockerd.CDI_HOOK, dockerd.TOOLKIT, dockerd.DAEMON_JSON)
NVIDIA_RUNTIME = {"nvidia": {"path": "nvidia-container-runtime"}}
DAEMON_JSON = '{\n    "runtimes": {\n        "nvidia": {\n            "args": [],\n            "path": '
DAEMON_JSON += '"nvidia-container-runtime"\n        }\n    }\n}\n'


def toolkit(version: str) -> Described:
    """The NVIDIA Container Toolkit, registered with Docker."""
    return Described(
        files={"/etc/docker/daemon.json": DAEMON_JSON},
        runs={
            ("nvidia-ctk", "--version"): done(
                f"NVIDIA Container Toolkit CLI version {version}\ncommit: 0123456789ab\n"
            ),
            container_toolkit.HOOK: done("/usr/bin/nvidia-container-runtime-hook\n"),
        },
        nodes={"/usr/bin/nvidia-cdi-hook": (0, 0)},
        times=dict.fromkeys(TOOLKIT_FILES, (BEFORE, BEFORE, BEFORE)),
    )


def cdi(path: str, folder: str, version: str, gpus: int, uvm: int) -> Described:
    """A spec as `nvidia-ctk cdi generate` writes it, shortened to two libraries and one hook."""

    def node(name: str, major: int, minor: int, pad: str) -> str:
        return f"{pad}- path: /dev/{name}\n{pad}  major: {major}\n{pad}  minor: {minor}\n"

    def device(name: str, numbers: range) -> str:
        nodes = "".join(node(f"nvidia{n}", 195, n, " " * 8) for n in numbers)
        return f'  - name: "{name}"\n    containerEdits:\n      deviceNodes:\n{nodes}'

    def mount(name: str) -> str:
        file = f"{folder}/{name}.so.{version}"
        return f"    - hostPath: {file}\n      containerPath: {file}\n      options: [ro, nosuid, nodev, rbind]\n"

    text = (
        "---\ncdiVersion: 0.5.0\nkind: nvidia.com/gpu\ndevices:\n"
        + "".join(device(str(n), range(n, n + 1)) for n in range(gpus))
        + device("all", range(gpus))
        + "containerEdits:\n  env:\n    - NVIDIA_VISIBLE_DEVICES=void\n  deviceNodes:\n"
        + node("nvidia-uvm", uvm, 0, " " * 4)
        + node("nvidiactl", 195, 255, " " * 4)
        + "  hooks:\n    - hookName: createContainer\n      path: /usr/bin/nvidia-cdi-hook\n      args:\n"
        + f"        - nvidia-cdi-hook\n        - update-ldcache\n        - --folder\n        - {folder}\n  mounts:\n"
        + mount("libcuda")
        + mount("libnvidia-ml")
    )
    parent, _, name = path.rpartition("/")
    return Described(files={parent: f"{name}\n", path: text})


def python(path: str, *packages: str, files: dict[str, str] | None = None, by_pip: bool = True) -> Described:
    """`packages` are metadata folders; `files` are below site-packages."""
    site = path.replace("/bin/python3", "/lib/python3.12/site-packages")
    out = "".join(f"{line}\n" for line in (path, *(f"{site}/{package}" for package in packages)))
    return Described(
        files={
            **{f"{site}/{package}/INSTALLER": "pip\n" for package in packages if by_pip},
            **{f"{site}/{name}": text for name, text in (files or {}).items()},
        },
        runs={frameworks.COMMAND: done(out)},
    )


def tensorflow(version: str, cuda: str, cudnn: str) -> Described:
    info = (
        f"build_info = collections.OrderedDict([\n  ('cuda_version', '{cuda}'),\n  ('cudnn_version', '{cudnn[0]}'),\n"
    )
    info += "  ('is_cuda_build', True),\n  ('is_rocm_build', False)\n])\n"
    return python(
        "/home/user/.venv/bin/python3", "keras-3.12.0.dist-info", f"nvidia_cudnn_cu12-{cudnn}.dist-info",
        f"tensorflow-{version}.dist-info", files={"tensorflow/python/platform/build_info.py": info},
    )  # fmt: skip
