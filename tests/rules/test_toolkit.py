"""The CUDA toolkit and the GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gpucheck.facts import Gpu, Nvml, Pci, PciDevice, Toolkit, Version
from gpucheck.model import Finding, Status

PASS, FAIL, SKIP, UNKNOWN = Status


def cuda(version: str | None) -> Toolkit:
    return Toolkit(cuda=Version(version) if version else None, nvcc="nvcc", installs=())


def gpu(capability: str) -> Nvml:
    return Nvml(gpus=(Gpu(index=0, compute_capability=Version(capability)),))


V100 = Pci(gpus=(PciDevice(address="0000:01:00.0", device_id="1db1", driver=None),), nvswitches=())


CASES: list[tuple[str, tuple[Any, ...], Status, str]] = [
    ("toolkit.supports-gpu", (cuda("12.8"), gpu("12.0")), PASS, "12.0"),
    ("toolkit.supports-gpu", (cuda("12.4"), gpu("12.0")), FAIL, "12.8"),
    ("toolkit.supports-gpu", (cuda("13.0"), gpu("7.0")), FAIL, "12 is its last"),
    ("toolkit.supports-gpu", (cuda("13.0"), V100), FAIL, "7.0"),
    ("toolkit.supports-gpu", (cuda("13.0"), gpu("7.5")), PASS, "7.5"),
    ("toolkit.supports-gpu", (cuda("12.4"), gpu("99.0")), SKIP, "table"),
    ("toolkit.supports-gpu", (cuda(None), gpu("7.0")), SKIP, "no CUDA toolkit"),
]


@pytest.mark.parametrize(("rule", "facts", "status", "says"), CASES)
def test_rule(judged: Callable[..., Finding], rule: str, facts: tuple[Any, ...], status: Status, says: str) -> None:
    finding = judged(rule, *facts)
    assert finding.status is status, finding.message
    assert says in finding.message
