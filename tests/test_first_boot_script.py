"""first-boot.sh and expiry.sh where no machine is set up: what they would run, on every distribution, by commands that
only write down how they were called."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
import yaml

from gpucheck import consoles, userdata
from gpucheck.consoles import Console
from gpucheck.userdata import Setup

PACKAGE = "gpucheck[verify] @ https://example.org/gpucheck-0.1.0-py3-none-any.whl"
RECORDED = "apt-get dnf dpkg rpm modprobe systemctl systemd-run nvidia-ctk docker".split()
KERNELS = {
    "ubuntu-22.04": "6.8.0-1015-aws", "ubuntu-24.04": "6.8.0-60-generic", "debian-12": "6.1.0-37-cloud-amd64",
    "rhel-9": "5.14.0-570.12.1.el9_6.x86_64", "amazon-linux-2023": "6.12.22-27.96.amzn2023.x86_64",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rig:
    """A folder that stands for the machine: its /etc, /var, /sys and /run, and the commands that are there."""

    root: Path

    def command(self, name: str, script: str) -> None:
        path = self.root / "bin" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def file(self, path: str, data: bytes = b"") -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_bytes(data)

    def place(self, script: str) -> Path:
        """The script, with its absolute paths in this folder."""
        placed = re.sub(r"(?<![\w.:/}])/(etc|var|sys|run|opt)/", rf"{self.root}/\1/", script)
        path = self.root / "script"
        path.write_text(placed)
        return path

    def run(self, script: str, *words: str) -> subprocess.CompletedProcess[str]:
        env = {"PATH": f"{self.root}/bin:{os.environ['PATH']}"}
        command = ["sh", "-eu", str(self.place(script)), *words] if words else ["sh", str(self.place(script))]
        return subprocess.run(command, capture_output=True, text=True, env=env)

    @property
    def calls(self) -> list[str]:
        path = self.root / "calls"
        return path.read_text().splitlines() if path.exists() else []

    def console(self) -> Console:
        return consoles.read((self.root / "console").read_text(), "gpucheck")

    def boot(self, setup: Setup, *words: str) -> subprocess.CompletedProcess[str]:
        settings, script = yaml.safe_load(userdata.render(setup))["write_files"]
        self.file("etc/gpucheck/first-boot.env", settings["content"].encode())
        return self.run(script["content"], *words)


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    made = Rig(tmp_path)
    (tmp_path / "bin").mkdir()
    for name in RECORDED:
        made.command(name, f'echo "{name} $*" >> {tmp_path}/calls')
    made.command("nvidia-smi", "exit 9")
    made.command(
        "dpkg", f'[ "$1" != --print-architecture ] || {{ echo amd64; exit; }}; echo "dpkg $*" >> {tmp_path}/calls'
    )
    made.command("rpm", "exit 1")
    made.command("python3", "exit 0")
    made.command("curl", f'for last; do :; done; echo "curl $last" >> {tmp_path}/calls; : > "$5"')
    made.file("etc/gpucheck/local.env", f"CONSOLE={tmp_path}/console RETRY=0\n".encode())
    made.file("run/systemd/system/unit")
    return made


def kernel(rig: Rig, release: str) -> None:
    rig.command("uname", f'[ "$1" = -m ] && echo x86_64 || echo {release}')


def installed(rig: Rig) -> set[str]:
    lines = [line for line in rig.calls if " install " in line]
    return {word for line in lines for word in line.split() if not word.startswith("-") and "::" not in word}


EXPECTED: dict[tuple[str, bool], set[str]] = {
    ("ubuntu-22.04", True): {
        "linux-modules-nvidia-580-server-open-aws", "nvidia-headless-no-dkms-580-server-open",
        "nvidia-utils-580-server",
    },
    ("ubuntu-24.04", False): {"linux-modules-nvidia-580-server-generic", "nvidia-headless-no-dkms-580-server"},
    ("debian-12", True): {"linux-headers-cloud-amd64", "nvidia-driver-pinning-580", "nvidia-open"},
    ("debian-12", False): {"linux-headers-cloud-amd64", "nvidia-driver-pinning-580", "cuda-drivers"},
    ("rhel-9", True): {"kernel-devel-matched", "nvidia-open"},
    ("rhel-9", False): {"kernel-devel-matched", "cuda-drivers"},
    ("amazon-linux-2023", True): {"kernel6.12-devel-6.12.22-27.96.amzn2023.x86_64", "nvidia-open"},
    ("amazon-linux-2023", False): {"kernel6.12-devel-6.12.22-27.96.amzn2023.x86_64", "cuda-drivers"},
}  # fmt: skip


@pytest.mark.parametrize(("distribution", "open_module"), EXPECTED)
def test_the_driver_of_each_distribution(rig: Rig, distribution: str, open_module: bool) -> None:
    kernel(rig, KERNELS[distribution])
    ran = rig.boot(Setup(package=PACKAGE, distribution=distribution, driver="580", open_module=open_module), "driver")
    assert ran.returncode == 0, ran.stderr
    assert EXPECTED[distribution, open_module] <= installed(rig)
    streams = [line for line in rig.calls if "module enable" in line]
    if distribution in ("rhel-9", "amazon-linux-2023"):
        assert streams == [f"dnf -y module enable nvidia-driver:580-{'open' if open_module else 'dkms'}"]
    fetched = [line for line in rig.calls if line.startswith("curl ")]
    assert all(line.startswith("curl https://developer.download.nvidia.com/compute/cuda/repos/") for line in fetched)
    assert bool(fetched) != distribution.startswith("ubuntu")
    assert not any("fabric" in line for line in rig.calls)


def test_gpus_that_are_linked_by_nvswitch_need_the_fabric_manager(rig: Rig) -> None:
    kernel(rig, KERNELS["ubuntu-22.04"])
    for name, vendor, kind in (("0000:00:01.0", "0x10de", "0x030200"), ("0000:00:02.0", "0x10de", "0x068000")):
        rig.file(f"sys/bus/pci/devices/{name}/vendor", vendor.encode() + b"\n")
        rig.file(f"sys/bus/pci/devices/{name}/class", kind.encode() + b"\n")
    assert rig.boot(Setup(package=PACKAGE, distribution="ubuntu-22.04", driver="580"), "driver").returncode == 0
    assert "nvidia-fabricmanager-580" in installed(rig)


@pytest.mark.parametrize("distribution", ["debian-12", "rhel-9", "amazon-linux-2023"])
def test_modules_that_secure_boot_would_refuse_are_not_installed(rig: Rig, distribution: str) -> None:
    kernel(rig, KERNELS[distribution])
    rig.file("sys/firmware/efi/efivars/SecureBoot-8be4df61", b"\x06\x00\x00\x00\x01")
    ran = rig.boot(Setup(package=PACKAGE, distribution=distribution, driver="580"), "driver")
    assert ran.returncode == 1
    assert "Secure Boot is on" in ran.stdout.splitlines()[-1]
    assert rig.calls == []
    rig.file("sys/firmware/efi/efivars/SecureBoot-8be4df61", b"\x06\x00\x00\x00\x00")
    assert rig.boot(Setup(package=PACKAGE, distribution="debian-12", driver="580"), "driver").returncode == 0


def test_canonicals_modules_are_signed(rig: Rig) -> None:
    kernel(rig, KERNELS["ubuntu-24.04"])
    rig.file("sys/firmware/efi/efivars/SecureBoot-8be4df61", b"\x06\x00\x00\x00\x01")
    assert rig.boot(Setup(package=PACKAGE, distribution="ubuntu-24.04", driver="580"), "driver").returncode == 0


def test_a_driver_that_works_is_left_alone(rig: Rig) -> None:
    kernel(rig, KERNELS["debian-12"])
    rig.command("nvidia-smi", "exit 0")
    assert rig.boot(Setup(package=PACKAGE, distribution="debian-12", driver="580"), "driver").returncode == 0
    assert rig.calls == []


def test_it_reboots_once_for_the_driver_and_goes_on(rig: Rig) -> None:
    """The second boot, whose driver still does not work, ends with what doctor has to say."""
    kernel(rig, KERNELS["ubuntu-22.04"])
    setup = Setup(package=PACKAGE, distribution="ubuntu-22.04", driver="580", steps=("doctor",))
    assert rig.boot(setup).returncode == 0
    assert rig.calls[-1] == "systemctl reboot --no-block"
    assert (rig.console().steps, rig.console().done) == (("driver", "reboot"), None)
    rig.file("opt/gpucheck/lib/python3/site-packages/gpucheck/consoles.py")
    for name in ("python", "gpucheck"):
        rig.command(name, f'echo "{name} $*" >> {rig.root}/calls; echo said')
        rig.file(f"opt/gpucheck/bin/{name}", (rig.root / "bin" / name).read_bytes())
        (rig.root / "opt/gpucheck/bin" / name).chmod(0o755)
    (rig.root / "run/gpucheck-boot").write_text("later\n")
    before = len(rig.calls)
    assert rig.boot(setup).returncode == 0
    later = rig.calls[before:]
    assert not any("systemctl reboot" in line or "linux-modules" in line for line in later)
    assert "nvidia-ctk runtime configure --runtime=docker --cdi.enabled" in later
    assert "gpucheck doctor --format json" in later
    assert rig.console().steps == ("docker", "toolkit", "gpucheck", "doctor")
    assert rig.console().done == {"doctor": 0}


def test_a_strangers_package_of_our_name_is_not_run(rig: Rig) -> None:
    rig.file("opt/gpucheck/bin/python", f"#!/bin/sh\necho python $* >> {rig.root}/calls\n".encode())
    (rig.root / "opt/gpucheck/bin/python").chmod(0o755)
    ran = rig.boot(Setup(package=PACKAGE, distribution="debian-12"), "gpucheck_itself")
    assert ran.returncode == 1
    assert ran.stdout.splitlines()[-1].endswith("is another project's")
    assert not (rig.root / "opt/gpucheck").exists()
    (install,) = rig.calls
    assert "--only-binary gpucheck gpucheck[verify] @" in install


@pytest.fixture
def expiry(rig: Rig) -> Callable[[], None]:
    """A boot's bootcmd."""
    (script,) = yaml.safe_load(userdata.render(Setup(package=PACKAGE, distribution="debian-12", minutes=30)))["bootcmd"]

    def boot() -> None:
        ran = rig.run(script)
        assert (ran.returncode, ran.stderr) == (0, "")

    return boot


