"""The system around the GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpucheck.facts import DeviceNode, Driver, Gpu, Library, MigDevice, Nvml, System, Version
from gpucheck.model import Finding, Status
from tests.rules.literals import CONTAINER, GPU0, NO_DRIVER, SYSTEM, WSL

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


VOID = replace(CONTAINER, environment={"NVIDIA_VISIBLE_DEVICES": "void"})

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
    ("system.gpus-not-hidden", (VOID,), UNKNOWN, "void"),
    ("system.gpus-not-hidden", (VOID, NO_DRIVER), FAIL, "void"),
    # CDI sets void, and gives the GPU.
    ("system.gpus-not-hidden", (VOID, replace(NO_DRIVER, devices=(GPU0,))), PASS, "not set"),
    (
        "system.gpus-not-hidden",
        (VOID, NVML),
        PASS,
        "not set",
    ),
]


@pytest.mark.parametrize(("rule", "facts", "status", "says"), CASES)
def test_rule(judged: Callable[..., Finding], rule: str, facts: tuple[Any, ...], status: Status, says: str) -> None:
    finding = judged(rule, *facts)
    assert finding.status is status, finding.message
    assert says in finding.message
