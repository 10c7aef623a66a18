from collections.abc import Callable
from typing import Any

import pytest

from gpucheck.facts import DeviceNode, Driver, Library, Version
from gpucheck.host import CannotLook, Result
from gpucheck.probes import driver, files
from tests.probes.real_files import answers

Machine = Callable[..., Any]

PROPRIETARY = """NVRM version: NVIDIA UNIX x86_64 Kernel Module  525.89.02  Wed Feb  1 23:23:25 UTC 2023
GCC version:  gcc version 11.3.0 (Ubuntu 11.3.0-1ubuntu1~22.04)
"""
OPEN = """NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.124.06  Release Build  (dvs-builder@U16-I3-B03-4-3)  Wed Feb 26 01:55:38 UTC 2025
GCC version:  gcc version 13.3.0 (Ubuntu 13.3.0-6ubuntu2~24.04)
"""  # noqa: E501
ASKED = [f"{folder}/{name}" for folder in files.LIBRARY_FOLDERS for name in ("libcuda.so.1", "libnvidia-ml.so.1")]
STAT = ("stat", "-L", "-c", files.STAT_FORMAT)
GONE = f"stat: cannot statx '{driver.MODPROBE}': No such file or directory\n"
NONE = {
    **answers(ASKED, {}),
    (*STAT, driver.MODPROBE): Result(code=1, out="", err=GONE),
}


@pytest.mark.parametrize(
    ("text", "version", "is_open"),
    [
        (PROPRIETARY, "525.89.02", False),
        (OPEN, "570.124.06", True),
        ("NVRM version: NVIDIA UNIX x86_64 Kernel Module  470.57  Tue Jul 1 UTC 2021\n", "470.57", False),
    ],
)
def test_versions(text: str, version: str, is_open: bool) -> None:
    assert driver.parse_version(text) == (Version(version), is_open)


@pytest.mark.parametrize("text", ["", "NVRM version: NVIDIA UNIX x86_64 Kernel Mod", "GCC version:  gcc version 11"])
def test_no_version_in_a_torn_file(text: str) -> None:
    assert driver.parse_version(text) == (None, None)


def test_a_machine_without_a_driver_starts_two_processes(machine: Machine) -> None:
    host = machine({"/dev": "null\nnvme0\nzero\n"}, NONE)
    assert driver.probe(host) == Driver(version=None, open_module=None, libraries=(), devices=(), modprobe=False)
    assert host.asked == [(*STAT, driver.MODPROBE), (*STAT, *ASKED)]


@pytest.mark.parametrize(("line", "there"), [("89ed 0 0 4755 root", True), ("81ed 0 0 755 root", False)])
def test_nvidia_modprobe_helps_a_user_only_where_it_is_setuid(machine: Machine, line: str, there: bool) -> None:
    stat = {(*STAT, driver.MODPROBE): Result(code=0, out=f"{line} {driver.MODPROBE}\n", err="")}
    assert driver.probe(machine({"/dev": "null\n"}, {**NONE, **stat})).modprobe is there


def test_on_wsl_the_libraries_may_be_where_windows_keeps_them(machine: Machine) -> None:
    """As in a container that the toolkit's CDI mode made: only single files of the driver store are mounted."""
    store = f"{driver.WSL_DRIVERS}/nv_dispi.inf_amd64_0373d825005116d0"
    there = (f"{store}/libnvidia-ml.so.1", f"{store}/libcuda.so.1.1")
    names = ("libcuda.so.1", "libnvidia-ml.so.1", "libcuda.so.1.1")
    asked = [f"{folder}/{name}" for folder in (*files.LIBRARY_FOLDERS, store) for name in names]
    stat = (*STAT, "/dev/dxg", driver.MODPROBE)
    stores = "hdaudio.inf_amd64_5e3d\nnv_dispi.inf_amd64_0373d825005116d0\n"
    runs = {
        **answers(asked, {path: path for path in there}),
        stat: Result(code=1, out="21b6 a 7d 666 root /dev/dxg\n", err=GONE),
    }
    found = driver.probe(machine({"/dev": "dxg\nnull\n", driver.WSL_DRIVERS: stores}, runs))
    assert tuple(library.path for library in found.libraries) == there
    assert found.devices[0].path == "/dev/dxg"


