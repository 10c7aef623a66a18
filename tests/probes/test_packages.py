"""Package managers. dpkg-query and apt's log: Debian 12; rpm: its man page; pacman: its folder of packages."""

from collections.abc import Callable
from typing import Any

import pytest

from gpucheck.facts import DriverPackage, Packages, Upgrade, Version
from gpucheck.host import CannotLook, Result
from gpucheck.probes import files, packages

Machine = Callable[..., Any]

DPKG = """hi  libnvidia-compute-570 570.133.07-0ubuntu0.24.04.1
ii  linux-modules-nvidia-570-generic 6.8.0-60.63+1
un  nvidia-driver\x20
rc  nvidia-driver-550 550.54.15-0ubuntu1
ii  nvidia-container-toolkit 1.17.8-1
ii  nvidia-driver-570 1:570.133.07-1
iU  nvidia-utils-570 570.133.07-0ubuntu0.24.04.1
"""
HISTORY = """
Start-Date: 2026-11-19  06:11:02
Commandline: /usr/bin/unattended-upgrade
Upgrade: nvidia-utils-570:amd64 (570.86.15-0ubuntu1, 570.124.06-0ubuntu1)
End-Date: 2026-11-19  06:11:03

Start-Date: 2026-11-20  06:32:11
Commandline: /usr/bin/unattended-upgrade
Requested-By: ann (1000)
Upgrade: tzdata:amd64 (2026b, 2026c), libnvidia-compute-570:amd64 (570.124.06-0ubuntu1, 570.133.07-0ubuntu1)
End-Date: 2026-11-20  06:32:40

Start-Date: 2026-11-21  09:00:00
Commandline: apt-get install /home/ann/nvidia-container-toolkit.deb
Install: nvidia-container-toolkit:amd64 (1.17.8-1)
End-Date: 2026-11-21  09:00:03
"""
UNATTENDED = Upgrade(when="2026-11-20 06:32:11", by="unattended-upgrade", version=Version("570.133.07"))


def test_debian(machine: Machine) -> None:
    runs = {packages.DPKG: Result(code=1, out=DPKG, err="dpkg-query: no packages found matching cuda-drivers*\n")}
    found = packages.probe(machine({"/var/lib/dpkg": "status\n", packages.HISTORY: HISTORY}, runs))
    version = Version("570.133.07")
    assert found == Packages(
        manager="dpkg",
        driver=(
            DriverPackage(name="libnvidia-compute-570", version=version, held=True),
            DriverPackage(name="nvidia-driver-570", version=version, held=False),
        ),
        upgrade=UNATTENDED,
        runfile=False,
    )


def test_a_first_installation_is_a_change_too() -> None:
    text = "Start-Date: 2026-11-20  06:32:11\n"
    text += "Install: xserver-xorg-video-nvidia-570:amd64 (570.124.06-0ubuntu1, automatic)\n"
    assert packages.parse_history(text) == Upgrade(when="2026-11-20 06:32:11", by=None, version=Version("570.124.06"))


@pytest.mark.parametrize("text", ["", "torn", "\n\n\n" * 100_000, "Upgrade: " + "nvidia" * 300_000, HISTORY[:80]])
def test_a_log_without_a_driver(text: str) -> None:
    assert packages.parse_history(text) is None


def test_what_is_kept_of_a_log_is_the_drivers_line() -> None:
    kept = packages.kept_history(HISTORY)
    assert packages.parse_history(kept) == UNATTENDED
    assert "ann" not in kept
    assert packages.kept_history("nothing") == ""


def test_red_hat(machine: Machine) -> None:
    out = "nvidia-driver-cuda-libs 580.119.02 1795155130\nkmod-nvidia-open-dkms 580.119.02 1795155131\n"
    out += "nvidia-container-toolkit 1.17.8 1795155140\n"
    locked = "# nvidia-driver-1\n3:nvidia-driver-cuda-libs-580.119.02-1.fc41.*\n!kmod-nvidia-open-dkms-580.1\n"
    host = machine(
        {"/usr/lib/sysimage/rpm": "rpmdb.sqlite\n", packages.LOCKED: locked},
        {packages.RPM: Result(code=0, out=out, err="")},
    )
    found = packages.probe(host)
    assert [(package.name, package.held) for package in found.driver] == [
        ("nvidia-driver-cuda-libs", True),
        ("kmod-nvidia-open-dkms", False),
    ]
    assert found.upgrade == Upgrade(when="2026-11-20 06:12:11 UTC", by=None, version=Version("580.119.02"))
    assert packages.parse_rpm(out, packages.kept_locked(locked)) == (found.driver, found.upgrade)


def test_arch(machine: Machine) -> None:
    names = "ALPM_DB_VERSION\nlinux-6.17.8.arch1-1\nnvidia-open-580.105.08-4\nnvidia-utils-580.105.08-1\n"
    found = packages.probe(machine({"/var/lib/pacman": "local\n", packages.PACMAN: names}))
    assert [package.name for package in found.driver] == ["nvidia-open", "nvidia-utils"]
    assert packages.parse_pacman(packages.kept_pacman(names)) == found.driver


