"""Container engines, the NVIDIA Container Toolkit and CDI."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from gpucheck.host import Result
from gpucheck.probes import container_toolkit, docker, dockerd, selinux
from tests.machines.constructed import basics
from tests.machines.parts import (
    AFTER,
    BEFORE,
    DEBIAN_FOLDER,
    FEDORA_41,
    NVIDIA_RUNTIME,
    OPEN,
    PROPRIETARY,
    REDHAT_FOLDER,
    STARTED,
    UBUNTU_2204,
    Described,
    cdi,
    daemon,
    discovered,
    docker_units,
    done,
    engine,
    gpu,
    libraries,
    linux,
    loaded,
    module,
    toolkit,
)

BOTH, ETC = basics.CDI_FOLDERS, ["/etc/cdi"]
DRIVER = basics.DESKTOP_DRIVER
WORKING = basics.WORKING
SOCKET = "unix:///var/run/docker.sock"
DOWN = "Cannot connect to the Docker daemon at {}. Is the docker daemon running?"
GONE = Result(code=127, out="", err="docker: no such command")
# The base package alone: nvidia-ctk and nvidia-cdi-hook, without the hook and its libnvidia-container.
NO_HOOK = Described(runs={container_toolkit.HOOK: Result(code=127, out="", err="")})


def base(version: str) -> Described:
    """The package nvidia-container-toolkit-base, not registered with Docker."""
    full = toolkit(version)
    times = {path: at for path, at in full.times.items() if path not in (dockerd.HOOK, dockerd.DAEMON_JSON)}
    return replace(full, files={}, times=times) | NO_HOOK


def stopped(said: str, context: str = "default", state: str = "inactive", snap: str = "not-found") -> Described:
    """No daemon of root's runs; what systemd says of it."""
    client = {"Client": {"Version": "28.2.2", "ApiVersion": "1.50", "Context": context}, "Server": None}
    answer = Result(code=1, out=json.dumps(client) + "\n", err=f"{said}\n")
    return Described(files={dockerd.PID: None}, runs={docker.VERSION: answer, dockerd.UNITS: docker_units(state, snap)})


def podman(version: str, *, rootless: bool = True, labels: bool = False) -> Described:
    """Podman's own command, and no docker."""
    told = {"Client": {"APIVersion": version, "Version": version, "GoVersion": "go1.23.4", "OsArch": "linux/amd64"}}
    info = {
        "host": {"cgroupManager": "systemd", "cgroupVersion": "v2", "ociRuntime": {"name": "crun"},
                 "security": {"rootless": rootless, "selinuxEnabled": labels}},
        "store": {"graphDriverName": "overlay", "graphRoot": "/home/user/.local/share/containers/storage"},
    }  # fmt: skip
    return Described(
        files={dockerd.PID: None},
        runs={docker.VERSION: GONE, docker.PODMAN_VERSION: done(json.dumps(told) + "\n"),
              docker.PODMAN_INFO: done(json.dumps(info) + "\n")},
    )  # fmt: skip


def on_kernel(release: str, described: Described) -> Described:
    """Podman tells its kernel as this machine's."""
    info = json.loads(described.runs[docker.PODMAN_INFO].out)
    info["host"]["kernel"] = release
    return described | Described(runs={docker.PODMAN_INFO: done(json.dumps(info) + "\n")})


def spec(path: str = "/etc/cdi/nvidia.yaml", version: str = "0.5.0", uvm: int = 509) -> Described:
    described = cdi(path, DEBIAN_FOLDER, DRIVER, gpus=1, uvm=uvm)
    text = (described.files[path] or "").replace("cdiVersion: 0.5.0", f"cdiVersion: {version}")
    return described | Described(files={path: text})


def rootless(version: str = "28.2.2", api: str = "1.50", **info: Any) -> Described:
    """This user's own Docker, and none of root's."""
    told = engine(
        version, api, SecurityOptions=["name=seccomp,profile=builtin", "name=rootless", "name=cgroupns"],
        DockerRootDir="/home/user/.local/share/docker", **info,
    )  # fmt: skip
    pid_file = "/run/user/1000/docker.pid"
    return told | Described(
        files={dockerd.PID: None, dockerd.USERS: "1000\n"}, times={pid_file: (STARTED, STARTED, STARTED)}
    )


def no_cgroups(value: str) -> Described:
    config = (
        f"#accept-nvidia-visible-devices-as-volume-mounts = false\n\n[nvidia-container-cli]\nno-cgroups = {value}\n"
    )
    return Described(files={container_toolkit.CONFIG: f'{config}\n[nvidia-container-runtime]\nmode = "auto"\n'})


