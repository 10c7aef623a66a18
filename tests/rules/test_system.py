"""The system around the GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpucheck.facts import DeviceNode, Driver, Gpu, Library, MigDevice, Nvml, System, Version
from gpucheck.model import Finding, Status
from tests.rules.literals import CONTAINER, GPU0, LIBRARIES, NO_DRIVER, SYSTEM, WSL, bus

PASS, FAIL, SKIP, UNKNOWN = Status

DRIVER = Driver(
    version=None, open_module=None, libraries=(Library(path="/usr/lib/wsl/lib/libcuda.so.1.1", version=None),),
    devices=(DeviceNode(path="/dev/dxg", major=10, minor=127, mode="666", group="root"),),
)  # fmt: skip
STRAY = Library(path="/usr/lib/x86_64-linux-gnu/libcuda.so.570.124.06", version=Version("570.124.06"))
NVML = Nvml(gpus=(Gpu(index=0, uuid="GPU-aaaa"), Gpu(index=1, uuid="GPU-bbbb")))
MIG = MigDevice(
    index=0, uuid="MIG-cccc", name=None, profile=None, gpu_instance=None, compute_instance=None,
    memory_total_bytes=None, memory_used_bytes=None,
)  # fmt: skip


def shell(**environment: str) -> System:
    return replace(SYSTEM, environment=environment)


def inside(container: str = "docker", **environment: str) -> System:
    return replace(SYSTEM, container=container, environment=environment)


VOID = inside(NVIDIA_VISIBLE_DEVICES="void")
MAC = replace(SYSTEM, os="macOS 15.5", os_family=None, platform="Darwin", kernel="24.5.0")
JETSON = replace(SYSTEM, kernel="5.15.148-tegra", jetson="NVIDIA Jetson AGX Orin Developer Kit")
ALPINE = replace(SYSTEM, os="Alpine Linux v3.22", os_family="alpine")
LIBCUDA, LIBNVML = LIBRARIES

CASES: list[tuple[str, tuple[Any, ...], Status, str]] = [
    ("system.wsl-uses-windows-driver", (WSL, DRIVER), PASS, "/usr/lib/wsl/"),
    ("system.wsl-uses-windows-driver", (WSL, replace(DRIVER, libraries=(*DRIVER.libraries, STRAY))), FAIL, STRAY.path),
    ("system.wsl-uses-windows-driver", (SYSTEM, DRIVER), SKIP, "not WSL2"),
    ("system.wsl-uses-windows-driver", (replace(WSL, container="docker"), DRIVER), SKIP, "container"),
    ("system.gpus-not-hidden", (SYSTEM, NVML), PASS, "not set"),
    ("system.gpus-not-hidden", (shell(CUDA_VISIBLE_DEVICES=""), NVML), FAIL, "hides every GPU"),
    ("system.gpus-not-hidden", (shell(CUDA_VISIBLE_DEVICES="-1"),), FAIL, "-1"),
    ("system.gpus-not-hidden", (shell(CUDA_VISIBLE_DEVICES="7"), NVML), FAIL, "7"),
    ("system.gpus-not-hidden", (shell(CUDA_VISIBLE_DEVICES="1,7,0"), NVML), PASS, "1 device"),
    ("system.gpus-not-hidden", (shell(CUDA_VISIBLE_DEVICES="0,1"), NVML), PASS, "2 devices"),
    ("system.gpus-not-hidden", (shell(CUDA_VISIBLE_DEVICES="GPU-bb"), NVML), PASS, "1 device"),
    ("system.gpus-not-hidden", (shell(CUDA_VISIBLE_DEVICES="GPU-ff"), NVML), FAIL, "GPU-ff"),
    (
        "system.gpus-not-hidden",
        (shell(CUDA_VISIBLE_DEVICES="MIG-cccc"), Nvml(gpus=(Gpu(index=0, mig_devices=(MIG,)),))),
        PASS,
        "1 device",
    ),
    ("system.gpus-not-hidden", (shell(CUDA_VISIBLE_DEVICES=""),), FAIL, "hides every GPU"),
    ("system.gpus-not-hidden", (shell(CUDA_VISIBLE_DEVICES="NoDevFiles"),), FAIL, "NoDevFiles"),
    ("system.gpus-not-hidden", (shell(CUDA_VISIBLE_DEVICES="5"),), UNKNOWN, "not known"),
    ("system.gpus-not-hidden", (shell(CUDA_VISIBLE_DEVICES="GPU-aa"), Nvml(gpus=(Gpu(index=0),))), UNKNOWN, "GPU-aa"),
    ("system.gpus-not-hidden", (shell(CUDA_VISIBLE_DEVICES="9" * 5000), NVML), FAIL, "hides every GPU"),
    ("system.gpus-not-hidden", (shell(CUDA_VISIBLE_DEVICES="²"), NVML), FAIL, "hides every GPU"),
    ("system.container-given-gpus", (VOID,), UNKNOWN, "could not be looked at"),
    ("system.container-given-gpus", (VOID, NO_DRIVER), FAIL, "'void'"),
    ("system.container-given-gpus", (CONTAINER, NO_DRIVER), FAIL, "without a GPU"),
    # CDI sets void, and gives the GPU.
    ("system.container-given-gpus", (VOID, replace(NO_DRIVER, devices=(GPU0,))), PASS, "1 GPU"),
    ("system.container-given-gpus", (VOID, NO_DRIVER, NVML), PASS, "2 GPUs"),
    ("system.container-given-gpus", (SYSTEM, NO_DRIVER), SKIP, "no container"),
    ("system.container-given-gpus", (replace(WSL, container="docker"), NO_DRIVER), SKIP, "/dev/dxg"),
    ("system.driver-capabilities", (SYSTEM, NO_DRIVER), SKIP, "no container"),
    ("system.driver-capabilities", (CONTAINER, NO_DRIVER), PASS, "not set"),
    ("system.driver-capabilities", (inside(NVIDIA_DRIVER_CAPABILITIES="video,all"), NO_DRIVER), PASS, "video,all"),
    (
        "system.driver-capabilities",
        (inside(NVIDIA_DRIVER_CAPABILITIES="graphics"), NO_DRIVER),
        FAIL,
        "compute and utility",
    ),
    (
        "system.driver-capabilities",
        (inside(NVIDIA_DRIVER_CAPABILITIES="utility"), replace(NO_DRIVER, libraries=(LIBNVML,))),
        FAIL,
        "there is no libcuda",
    ),
    # CDI gives all of them, whatever the variable says.
    (
        "system.driver-capabilities",
        (inside(NVIDIA_DRIVER_CAPABILITIES="graphics"), replace(NO_DRIVER, libraries=(LIBCUDA, LIBNVML))),
        PASS,
        "CDI",
    ),
    ("system.supported", (SYSTEM,), PASS, "Debian"),
    ("system.supported", (WSL, bus()), PASS, "Debian"),
    ("system.supported", (MAC,), FAIL, "macOS 15.5"),
    ("system.supported", (replace(SYSTEM, kernel="4.4.0-19041-Microsoft", wsl=True),), FAIL, "WSL1"),
    ("system.supported", (replace(WSL, kernel="5.15.167.4-microsoft-standard-WSL2"),), PASS, "Debian"),
    ("system.supported", (JETSON, bus()), FAIL, "Jetson AGX Orin"),
    # Thor's is on the bus, with NVML and all.
    ("system.supported", (JETSON, bus(("2b00", "nvidia"))), PASS, "Debian"),
    ("system.supported", (replace(SYSTEM, os=None, os_id=None),), UNKNOWN, "musl"),
    ("system.supported", (ALPINE,), FAIL, "musl"),
    ("system.cpu-not-forced", (SYSTEM,), PASS, "no variable"),
    ("system.cpu-not-forced", (shell(JAX_PLATFORMS="cuda,cpu"),), PASS, "no variable"),
    ("system.cpu-not-forced", (shell(JAX_PLATFORMS="cpu"),), FAIL, "JAX_PLATFORMS=cpu"),
    ("system.cpu-not-forced", (shell(KERAS_TORCH_DEVICE="CPU"),), FAIL, "KERAS_TORCH_DEVICE=CPU"),
    ("system.no-debug-variables", (SYSTEM,), PASS, "11"),
    ("system.no-debug-variables", (shell(CUDA_LAUNCH_BLOCKING="0", CUDA_PROFILE=""),), PASS, "11"),
    ("system.no-debug-variables", (shell(CUDA_LAUNCH_BLOCKING="1"),), FAIL, "CUDA_LAUNCH_BLOCKING=1"),
    ("system.images-for-processor", (SYSTEM,), PASS, "x86_64"),
    ("system.images-for-processor", (replace(SYSTEM, arch="aarch64"),), FAIL, "aarch64"),
    ("system.images-for-processor", (replace(SYSTEM, arch=""),), UNKNOWN, "processor"),
]


@pytest.mark.parametrize(("rule", "facts", "status", "says"), CASES)
def test_rule(judged: Callable[..., Finding], rule: str, facts: tuple[Any, ...], status: Status, says: str) -> None:
    finding = judged(rule, *facts)
    assert finding.status is status, finding.message
    assert says in finding.message


@pytest.mark.parametrize(("place", "says"), [("docker", "--gpus all"), ("kubernetes", "resources.limits")])
def test_who_started_a_container_can_give_it_gpus(judged: Callable[..., Finding], place: str, says: str) -> None:
    remedy = judged("system.container-given-gpus", inside(place), NO_DRIVER).remedy
    assert remedy
    assert says in remedy.text


@pytest.mark.parametrize(
    ("system", "says"),
    [(MAC, "SSH"), (JETSON, "l4t"), (ALPINE, "glibc"), (replace(SYSTEM, kernel="4.4.0-1-Microsoft"), "2")],
)
def test_each_system_that_is_not_supported_has_its_way_out(
    judged: Callable[..., Finding], system: System, says: str
) -> None:
    remedy = judged("system.supported", system).remedy
    assert remedy
    assert says in remedy.text
