"""The installed cuDNN and the GPU."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from gpucheck.facts import Cudnn, Gpu, Library, Nvml, Version
from gpucheck.model import Finding, Status

PASS, FAIL, SKIP, UNKNOWN = Status


def cudnn(*versions: str | None) -> Cudnn:
    paths = [f"/usr/lib/x86_64-linux-gnu/libcudnn.so.{i}" for i in range(len(versions))]
    return Cudnn(
        libraries=tuple(
            Library(path=p, version=Version(v) if v else None) for p, v in zip(paths, versions, strict=True)
        )
    )


def gpu(capability: str) -> Nvml:
    return Nvml(gpus=(Gpu(index=0, compute_capability=Version(capability)),))


CASES: list[tuple[str, tuple[Any, ...], Status, str]] = [
    ("cudnn.supports-gpu", (cudnn("9.10.2"), gpu("6.1")), PASS, "9.10.2"),
    ("cudnn.supports-gpu", (cudnn("9.11.0"), gpu("6.1")), FAIL, "9.11"),
    ("cudnn.supports-gpu", (cudnn("9.28.0"), gpu("7.5")), PASS, "7.5"),
    ("cudnn.supports-gpu", (cudnn("9.28.0"), gpu("12.0")), PASS, "12.0"),
    # Which cuDNN was the first for Blackwell is not in the table.
    ("cudnn.supports-gpu", (cudnn("8.9.7"), gpu("12.0")), SKIP, "12.0 is not in our table"),
    ("cudnn.supports-gpu", (cudnn("8.0.5"), gpu("9.0")), SKIP, "9.0 is not in our table"),
    ("cudnn.supports-gpu", (cudnn(), gpu("7.5")), SKIP, "not installed"),
    ("cudnn.supports-gpu", (cudnn(None), gpu("7.5")), SKIP, "version"),
    ("cudnn.supports-gpu", (cudnn("9.11.0"),), SKIP, "table"),
]


@pytest.mark.parametrize(("rule", "facts", "status", "says"), CASES)
def test_rule(judged: Callable[..., Finding], rule: str, facts: tuple[Any, ...], status: Status, says: str) -> None:
    finding = judged(rule, *facts)
    assert finding.status is status, finding.message
    assert says in finding.message
