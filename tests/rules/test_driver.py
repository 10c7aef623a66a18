"""The driver: installed, loaded, of one version, in reach, and right for the GPU."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpucheck.facts import (
    CallError,
    Driver,
    Gpu,
    Nvml,
    Toolkit,
    Version,
)
from gpucheck.model import Finding, Status
from tests.rules.literals import (
    CONTAINER,
    CTL,
    DRIVER,
    DXG,
    GPU0,
    H100,
    KERNEL,
    LIBRARIES,
    NO_DRIVER,
    RTX5090,
    SYSTEM,
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


def narrow(mode: str) -> Driver:
    return replace(DRIVER, devices=(replace(CTL, mode=mode, group="video"), GPU0))


CASES: list[tuple[str, tuple[Any, ...], Status, str]] = [
    ("driver.installed", (SYSTEM, DRIVER), PASS, "570.124.06"),
    ("driver.installed", (SYSTEM, replace(DRIVER, version=None)), PASS, "libcuda"),
    ("driver.installed", (SYSTEM, NO_DRIVER, KERNEL), PASS, "570.124.06"),
    ("driver.installed", (SYSTEM, NO_DRIVER, replace(KERNEL, module_version=None)), FAIL, "neither"),
    ("driver.installed", (SYSTEM, NO_DRIVER), UNKNOWN, "could not be looked at"),
    ("driver.installed", (CONTAINER, NO_DRIVER), SKIP, "host"),
    ("driver.installed", (WSL, NO_DRIVER), SKIP, "Windows"),
    ("driver.open-module-fits", (bus((H100, "nvidia")), DRIVER), PASS, "9.0"),
    ("driver.open-module-fits", (bus((RTX5090, None)), module("570.124.06", False)), FAIL, "12.0"),
    ("driver.open-module-fits", (bus((V100, None)), DRIVER), FAIL, "7.0"),
    ("driver.open-module-fits", (bus((V100, "nvidia")), module("570.124.06", False)), PASS, "7.0"),
    ("driver.open-module-fits", (bus((V100, None)), NO_DRIVER, KERNEL), FAIL, "proprietary"),
    ("driver.open-module-fits", (bus(("ffff", None)), DRIVER), SKIP, "table"),
    ("driver.open-module-fits", (bus((V100, None)), NO_DRIVER), SKIP, "no nvidia module"),
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
    ("driver.branch-supports-gpu", (DRIVER, bus(("ffff", None))), SKIP, "table"),
    ("driver.branch-supports-gpu", (NO_DRIVER, bus((V100, None))), SKIP, "no driver"),
    ("driver.module-loaded", (SYSTEM, DRIVER), PASS, "open"),
    ("driver.module-loaded", (SYSTEM, NO_DRIVER), FAIL, "not loaded"),
    ("driver.module-loaded", (CONTAINER, NO_DRIVER), FAIL, "not loaded"),
    ("driver.module-loaded", (WSL, NO_DRIVER), SKIP, "Windows"),
    ("driver.device-nodes", (SYSTEM, DRIVER), PASS, "1 GPU"),
    ("driver.device-nodes", (SYSTEM, replace(DRIVER, devices=(CTL, GPU0))), PASS, "first use"),
    ("driver.device-nodes", (CONTAINER, replace(DRIVER, devices=(CTL, GPU0))), FAIL, "/dev/nvidia-uvm"),
    ("driver.device-nodes", (CONTAINER, replace(DRIVER, devices=())), FAIL, "/dev/nvidiactl"),
    ("driver.device-nodes", (SYSTEM, replace(DRIVER, devices=(CTL,))), FAIL, "/dev/nvidia0"),
    ("driver.device-nodes", (SYSTEM, replace(DRIVER, devices=()), NVML), PASS, "NVML reached 1"),
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
    ("driver.devices-accessible", (DRIVER,), PASS, "3 nodes"),
    ("driver.devices-accessible", (narrow("660"), NVML), PASS, "660"),
    ("driver.devices-accessible", (narrow("660"), DENIED), FAIL, "video"),
    ("driver.devices-accessible", (narrow("660"),), UNKNOWN, "660"),
    ("driver.devices-accessible", (NO_DRIVER,), SKIP, "no device nodes"),
    ("driver.runs-cuda", (DRIVER, CUDA_12_8), PASS, "525.60.13"),
    ("driver.runs-cuda", (DRIVER, CUDA_13_0), FAIL, "580.65.06"),
    ("driver.runs-cuda", (module("580.65.06", True), CUDA_13_0), PASS, "580.65.06"),
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


@pytest.mark.parametrize(("os_id", "command"), [("ubuntu", "ubuntu-drivers install"), ("debian", "nvidia-driver")])
def test_the_driver_is_installed_as_the_distribution_does(
    judged: Callable[..., Finding], os_id: str, command: str
) -> None:
    remedy = judged(
        "driver.installed", replace(SYSTEM, os_id=os_id), NO_DRIVER, replace(KERNEL, module_version=None)
    ).remedy
    assert remedy
    assert command in " ".join(remedy.commands_for("debian"))


def test_in_a_container_the_host_must_act(judged: Callable[..., Finding]) -> None:
    remedy = judged("driver.device-nodes", CONTAINER, replace(DRIVER, devices=())).remedy
    assert remedy
    assert "--gpus" in remedy.text
