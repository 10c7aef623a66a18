"""The GPU on the bus."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpucheck import compat, engine
from gpucheck.facts import Facts, Library, Pci, PciBridges
from gpucheck.model import Finding, Status
from gpucheck.rules import HOST_RULES
from tests.rules.literals import CONTAINER, DXG, GPU0, H100, KERNEL, NO_DRIVER, SYSTEM, T4, WSL, bus

PASS, FAIL, SKIP, UNKNOWN = Status

WSL_DRIVER = replace(
    NO_DRIVER, libraries=(Library(path="/usr/lib/wsl/lib/libcuda.so.1.1", version=None),), devices=(DXG,)
)

WSL_CONTAINER = replace(WSL, container="docker")


GOOD: dict[str, Any] = {"answers": True, "power": "D0", "link_width": 16, "unassigned": ()}
GONE: dict[str, Any] = {**GOOD, "answers": False, "link_width": None}
NO_BAR: dict[str, Any] = {**GOOD, "unassigned": (1,)}
ASLEEP: dict[str, Any] = {**GOOD, "answers": None, "power": "D3cold", "link_width": None}


def two(*changes: dict[str, Any]) -> Pci:
    """A GPU for each, with these changes."""
    pci = bus(*((H100, "nvidia"),) * len(changes))
    return replace(pci, gpus=tuple(replace(gpu, **change) for gpu, change in zip(pci.gpus, changes, strict=True)))


# A sandbox such as gVisor's shows no PCI bus.
ON_THE_BUS = ("pci.not-passed-through", "pci.gpu-answers", "pci.bars-assigned", "pci.every-gpu-usable")

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
    ("pci.gpu-answers", (two(GOOD, GOOD),), PASS, "2 GPUs of 2"),
    ("pci.gpu-answers", (two(GOOD, GONE),), PASS, "1 GPU of 2"),
    ("pci.gpu-answers", (two(GONE, GONE),), FAIL, "0000:01:00.0, 0000:02:00.0"),
    # One of the two is a virtual machine's, so what is left has gone.
    ("pci.gpu-answers", (two({**GOOD, "driver": "vfio-pci"}, GONE),), FAIL, "0000:02:00.0"),
    ("pci.gpu-answers", (two(ASLEEP, ASLEEP),), SKIP, "asleep (D3cold)"),
    ("pci.gpu-answers", (two({**ASLEEP, "power": "suspended"}),), SKIP, "asleep (suspended)"),
    ("pci.gpu-answers", (bus((T4, "nvidia")),), SKIP, "does not tell"),
    ("pci.gpu-answers", (bus(),), SKIP, "no NVIDIA GPU"),
    ("pci.bars-assigned", (two(GOOD, GOOD),), PASS, "2 GPUs of 2"),
    ("pci.bars-assigned", (two(GOOD, NO_BAR),), PASS, "1 GPU of 2"),
    ("pci.bars-assigned", (two(NO_BAR, NO_BAR),), FAIL, "BAR 1 of 0000:01:00.0"),
    ("pci.bars-assigned", (bus((T4, None)),), UNKNOWN, "0000:01:00.0"),
    ("pci.bars-assigned", (bus(),), SKIP, "no NVIDIA GPU"),
    ("pci.every-gpu-usable", (two(GOOD, GOOD),), PASS, "all 2"),
    ("pci.every-gpu-usable", (two(GOOD, GONE),), FAIL, "1 of 2 GPUs no longer answer on the bus: 0000:02:00.0"),
    ("pci.every-gpu-usable", (two(NO_BAR, GOOD),), FAIL, "BAR without an address: 0000:01:00.0"),
    ("pci.every-gpu-usable", (two(GOOD, ASLEEP),), SKIP, "D3cold"),
    ("pci.every-gpu-usable", (bus((T4, "nvidia")),), SKIP, "not several"),
    *((rule, (CONTAINER,), SKIP, "only the host of this container") for rule in ON_THE_BUS),
    *((rule, (SYSTEM,), UNKNOWN, "could not be looked at") for rule in ON_THE_BUS),
    ("pci.peers-not-redirected", (PciBridges(redirecting=()),), PASS, "no port"),
    ("pci.peers-not-redirected", (PciBridges(redirecting=("0000:1a:00.0", "0000:42:00.0")),), FAIL, "2 ports"),
    ("pci.peers-not-redirected", (PciBridges(redirecting=None),), SKIP, "virtual machine"),
    ("pci.peers-not-redirected", (), UNKNOWN, "PciBridges"),
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


def test_what_is_left_out_of_the_firmware_is_put_right_there(judged: Callable[..., Finding]) -> None:
    for rule, gpus in (("pci.bars-assigned", (NO_BAR,)), ("pci.every-gpu-usable", (NO_BAR, GOOD))):
        remedy = judged(rule, two(*gpus)).remedy
        assert remedy
        assert "Above 4G Decoding" in remedy.text