def test_a_machine_with_a_driver(machine: Machine) -> None:
    stat = (*STAT, "/dev/nvidia-caps", "/dev/nvidia-uvm", "/dev/nvidia0", "/dev/nvidiactl", driver.MODPROBE)
    real = "/usr/lib/x86_64-linux-gnu/lib{}.so.570.124.06"
    links = {f"/usr/lib/x86_64-linux-gnu/lib{name}.so.1": real.format(name) for name in ("cuda", "nvidia-ml")}
    links |= {"/usr/lib64/libnvidia-ml.so.1": real.format("nvidia-ml")}  # found twice, told of once
    lines = ["41ed 0 0 755 root /dev/nvidia-caps", "21b6 1ff 0 666 root /dev/nvidia-uvm"]
    lines += ["21b6 c3 0 666 root /dev/nvidia0", "21b0 c3 ff 660 video /dev/nvidiactl"]
    found = driver.probe(
        machine(
            {"/proc/driver/nvidia/version": OPEN, "/dev": "null\nnvidia-caps\nnvidia-uvm\nnvidia0\nnvidiactl\nnvme0\n"},
            {
                **answers(ASKED, links),
                stat: Result(code=1, out="".join(f"{line}\n" for line in lines), err=GONE),
            },
        )
    )
    assert found.libraries == (
        Library(path=real.format("cuda"), version=Version("570.124.06")),
        Library(path=real.format("nvidia-ml"), version=Version("570.124.06")),
    )
    assert found.devices == (
        DeviceNode(path="/dev/nvidia-uvm", major=511, minor=0, mode="666", group="root"),
        DeviceNode(path="/dev/nvidia0", major=195, minor=0, mode="666", group="root"),
        DeviceNode(path="/dev/nvidiactl", major=195, minor=255, mode="660", group="video"),
    )


def test_the_modules_own_version_where_proc_has_none(machine: Machine) -> None:
    found = driver.probe(machine({"/sys/module/nvidia/version": "535.54.03\n"}, NONE))
    assert (str(found.version), found.open_module) == ("535.54.03", None)


@pytest.mark.parametrize(
    ("path", "version"),
    [
        ("/usr/lib64/libcuda.so.550.54", "550.54"),
        ("/usr/lib/x86_64-linux-gnu/nvidia/current/libcuda.so.535.216.01", "535.216.01"),
        ("/usr/lib/wsl/lib/libcuda.so.1.1", None),
        ("/usr/lib/wsl/lib/libnvidia-ml.so.1", None),
    ],
)
def test_library_versions(path: str, version: str | None) -> None:
    assert files.library_version(path) == (version and Version(version))


# NVIDIA/open-gpu-kernel-modules, kernel-open/nvidia/nv-reg.h; a node with 580.105.08 prints so.
PARAMS = "ModifyDeviceFiles: 1\nDeviceFileUID: 0\nDeviceFileGID: 44\nDeviceFileMode: 432\nEnableMSI: 1\n"
PARAMS += 'PreserveVideoMemoryAllocations: 1\nTemporaryFilePath: "/var/tmp"\n'


def test_the_modules_parameters(machine: Machine) -> None:
    found = driver.probe(machine({"/proc/driver/nvidia/params": PARAMS, driver.NO_HMM: "N\n"}, NONE))
    assert found.parameters == {
        "ModifyDeviceFiles": "1",
        "DeviceFileGID": "44",
        "DeviceFileMode": "432",
        "PreserveVideoMemoryAllocations": "1",
    }
    assert found.hmm is True
    assert driver.parse_parameters(driver.kept_parameters(PARAMS)) == found.parameters


@pytest.mark.parametrize("text", ["", "torn", "\ufffd\0", CannotLook("Permission denied")])
def test_parameters_that_are_not_told_hide_nothing_else(machine: Machine, text: str | CannotLook) -> None:
    found = driver.probe(machine({"/proc/driver/nvidia/params": text, driver.NO_HMM: text}, NONE))
    assert (found.parameters, found.hmm) == ({}, None)


@pytest.mark.parametrize("text", ["\ufffd", "9" * 5000, "1\n"])
def test_a_version_that_is_none(machine: Machine, text: str) -> None:
    nvrm = f"NVRM version: NVIDIA UNIX x86_64 Kernel Module  {text}  Tue Jul 1 UTC 2021\n"
    found = driver.probe(machine({"/proc/driver/nvidia/version": nvrm, "/sys/module/nvidia/version": text}, NONE))
    assert found.version is None
