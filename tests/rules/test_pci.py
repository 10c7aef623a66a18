"""The GPU on the bus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpucheck import compat, engine
from gpucheck.facts import Facts, Library
from gpucheck.model import Finding, Status
from gpucheck.rules import HOST_RULES
from tests.rules.literals import CONTAINER, DXG, GPU0, H100, KERNEL, NO_DRIVER, SYSTEM, T4, WSL, bus

PASS, FAIL, SKIP, UNKNOWN = Status

WSL_DRIVER = replace(
    NO_DRIVER, libraries=(Library(path="/usr/lib/wsl/lib/libcuda.so.1.1", version=None),), devices=(DXG,)
)

WSL_CONTAINER = replace(WSL, container="docker")


CASES: list[tuple[str, tuple[Any, ...], Status, str]] = [
    ("pci.gpu-present", (SYSTEM, bus((H100, "nvidia"), (H100, None))), PASS, "2 NVIDIA GPUs"),
    ("pci.gpu-present", (SYSTEM, bus((T4, None)), NO_DRIVER), PASS, "0000:01:00.0"),
    ("pci.gpu-present", (SYSTEM, bus(), NO_DRIVER), FAIL, "no NVIDIA GPU"),
    ("pci.gpu-present", (CONTAINER, bus(), replace(NO_DRIVER, devices=(GPU0,))), PASS, "/dev/nvidia0"),
    ("pci.gpu-present", (SYSTEM, NO_DRIVER), UNKNOWN, "could not be looked at"),
    ("pci.gpu-present", (WSL, bus(), WSL_DRIVER), PASS, "/dev/dxg"),
    # /dev/dxg is there for every maker's GPU; NVIDIA's libraries are not.
    ("pci.gpu-present", (WSL, bus(), replace(WSL_DRIVER, libraries=())), FAIL, "none of NVIDIA's libraries"),
    ("pci.gpu-present", (WSL, bus(), NO_DRIVER), FAIL, "no /dev/dxg"),
    ("pci.gpu-present", (WSL, bus()), UNKNOWN, "could not be looked at"),
    ("pci.gpu-present", (WSL_CONTAINER, bus(), NO_DRIVER), FAIL, "no /dev/dxg"),
    # In a container the libraries can be anywhere.
    ("pci.gpu-present", (WSL_CONTAINER, bus(), replace(WSL_DRIVER, libraries=())), UNKNOWN, "/dev/dxg"),
    ("pci.gpu-present", (replace(SYSTEM, kernel="5.15.148-tegra"), bus(), NO_DRIVER), UNKNOWN, "Jetson"),
    ("pci.not-passed-through", (bus((T4, "nvidia"), (T4, "vfio-pci")),), PASS, "1 of 2"),
    ("pci.not-passed-through", (bus((T4, None)),), PASS, "none of 1"),
    ("pci.not-passed-through", (bus((T4, "vfio-pci"), (T4, "vfio-pci")),), FAIL, "all 2"),
    ("pci.not-passed-through", (bus(),), SKIP, "no NVIDIA GPU"),
]


@pytest.mark.parametrize(("rule", "facts", "status", "says"), CASES)
def test_rule(judged: Callable[..., Finding], rule: str, facts: tuple[Any, ...], status: Status, says: str) -> None:
    finding = judged(rule, *facts)
    assert finding.status is status, finding.message
    assert says in finding.message


def test_a_container_on_wsl2_needs_its_host_and_not_windows(judged: Callable[..., Finding]) -> None:
    remedy = judged("pci.gpu-present", WSL_CONTAINER, bus(), NO_DRIVER).remedy
    assert remedy
    assert "--gpus" in remedy.text


def test_a_hypervisor_that_gave_all_gpus_away_needs_no_driver() -> None:
    """One failure, and everything about the driver waits for it."""
    facts = (SYSTEM, bus((T4, "vfio-pci")), NO_DRIVER, replace(KERNEL, module_version=None))
    findings = engine.judge(HOST_RULES, Facts(known={type(fact): fact for fact in facts}), compat.load())
    assert [finding.rule for finding in findings if finding.status is FAIL] == ["pci.not-passed-through"]
    because = {finding.rule: finding.because for finding in findings}
    assert because["driver.installed"] == because["kernel.module-built"] == "pci.not-passed-through"
