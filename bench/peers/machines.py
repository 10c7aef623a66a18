"""The fixture machines: of each a fake NVML profile, commands on PATH that print its texts, and files of its kernel.

All three are made from the description that tests/machines/make.py makes the recording from, so that the tools that run
here and gpucheck, which reads the recording, are told the same. The commands are shell scripts that print text.
"""

from __future__ import annotations

import shlex
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.peers import commands
from tests.conftest import FAKENVML, flat
from tests.machines.constructed import MACHINES
from tests.machines.parts import Described


@dataclass(frozen=True, kw_only=True)
class Machine:
    title: str
    name: str  # its folder in tests/machines
    gpus: int  # that it should have
    sudo: bool = True

    @property
    def described(self) -> Described:
        return MACHINES[self.name]


FIXTURES = (
    Machine(
        title="Healthy: one T4 at rest, PCIe Gen1 x8; one uncorrected ECC error in its lifetime, none now",
        name="t4-ubuntu2204-healthy",
        gpus=1,
    ),
    Machine(title="Healthy: eight H100", name="h100x8-healthy", gpus=8),
    Machine(title="Healthy: laptop, RTX 4090 at rest, PCIe Gen1 x8", name="rtx4090-laptop", gpus=1),
    Machine(title="No driver: no libnvidia-ml.so.1", name="no-driver", gpus=1),
    Machine(title="Libraries newer than the loaded module: nvmlInit gives 18", name="driver-library-mismatch", gpus=1),
    Machine(title="No module for the running kernel: nvmlInit gives 9", name="no-module-for-kernel", gpus=1),
    Machine(title="Eight H100, one handle gives 15 (GPU is lost)", name="h100x8-gpu-lost", gpus=8),
    Machine(title="Eight H100, Xid 79 in the kernel log, that GPU lost", name="gpu-off-the-bus-xid-79", gpus=8),
    Machine(title="The same T4, Xid 31 in the kernel log: a program's fault", name="xid-31-of-a-program", gpus=1),
    Machine(title="Eight H100, a row remapping failed", name="h100x8-row-remap-failed", gpus=8),
    Machine(title="Eight H100, 3 uncorrected ECC errors", name="h100x8-ecc-uncorrected", gpus=8),
    Machine(title="The same T4; dmesg and sudo refused to this user", name="kernel-log-restricted", gpus=1, sudo=False),
)
# Seen instead of our kernel's own. A kernel without modules has no /proc/modules, and none can be put there.
FOLDERS = {"/proc/driver": "driver", "/sys/bus/pci": "pci", "/var/log": "log"}
MODULES = Path("/proc/modules")
NAMESPACES = ("unshare", "--map-root-user", "--net", "--mount")  # a network of its own, and nothing in it


def profile(machine: Machine) -> dict[str, str]:
    """Keys and values for the fake NVML; none where there is no library."""
    described = machine.described
    if described.nvml is None:
        return {}
    table = dict(flat(tomllib.loads((FAKENVML / "profiles" / f"{described.nvml}.toml").read_text())))
    return {key: str(value) for key, value in {**table, **described.nvml_changes}.items() if value is not None}


def prepare(machine: Machine, folder: Path, library: Path) -> dict[str, str]:
    """Write all of the machine into the folder; the answer is the environment that puts a child on it."""
    programs = folder / "commands"
    programs.mkdir(parents=True)
    for name, script in commands.scripts(machine.described, sudo=machine.sudo).items():
        path = programs / name
        path.write_text(f'#!/bin/sh\necho "{name} $*" >> "$ASKED"\n{script}')
        path.chmod(0o755)
    files(machine.described, folder)
    environment = {
        "PATH": f"{programs}:/usr/bin:/bin", "HOME": str(folder), "LC_ALL": "C.UTF-8", "ASKED": str(folder / "asked"),
        "COLUMNS": "200", "NO_COLOR": "1",
    }  # fmt: skip
    keys = profile(machine)
    if keys:
        answering = machine.gpus - sum(key.startswith(("ret.nvmlDeviceGetHandle", "ret.*")) for key in keys)
        (folder / "profile").write_text("".join(f"{key}={value}\n" for key, value in keys.items()))
        environment |= {"FAKE_NVML_PROFILE": str(folder / "profile"), "LD_LIBRARY_PATH": str(library)}
        environment |= {"FAKE_CUDA_GPUS": str(answering)}
    return environment


def inside(folder: Path, command: Sequence[str]) -> tuple[str, ...]:
    """The command in namespaces of its own: no network at all, and the machine's files over our kernel's."""
    every = {**FOLDERS, str(MODULES): "modules"}
    mounts = "".join(
        f"mount --bind {shlex.quote(str(folder / own))} {there}\n"
        for there, own in every.items()
        if Path(there).exists()
    )
    return (*NAMESPACES, "sh", "-ec", f'{mounts}exec "$@"', "sh", *command)


def files(described: Described, folder: Path) -> None:
    for own in FOLDERS.values():
        (folder / own).mkdir()
    (folder / "modules").write_text(str(described.files.get("/proc/modules") or ""))
    for path, text in described.files.items():
        for there, own in FOLDERS.items():
            if path.startswith(f"{there}/") and isinstance(text, str) and path != "/sys/bus/pci/devices":
                here = folder / own / path.removeprefix(f"{there}/")
                here.parent.mkdir(parents=True, exist_ok=True)
                if not here.is_dir():
                    here.write_text(text)
                if "DRIVER=nvidia-nvswitch" in text:
                    (folder / "driver/nvidia-nvswitch/devices" / here.parent.name).mkdir(parents=True)