FEDORA_KERNEL, FEDORA_DRIVER = "6.17.10-100.fc41.x86_64", "580.105.08"
FEDORA = (
    linux(FEDORA_41, FEDORA_KERNEL, cpus=32, memory_gib=62, devices=gpu("0000:01:00.0", "10DE:2757", pci_class="30000"))
    | module(FEDORA_KERNEL, FEDORA_DRIVER, "Dual MIT/GPL", "laptop_1700000000_0a1b2c3d")
    | loaded(OPEN, FEDORA_DRIVER, 1)
    | libraries(REDHAT_FOLDER, FEDORA_DRIVER)
    | basics.NO_FRAMEWORK
    | Described(nvml="rtx4090-laptop")
    | base("1.18.1")
    | cdi("/var/run/cdi/nvidia.yaml", REDHAT_FOLDER, FEDORA_DRIVER, gpus=1, uvm=509)
)
PODMAN = WORKING | base("1.18.1") | Described(nodes={"/usr/bin/nvidia-cdi-hook": (0, 0)})
NOTHING = engine("28.2.2", "1.50", CDISpecDirs=BOTH)
DESKTOP_INFO: dict[str, Any] = {"OperatingSystem": "Docker Desktop", "CgroupDriver": "cgroupfs", "CDISpecDirs": BOTH}