def test_the_expiry_counts_from_the_first_boot(rig: Rig, expiry: Callable[[], None]) -> None:
    expiry()
    (timer,) = rig.calls
    assert timer.startswith("systemd-run --no-block --unit=gpucheck-expiry --on-active=1800 ")
    assert timer.endswith(" systemctl poweroff")
    rig.file("var/lib/gpucheck/expires", str(int(time.time()) + 600).encode())
    expiry()
    left = re.search(r"--on-active=(\d+) ", rig.calls[1])
    assert left
    assert int(left[1]) <= 600


def test_past_its_expiry_a_machine_ends_at_once(rig: Rig, expiry: Callable[[], None]) -> None:
    rig.file("var/lib/gpucheck/expires", b"1700000000")
    expiry()
    assert rig.calls == ["systemctl poweroff --no-block"]


def test_a_timer_that_cannot_be_set_ends_it_too(rig: Rig, expiry: Callable[[], None]) -> None:
    rig.command("systemd-run", "exit 1")
    expiry()
    assert rig.calls == ["systemctl poweroff --no-block"]
    assert "could not be set" in rig.console().notes[0]


def test_without_systemd_it_is_said(rig: Rig, expiry: Callable[[], None]) -> None:
    (rig.root / "run/systemd/system/unit").unlink()
    (rig.root / "run/systemd/system").rmdir()
    expiry()
    assert rig.calls == []
    assert "no systemd" in rig.console().notes[0]


def test_only_the_lines_of_another_setup_change(rig: Rig) -> None:
    """What is installed is told by the settings alone: the script is the same everywhere."""
    least = Setup(package=PACKAGE, distribution="rhel-9")
    texts = [yaml.safe_load(userdata.render(s))["write_files"][1] for s in (least, replace(least, driver="580"))]
    assert texts[0] == texts[1]
    assert rig.calls == []
