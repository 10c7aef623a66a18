"""The driver: installed, loaded, of one version, in reach, and right for the GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpucheck.facts import (
    CallError,
    Driver,
    DriverPackage,
    Gpu,
    Library,
    Linker,
    Nvml,
    Packages,
    Suspend,
    Toolkit,
    Upgrade,
    User,
    Version,
)
from gpucheck.model import Finding, Status
from tests.rules.literals import (
    CONTAINER,
    CTL,
    DRIVER,
    DXG,
    GB10,
    GPU0,
    H100,
    K80,
    KERNEL,
    LIBRARIES,
    NO_DRIVER,
    OPERATORS,
    RTX3090,
    RTX4090,
    RTX5090,
    SYSTEM,
    T4,
    UVM,
    V100,
    WSL,
    bus,
)

PASS, FAIL, SKIP, UNKNOWN = Status

NVML = Nvml(driver_version=Version("570.124.06"), cuda_version=Version("12.8"), gpus=(Gpu(index=0),))
DENIED = Nvml(error=CallError(call="nvmlInitWithFlags", code=4, name="NO_PERMISSION"))
CUDA_12_8 = Toolkit(cuda=Version("12.8"), nvcc="nvcc", installs=())
CUDA_13_0 = Toolkit(cuda=Version("13.0"), nvcc="nvcc", installs=())


NO_CUDA = Toolkit(cuda=None, nvcc=None, installs=())


def module(version: str, open_module: bool) -> Driver:
    return replace(DRIVER, version=Version(version), open_module=open_module)


def in_front(version: str) -> Linker:
    library = Library(path=f"/usr/local/cuda/compat/libcuda.so.{version}", version=Version(version))
    return Linker(path=(), libcuda=(library,), cuda=())


def narrow(mode: str) -> Driver:
    return replace(DRIVER, devices=(replace(CTL, mode=mode, group="video"), GPU0))


USER, ROOT = User(uid=1000, groups=("user", "sudo")), User(uid=0, groups=("root",))
SLEPT = Suspend(times=2, services=("nvidia-suspend", "nvidia-resume"))
PAIR = bus((RTX5090, "nvidia"), (RTX5090, "nvidia"))
PACKAGES = Packages(
    manager="dpkg",
    driver=(DriverPackage(name="libnvidia-compute-570", version=Version("570.133.07"), held=False),),
    upgrade=None,
    runfile=False,
)
UPGRADE = Upgrade(when="2026-11-20 06:32:11", by="unattended-upgrade", version=Version("570.124.06"))


def told(**parameters: str) -> Driver:
    names = {"PRESERVE": "PreserveVideoMemoryAllocations", "NOTIFIERS": "UseKernelSuspendNotifiers"}
    return replace(DRIVER, parameters={names[name]: value for name, value in parameters.items()})


UVM_CLOSED = replace(DRIVER, devices=(CTL, GPU0, replace(UVM, mode="660", group="video")))
CAPS = replace(GPU0, path="/dev/nvidia-caps-imex-channels", mode="500")
MODESET = replace(GPU0, path="/dev/nvidia-modeset", mode="600")

NEWER = Library(path="/usr/lib/x86_64-linux-gnu/libcuda.so.580.65.06", version=Version("580.65.06"))
BOUND = replace(
    DRIVER,
    libraries=tuple(
        Library(path=f"/.singularity.d/libs/{name}.so.1", version=None) for name in ("libcuda", "libnvidia-ml")
    ),
)
FOUND = Linker(
    path=("/opt/lib",),
    libcuda=(Library(path="/opt/lib/libcuda.so.570.124.06", version=Version("570.124.06")),),
    cuda=(),
)
CASES: list[tuple[str, tuple[Any, ...], Status, str]] = [
    ("driver.installed", (SYSTEM, DRIVER), PASS, "570.124.06"),
    ("driver.installed", (SYSTEM, replace(DRIVER, version=None)), PASS, "libcuda"),
    ("driver.installed", (SYSTEM, NO_DRIVER, KERNEL), PASS, "570.124.06"),
    ("driver.installed", (SYSTEM, NO_DRIVER, replace(KERNEL, module_version=None)), FAIL, "neither"),
    ("driver.installed", (SYSTEM, NO_DRIVER), UNKNOWN, "could not be looked at"),
    (
        "driver.installed",
        (SYSTEM, NO_DRIVER, replace(KERNEL, module_version=None, module_error="no modinfo")),
        UNKNOWN,
        "no modinfo",
    ),
    ("driver.installed", (CONTAINER, NO_DRIVER), SKIP, "host"),
    ("driver.installed", (WSL, NO_DRIVER), SKIP, "Windows"),
    ("driver.open-module-fits", (bus((H100, "nvidia")), DRIVER), PASS, "9.0"),
    ("driver.open-module-fits", (bus((RTX5090, None)), module("570.124.06", False)), FAIL, "12.0"),
    ("driver.open-module-fits", (bus((V100, None)), DRIVER), FAIL, "7.0"),
    ("driver.open-module-fits", (bus((V100, "nvidia")), module("570.124.06", False)), PASS, "7.0"),
    ("driver.open-module-fits", (bus((V100, None)), NO_DRIVER, replace(KERNEL, modules=())), FAIL, "proprietary"),
    ("driver.open-module-fits", (bus((V100, None)), replace(DRIVER, open_module=None), KERNEL), UNKNOWN, "kind"),
    ("driver.open-module-fits", (bus(("ffff", None)), DRIVER), SKIP, "table"),
    ("driver.open-module-fits", (bus((V100, "vfio-pci"), (H100, None)), DRIVER), PASS, "9.0"),
    ("driver.open-module-fits", (bus((K80, "nouveau"), (H100, "nvidia")), DRIVER), PASS, "9.0"),
    ("driver.open-module-fits", (bus((V100, None)), NO_DRIVER), SKIP, "no nvidia module"),
    ("driver.open-module-fits", (CONTAINER, NO_DRIVER), SKIP, "only the host of this container"),
    ("driver.open-module-fits", (SYSTEM, DRIVER), UNKNOWN, "PCI bus"),
    # An old card for the screen beside a GPU that works.
    ("driver.open-module-fits", (bus((V100, None), (RTX4090, "nvidia")), DRIVER), PASS, "0000:01:00.0"),
    ("driver.open-module-fits", (bus((V100, None), (K80, None)), DRIVER), FAIL, "3.7, 7.0"),
    ("driver.branch-supports-gpu", (DRIVER, bus((RTX5090, "nvidia"))), PASS, "12.0"),
    ("driver.branch-supports-gpu", (module("590.48.01", False), bus((V100, None))), FAIL, "580"),
    ("driver.branch-supports-gpu", (module("580.95.05", False), bus((V100, "nvidia"))), PASS, "580.95.05"),
    ("driver.branch-supports-gpu", (module("550.54.14", True), bus((RTX5090, None))), FAIL, "570"),
    (
        "driver.branch-supports-gpu",
        (NO_DRIVER, replace(KERNEL, module_version=Version("595.58.03")), bus((V100, None))),
        FAIL,
        "595.58.03",
    ),
    # Without a row, the driver of the first CUDA that knows the GPU.
    ("driver.branch-supports-gpu", (module("470.256.02", False), bus((RTX4090, None))), FAIL, "520"),
    ("driver.branch-supports-gpu", (module("450.80.02", False), bus((H100, None))), FAIL, "520"),
    ("driver.branch-supports-gpu", (module("390.157", False), bus((RTX3090, None))), FAIL, "455"),
    ("driver.branch-supports-gpu", (module("535.274.02", True), bus((GB10, None))), FAIL, "575"),
    ("driver.branch-supports-gpu", (module("470.256.02", False), bus((K80, None))), PASS, "3.7"),
    ("driver.branch-supports-gpu", (module("331.20", False), bus((K80, None))), SKIP, "3.7 is not in our table"),
    ("driver.branch-supports-gpu", (module("515.105.01", True), bus((H100, "nvidia")), NVML), PASS, "NVML lists"),
    ("driver.branch-supports-gpu", (module("590.48.01", True), bus((V100, "vfio-pci"), (T4, None))), PASS, "7.5"),
    ("driver.branch-supports-gpu", (DRIVER, bus(("ffff", None))), SKIP, "table"),
    ("driver.branch-supports-gpu", (NO_DRIVER, bus((V100, None))), SKIP, "no driver"),
    ("driver.module-loaded", (SYSTEM, DRIVER), PASS, "open"),
    ("driver.module-loaded", (SYSTEM, NO_DRIVER), FAIL, "not loaded"),
    ("driver.module-loaded", (CONTAINER, NO_DRIVER), FAIL, "not loaded"),
    # gVisor's kernel tells of no module.
    ("driver.module-loaded", (CONTAINER, NO_DRIVER, NVML), PASS, "NVML reached driver 570.124.06"),
    ("driver.module-loaded", (CONTAINER, NO_DRIVER, DENIED), FAIL, "not loaded"),
    ("driver.module-loaded", (WSL, NO_DRIVER), SKIP, "Windows"),
    ("driver.device-nodes", (SYSTEM, DRIVER), PASS, "1 GPU"),
    ("driver.device-nodes", (SYSTEM, replace(DRIVER, devices=(CTL, GPU0), modprobe=True)), PASS, "first use"),
    ("driver.device-nodes", (SYSTEM, replace(DRIVER, devices=(CTL, GPU0))), UNKNOWN, "without nvidia-modprobe"),
    ("driver.device-nodes", (SYSTEM, replace(DRIVER, devices=(CTL, GPU0)), ROOT), UNKNOWN, "without nvidia-modprobe"),
    ("driver.device-nodes", (SYSTEM, replace(DRIVER, devices=(CTL, GPU0)), USER), FAIL, "/dev/nvidia-uvm is not"),
    ("driver.device-nodes", (SYSTEM, replace(DRIVER, devices=(CTL,)), NVML, USER), FAIL, "/dev/nvidia-uvm is not"),
    ("driver.device-nodes", (CONTAINER, replace(DRIVER, devices=(CTL, GPU0))), FAIL, "/dev/nvidia-uvm"),
    ("driver.device-nodes", (CONTAINER, replace(DRIVER, devices=())), FAIL, "/dev/nvidiactl"),
    ("driver.device-nodes", (SYSTEM, replace(DRIVER, devices=(CTL,))), FAIL, "/dev/nvidia0"),
    ("driver.device-nodes", (SYSTEM, replace(DRIVER, devices=(), modprobe=True), NVML), PASS, "NVML reached 1"),
    ("driver.device-nodes", (SYSTEM, replace(DRIVER, devices=()), NVML), UNKNOWN, "without nvidia-modprobe"),
    ("driver.device-nodes", (SYSTEM, OPERATORS), SKIP, "pod"),
    ("driver.device-nodes", (WSL, replace(NO_DRIVER, devices=(DXG,))), SKIP, "/dev/dxg"),
    ("driver.libraries-match", (SYSTEM, DRIVER), PASS, "570.124.06"),
    ("driver.libraries-match", (SYSTEM, module("570.86.15", True)), FAIL, "570.86.15"),
    ("driver.libraries-match", (CONTAINER, replace(DRIVER, libraries=LIBRARIES[:1])), FAIL, "libnvidia-ml"),
    ("driver.libraries-match", (SYSTEM, replace(DRIVER, libraries=())), FAIL, "libcuda"),
    (
        "driver.libraries-match",
        (SYSTEM, replace(DRIVER, libraries=tuple(replace(x, version=None) for x in LIBRARIES))),
        UNKNOWN,
        "2 libraries",
    ),
    ("driver.libraries-match", (WSL, NO_DRIVER), SKIP, "Windows"),
    ("driver.libraries-match", (CONTAINER, NO_DRIVER), SKIP, "not told"),
    # Apptainer binds the real files to the links' names, in a folder of its own.
    ("driver.libraries-match", (CONTAINER, BOUND, NVML), SKIP, "NVML answers"),
    ("driver.libraries-match", (CONTAINER, BOUND, DENIED), UNKNOWN, "2 libraries"),
    ("driver.libraries-match", (CONTAINER, replace(DRIVER, libraries=()), NVML, FOUND), PASS, "/opt/lib/libcuda"),
    ("driver.libraries-match", (CONTAINER, module("570.86.15", True), NVML, FOUND), FAIL, "570.124.06"),
    ("driver.libraries-match", (CONTAINER, replace(DRIVER, libraries=()), DENIED, FOUND), FAIL, "libcuda"),
    ("driver.libraries-match", (CONTAINER, replace(DRIVER, libraries=()), NVML), FAIL, "libcuda"),
    (
        "driver.libraries-match",
        (CONTAINER, replace(module("570.86.15", True), libraries=()), NVML, FOUND),
        SKIP,
        "/opt/lib/libcuda",
    ),
    # cuda-compat, as libnvidia-container mounts it. Where libnvidia-ml is another's too, or on a host, it is none.
    ("driver.libraries-match", (CONTAINER, replace(DRIVER, libraries=(NEWER, LIBRARIES[1]))), PASS, "cuda-compat"),
    ("driver.libraries-match", (SYSTEM, replace(DRIVER, libraries=(NEWER, LIBRARIES[1]))), FAIL, "580.65.06"),
    (
        "driver.libraries-match",
        (CONTAINER, replace(DRIVER, libraries=(NEWER, replace(LIBRARIES[1], version=Version("580.65.06"))))),
        FAIL,
        "580.65.06",
    ),
    (
        "driver.libraries-match",
        (SYSTEM, module("570.86.15", True), replace(PACKAGES, upgrade=UPGRADE)),
        FAIL,
        "installed by unattended-upgrade on 2026-11-20 06:32:11",
    ),
    (
        "driver.libraries-match",
        (SYSTEM, module("570.86.15", True), replace(PACKAGES, runfile=True, runfile_version=Version("570.124.06"))),
        FAIL,
        ".run file put it beside dpkg's driver 570.133.07",
    ),
    ("driver.libraries-match", (SYSTEM, DRIVER, replace(PACKAGES, upgrade=UPGRADE)), PASS, "570.124.06"),
    ("packages.one-installer", (PACKAGES,), PASS, "dpkg has driver 570.133.07"),
    (
        "packages.one-installer",
        (replace(PACKAGES, runfile=True, runfile_version=Version("570.124.04")),),
        FAIL,
        "570.124.04",
    ),
    (
        "packages.one-installer",
        (replace(PACKAGES, runfile=True, runfile_version=Version("570.124.04"), driver=()),),
        PASS,
        "no package did",
    ),
    ("packages.one-installer", (replace(PACKAGES, driver=()),), SKIP, "no package of NVIDIA's driver"),
    ("packages.one-installer", (replace(PACKAGES, driver=(), manager=None),), SKIP, "no package manager"),
    ("packages.one-installer", (), UNKNOWN, "Packages"),
    ("driver.survives-suspend", (SYSTEM, told(PRESERVE="1"), SLEPT), PASS, "systemd calls"),
    ("driver.survives-suspend", (SYSTEM, told(PRESERVE="0"), SLEPT), FAIL, "PreserveVideoMemoryAllocations is 0"),
    (
        "driver.survives-suspend",
        (SYSTEM, told(PRESERVE="1"), replace(SLEPT, services=("nvidia-suspend",))),
        FAIL,
        "nvidia-resume are not enabled",
    ),
    ("driver.survives-suspend", (SYSTEM, told(PRESERVE="0", NOTIFIERS="1"), SLEPT), PASS, "kernel itself"),
    ("driver.survives-suspend", (SYSTEM, told(PRESERVE="0"), replace(SLEPT, times=0)), PASS, "not suspended"),
    ("driver.survives-suspend", (SYSTEM, told(PRESERVE="0"), replace(SLEPT, times=None)), SKIP, "does not count"),
    ("driver.survives-suspend", (SYSTEM, DRIVER, SLEPT), SKIP, "does not tell"),
    ("driver.survives-suspend", (SYSTEM, NO_DRIVER, SLEPT), SKIP, "no module"),
    ("driver.survives-suspend", (CONTAINER, DRIVER, SLEPT), SKIP, "docker"),
    ("driver.hmm-off-among-blackwells", (PAIR, replace(DRIVER, hmm=False)), PASS, "off"),
    ("driver.hmm-off-among-blackwells", (PAIR, replace(DRIVER, hmm=True)), FAIL, "2 GPUs"),
    ("driver.hmm-off-among-blackwells", (PAIR, DRIVER), SKIP, "not loaded"),
    (
        "driver.hmm-off-among-blackwells",
        (bus((RTX5090, None), (H100, None)), replace(DRIVER, hmm=True)),
        SKIP,
        "several",
    ),
    ("driver.devices-accessible", (DRIVER,), PASS, "3 nodes"),
    ("driver.devices-accessible", (narrow("660"), NVML), PASS, "660"),
    ("driver.devices-accessible", (narrow("660"), DENIED), FAIL, "video"),
    ("driver.devices-accessible", (narrow("660"),), UNKNOWN, "660"),
    ("driver.devices-accessible", (NO_DRIVER,), SKIP, "no device nodes"),
    ("driver.devices-accessible", (narrow("660"), USER), FAIL, "video"),
    ("driver.devices-accessible", (narrow("660"), replace(USER, groups=("user", "video"))), PASS, "660"),
    ("driver.devices-accessible", (narrow("640"), replace(USER, groups=("user", "video"))), FAIL, "640"),
    ("driver.devices-accessible", (narrow("600"), ROOT), PASS, "600"),
    # Root in a container whose device cgroup says no.
    ("driver.devices-accessible", (narrow("660"), DENIED, ROOT), FAIL, "NO_PERMISSION"),
    # An access list lets this user in; of nvidia-uvm NVML tells nothing.
    ("driver.devices-accessible", (narrow("660"), NVML, USER), PASS, "660"),
    ("driver.devices-accessible", (UVM_CLOSED, NVML, USER), FAIL, "/dev/nvidia-uvm"),
    # NVML never opens nvidia-uvm; CUDA does.
    ("driver.devices-accessible", (UVM_CLOSED, NVML), UNKNOWN, "/dev/nvidia-uvm"),
    (
        "driver.devices-accessible",
        (replace(UVM_CLOSED, devices=(replace(CTL, mode="660"), *UVM_CLOSED.devices[1:])), NVML),
        UNKNOWN,
        "/dev/nvidia-uvm has mode 660",
    ),
    ("driver.devices-accessible", (replace(DRIVER, devices=(CTL, GPU0, UVM, CAPS, MODESET)),), PASS, "3 nodes"),
    ("driver.runs-cuda", (DRIVER, CUDA_12_8), PASS, "525.60.13"),
    ("driver.runs-cuda", (DRIVER, CUDA_13_0), FAIL, "580.65.06"),
    ("driver.runs-cuda", (module("580.65.06", True), CUDA_13_0), PASS, "580.65.06"),
    # Forward compatibility: the libcuda that is loaded is a newer driver's.
    ("driver.runs-cuda", (DRIVER, CUDA_13_0, in_front("580.82.07")), PASS, "580.82.07 (on driver 570.124.06)"),
    ("driver.runs-cuda", (DRIVER, CUDA_13_0, in_front("575.57.08")), FAIL, "575.57.08"),
    ("driver.runs-cuda", (DRIVER, CUDA_13_0, in_front("535.54.03")), FAIL, "this is driver 570.124.06"),
    ("driver.runs-cuda", (DRIVER, NO_CUDA), SKIP, "no CUDA toolkit"),
    ("driver.runs-cuda", (DRIVER, replace(CUDA_12_8, cuda=Version("99.0"))), SKIP, "table"),
    ("driver.runs-cuda", (NO_DRIVER, CUDA_13_0, NVML), FAIL, "12.8"),
    ("driver.runs-cuda", (NO_DRIVER, CUDA_12_8, NVML), PASS, "12.8"),
    ("driver.runs-cuda", (NO_DRIVER, CUDA_12_8), UNKNOWN, "12.8"),
]


@pytest.mark.parametrize(("rule", "facts", "status", "says"), CASES)
def test_rule(judged: Callable[..., Finding], rule: str, facts: tuple[Any, ...], status: Status, says: str) -> None:
    finding = judged(rule, *facts)
    assert finding.status is status, finding.message
    assert says in finding.message


@pytest.mark.parametrize(
    ("os_id", "family", "gpu", "command"),
    [
        ("ubuntu", "debian", T4, "ubuntu-drivers install"),
        ("debian", "debian", T4, "nvidia-driver"),
        ("linuxmint", "debian", T4, None),
        ("fedora", "rhel", T4, "akmod-nvidia xorg-x11-drv-nvidia-cuda"),
        ("rocky", "rhel", T4, None),
        ("arch", "arch", T4, "nvidia-open"),
        ("arch", "arch", V100, None),  # not for the open module
        ("arch", "arch", "ffff", None),
    ],
)
def test_the_driver_is_installed_as_the_distribution_does(
    judged: Callable[..., Finding], os_id: str, family: str, gpu: str, command: str | None
) -> None:
    system = replace(SYSTEM, os_id=os_id, os_family=family)
    remedy = judged(
        "driver.installed", system, NO_DRIVER, replace(KERNEL, module_version=None), bus((gpu, None))
    ).remedy
    assert remedy
    commands = " ".join(remedy.commands_for(family))
    assert command in commands if command else not commands
    assert ("non-free" in remedy.text) is (os_id == "debian")
    assert ("RPM Fusion" in (remedy.precondition or "")) is (os_id == "fedora")


def test_in_a_container_the_host_must_act(judged: Callable[..., Finding]) -> None:
    remedy = judged("driver.device-nodes", CONTAINER, replace(DRIVER, devices=())).remedy
    assert remedy
    assert "--gpus" in remedy.text


def test_the_other_kind_of_module_is_named_by_its_package(judged: Callable[..., Finding]) -> None:
    wrong = ((bus((RTX5090, None)), module("580.95.05", False)), (bus((V100, None)), module("580.95.05", True)))
    remedies = [judged("driver.open-module-fits", *facts).remedy for facts in wrong]
    assert [("nvidia-driver-580-open" in r.text, "580 or older" in r.text) for r in remedies if r] == [
        (True, False),
        (False, True),
    ]


@pytest.mark.parametrize(("group", "joins"), [("vglusers", True), ("root", False), ("$(reboot)", False)])
def test_a_user_joins_the_group_that_may(judged: Callable[..., Finding], group: str, joins: bool) -> None:
    nodes = replace(DRIVER, devices=(replace(CTL, mode="660", group=group), GPU0))
    remedy = judged("driver.devices-accessible", nodes, USER).remedy
    assert remedy
    assert (f"usermod -aG {group}" in " ".join(remedy.commands_for("debian"))) is joins