MACHINES: dict[str, Described] = {
    # --- healthy ---
    # The toolkit was installed, Docker restarted, and nothing registered: `--gpus` works by the hook.
    "docker-hook-only": WORKING | toolkit("1.17.8") | engine("26.1.4", "1.45", CgroupDriver="cgroupfs"),
    "docker29-cdi": WORKING
    | toolkit("1.18.1")
    | engine("29.2.1", "1.53", Driver="overlayfs", CDISpecDirs=BOTH, DiscoveredDevices=discovered(1))
    | spec("/var/run/cdi/nvidia.yaml"),
    "podman5-rootless-cdi": PODMAN
    | on_kernel(basics.DESKTOP_KERNEL, podman("5.4.2"))
    | spec("/var/run/cdi/nvidia.yaml", "0.7.0"),
    "rootless-docker-no-cgroups": WORKING | toolkit("1.17.8") | rootless(Runtimes=NVIDIA_RUNTIME) | no_cgroups("true"),
    "docker-desktop-wsl2": replace(basics.WSL, times={})
    | engine("29.1.5", "1.52", Runtimes=NVIDIA_RUNTIME, **DESKTOP_INFO)
    | NO_HOOK
    | Described(
        files={"/etc/docker/daemon.json": None, dockerd.PID: None},
        runs={("nvidia-ctk", "--version"): Result(code=127, out="", err="nvidia-ctk: no such command")},
    ),
    # A spec of before, which the one that is refreshed hides.
    "cdi-leftover-hidden": WORKING
    | toolkit("1.18.1")
    | engine("29.2.1", "1.53", CDISpecDirs=BOTH, DiscoveredDevices=discovered(1))
    | cdi("/etc/cdi/nvidia.yaml", DEBIAN_FOLDER, "570.86.15", gpus=1, uvm=510)
    | spec("/var/run/cdi/nvidia.yaml"),
    # --- the engine does not answer ---
    "docker-not-started": WORKING | toolkit("1.17.8") | stopped(DOWN.format(SOCKET)),
    "docker-daemon-json-torn": WORKING
    | toolkit("1.17.8")
    | stopped(DOWN.format(SOCKET), state="failed")
    | Described(files={container_toolkit.DAEMON_JSON: '{"runtimes": {"nvidia": {"path": "x"}},}\n'}),
    "docker-client-only": WORKING | toolkit("1.17.8") | stopped(DOWN.format(SOCKET), state="not-found"),
    "docker-desktop-stopped": WORKING
    | toolkit("1.17.8")
    | stopped(DOWN.format("unix:///home/user/.docker/desktop/docker.sock"), context="desktop-linux"),
    "docker-host-elsewhere": WORKING | toolkit("1.17.8") | stopped(DOWN.format("tcp://host"), state="active"),
    "docker-rootless-stopped": WORKING
    | toolkit("1.17.8")
    | stopped(DOWN.format("unix:///run/user/1000/docker.sock"), context="rootless"),
    "docker-snap-stopped": WORKING
    | toolkit("1.17.8")
    | stopped(DOWN.format(SOCKET), state="not-found", snap="inactive"),
    "docker-wsl-integration-off": basics.WSL
    | Described(
        files={dockerd.PID: None},
        runs={
            docker.VERSION: Result(
                code=1, err="", out="\nThe command 'docker' could not be found in this WSL 2 distro.\nWe recommend to "
                "activate the WSL integration in Docker Desktop settings.\n\nFor details about using Docker Desktop "
                "with WSL 2, visit:\n\nhttps://docs.docker.com/go/wsl2/\n\n",
            )
        },
    ),
    # --- the engine is not here ---
    "docker-desktop-linux": WORKING
    | toolkit("1.17.8")
    | engine("28.2.2", "1.50", KernelVersion="6.10.14-linuxkit", **DESKTOP_INFO),
    # --- the engine and the toolkit do not know of each other ---
    "docker-snap-without-gpus": WORKING
    | toolkit("1.17.8")
    | engine(
        "28.1.1+1", "1.49", OperatingSystem="Ubuntu Core 24", DockerRootDir="/var/snap/docker/common/var-lib-docker",
        CDISpecDirs=[],
    )
    | Described(files={dockerd.PID: None}, runs={dockerd.UNITS: docker_units("not-found", "active")}),
    "toolkit-after-docker": WORKING
    | toolkit("1.17.8")
    | engine("26.1.4", "1.45", CDISpecDirs=[])
    | Described(
        files={container_toolkit.DAEMON_JSON: None},
        times=dict.fromkeys((dockerd.HOOK, dockerd.CDI_HOOK, dockerd.TOOLKIT), (BEFORE, AFTER, AFTER)),
    ),
    "docker-reads-other-daemon-json": WORKING
    | toolkit("1.17.8")
    | NO_HOOK
    | engine("26.1.4", "1.45", CDISpecDirs=[])
    | daemon(options="-H\0fd://\0--config-file=/opt/docker/daemon.json\0"),
    "cdi-folder-not-read": WORKING
    | base("1.18.1")
    | engine("28.2.2", "1.50", CDISpecDirs=ETC)
    | spec("/var/run/cdi/nvidia.yaml"),
    "podman-without-spec": PODMAN | on_kernel(basics.DESKTOP_KERNEL, podman("5.4.2")),
    "podman-knows-no-cdi": PODMAN
    | on_kernel(basics.DESKTOP_KERNEL, podman("3.4.4"))
    | spec("/var/run/cdi/nvidia.yaml"),
    "podman-ignores-gpus": PODMAN
    | on_kernel(basics.DESKTOP_KERNEL, podman("4.9.3"))
    | spec("/var/run/cdi/nvidia.yaml"),
    # Docker 29.3 and later take such a request for one of AMD's.
    "gpus-flag-unanswered": WORKING
    | engine("29.4.0", "1.54", CDISpecDirs=BOTH, DiscoveredDevices=discovered(1))
    | spec("/var/run/cdi/nvidia.yaml")
    | Described(nodes={"/usr/bin/nvidia-cdi-hook": (0, 0)}),
    # --- CDI specs ---
    "cdi-too-new": PODMAN
    | on_kernel(basics.DESKTOP_KERNEL, podman("4.9.3"))
    | spec("/var/run/cdi/nvidia.yaml", "0.7.0"),
    "cdi-device-twice": WORKING
    | base("1.18.1")
    | NOTHING
    | spec("/etc/cdi/gpu.yaml")
    | spec()
    | Described(files={"/etc/cdi": "gpu.yaml\nnvidia.yaml\n"}),
    "cdi-other-major": WORKING
    | toolkit("1.17.8")
    | engine("28.2.2", "1.50", CDISpecDirs=BOTH, DiscoveredDevices=discovered(1))
    | spec(uvm=510),
    "cdi-hook-gone": WORKING
    | engine("28.2.2", "1.50", CDISpecDirs=BOTH, DiscoveredDevices=discovered(1))
    | spec(),
    # --- cgroups ---
    "rootless-docker-cgroups": WORKING | toolkit("1.17.8") | rootless(Runtimes=NVIDIA_RUNTIME) | no_cgroups("false"),
    "no-cgroups-for-root": WORKING
    | toolkit("1.17.8")
    | engine("26.1.4", "1.45", Runtimes=NVIDIA_RUNTIME, CDISpecDirs=[])
    | no_cgroups("true"),
    "rootless-toolkit-1-18-0": WORKING | toolkit("1.18.0") | rootless(Runtimes=NVIDIA_RUNTIME) | no_cgroups("true"),
    # --- SELinux ---
    "selinux-blocks-gpus": FEDORA
    | on_kernel(FEDORA_KERNEL, podman("5.4.2", labels=True))
    | Described(files={selinux.ENFORCE: "1", selinux.DEVICES: "0 0"}, nodes={"/usr/bin/nvidia-cdi-hook": (0, 0)}),
    # --- inside ---
    "container-little-shm": linux(
        UBUNTU_2204, basics.T4_KERNEL, cpus=4, memory_gib=16,
        devices={**gpu("0000:00:1e.0", "10DE:1EB8"), **gpu("0000:00:20.0", "10DE:1EB8")},
    )
    | loaded(PROPRIETARY, "525.89.02", 2)
    | libraries(DEBIAN_FOLDER, "525.89.02")
    | basics.NO_FRAMEWORK
    | Described(
        files={
            "/.dockerenv": "",
            "/proc/mounts": "proc /proc proc rw,nosuid,nodev,noexec,relatime 0 0\n"
            "shm /dev/shm tmpfs rw,nosuid,nodev,noexec,relatime,size=65536k,inode64 0 0\n"
            "/dev/nvme0n1p1 /etc/hosts ext4 rw,relatime,discard 0 0\n",
        },
        nvml="t4", nvml_changes={"gpu.retired_pending": 0},
    ),
}  # fmt: skip