def installer(there: bool) -> tuple[dict[str, str], dict[tuple[str, ...], Result]]:
    stat = ("stat", "-L", "-c", files.STAT_FORMAT, packages.UNINSTALL)
    gone = f"stat: cannot statx '{packages.UNINSTALL}': No such file or directory\n"
    line = f"81ed 0 0 755 root {packages.UNINSTALL}\n"
    log = "nvidia-installer log file '/var/log/nvidia-installer.log'\ncreation time: Fri Jun 29 14:46:35 2026\n"
    log += "installer version: 570.124.04\n\nPATH: /home/ann/bin\n"
    return {packages.INSTALLER: log}, {stat: Result(code=int(not there), out=line * there, err=gone * (not there))}


@pytest.mark.parametrize("there", [True, False])
def test_a_run_file_counts_while_its_uninstaller_is_here(machine: Machine, there: bool) -> None:
    found = packages.probe(machine(*installer(there)))
    assert (found.runfile, found.runfile_version) == (there, Version("570.124.04") if there else None)


def test_a_run_file_whose_log_may_not_be_read(machine: Machine) -> None:
    found = packages.probe(machine({packages.INSTALLER: CannotLook("Permission denied")}, installer(True)[1]))
    assert (found.runfile, found.runfile_version) == (True, None)


def test_what_is_kept_of_the_installers_log() -> None:
    log = installer(True)[0][packages.INSTALLER]
    assert packages.kept_installer(log) == "installer version: 570.124.04\n"


def test_a_machine_of_none_of_these_starts_no_process(machine: Machine) -> None:
    host = machine({packages.HISTORY: CannotLook("Permission denied")})
    assert packages.probe(host) == Packages(manager=None, driver=(), upgrade=None, runfile=False)
    assert host.asked == []


NOBODY = "".join(f"dpkg-query: no packages found matching {name}\n" for name in packages.NAMES)
LOST = "error: cannot open Packages database in /var/lib/rpm\n"


@pytest.mark.parametrize(
    ("folder", "command", "result", "match"),
    [
        ("/var/lib/rpm", packages.RPM, Result(code=1, out="", err=LOST), "cannot open Packages database"),
        ("/var/lib/rpm", packages.RPM, Result(code=127, out="", err=""), "no rpm command"),
        ("/var/lib/rpm", packages.RPM, Result(code=0, out="\ufffd\0\n", err=""), "cannot be read"),
        ("/var/lib/dpkg", packages.DPKG, Result(code=127, out="", err=""), "no dpkg-query command"),
        ("/var/lib/dpkg", packages.DPKG, Result(code=2, out="", err="dpkg-query: error: x\n"), "error: x"),
        ("/var/lib/dpkg", packages.DPKG, Result(code=0, out="", err=""), "cannot be read"),
        ("/var/lib/dpkg", packages.DPKG, Result(code=1, out="", err=""), "it said nothing"),
        ("/var/lib/dpkg", packages.DPKG, Result(code=1, out="", err=NOBODY.partition("\n")[0]), "cannot be read"),
        ("/var/lib/dpkg", packages.DPKG, Result(code=0, out=f"{DPKG}\ufffd\n", err=""), "cannot be read"),
    ],
)
def test_a_list_that_is_not_told_is_no_empty_list(
    machine: Machine, folder: str, command: tuple[str, ...], result: Result, match: str
) -> None:
    with pytest.raises(CannotLook, match=match):
        packages.probe(machine({folder: "x\n"}, {command: result}))


@pytest.mark.parametrize("names", ["", "\ufffd\0\n"])
def test_an_empty_folder_of_packages_is_no_arch(machine: Machine, names: str) -> None:
    with pytest.raises(CannotLook, match="cannot be read"):
        packages.probe(machine({"/var/lib/pacman": "local\n", packages.PACMAN: names}))
    assert packages.kept_pacman(names) == ""


def test_a_machine_without_a_package_of_nvidia(machine: Machine) -> None:
    dpkg = {packages.DPKG: Result(code=1, out="", err=NOBODY)}
    assert packages.probe(machine({"/var/lib/dpkg": "status\n"}, dpkg)).driver == ()
    rpm = {packages.RPM: Result(code=0, out="", err="")}
    assert packages.probe(machine({"/var/lib/rpm": "rpmdb.sqlite\n"}, rpm)).driver == ()


@pytest.mark.parametrize("text", ["", DPKG, "ii  nvidia-acme 1.0\n", "\ufffd\0", "\n"])
def test_what_is_kept_of_a_list(machine: Machine, text: str) -> None:
    def told(text: str) -> object:
        try:
            return packages.probe(machine({"/var/lib/dpkg": ""}, {packages.DPKG: Result(code=0, out=text, err="")}))
        except CannotLook as reason:
            return str(reason)

    kept = packages.kept_dpkg(text)
    assert told(kept) == told(text)
    assert "acme" not in kept
    assert packages.parse_rpm(packages.kept_rpm(text)) == packages.parse_rpm(text)
