"""Which libcuda a program loads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpucheck.facts import Gpu, Library, Linker, Nvml, Version
from gpucheck.model import Finding, Status
from tests.rules.literals import CONTAINER, DRIVER, NO_DRIVER, SYSTEM

PASS, FAIL, SKIP, UNKNOWN = Status

OWN = Library(path="/usr/lib/x86_64-linux-gnu/libcuda.so.570.124.06", version=Version("570.124.06"))
STUB = Library(path="/usr/local/cuda-12.8/targets/x86_64-linux/lib/stubs/libcuda.so", version=None)
OTHER = Library(path="/opt/old/libcuda.so.535.183.01", version=Version("535.183.01"))
NEWER = Library(path="/usr/local/cuda-12.9/compat/libcuda.so.575.57.08", version=Version("575.57.08"))
OLDER = Library(path="/usr/local/cuda-12.4/compat/libcuda.so.550.54.15", version=Version("550.54.15"))
SAME = Library(path="/usr/local/cuda-12.8/compat/libcuda.so.570.124.06", version=Version("570.124.06"))
MOUNTED = Library(path="/usr/lib/x86_64-linux-gnu/libcuda.so.580.65.06", version=Version("580.65.06"))
NONE = Linker(path=(), libcuda=(), cuda=())
BLIND = replace(NONE, cache_error="there is no /sbin/ldconfig here")
CACHELESS = replace(BLIND, cache=False)


def linker(*libcuda: Library, path: tuple[str, ...] = ()) -> Linker:
    return Linker(path=path, libcuda=libcuda, cuda=())


def gpus(*brands: str) -> Nvml:
    return Nvml(gpus=tuple(Gpu(index=index, brand=brand) for index, brand in enumerate(brands)))


ANSWERS = Nvml(driver_version=Version("570.124.06"))
RULES = ("linker.no-stub", "linker.compat-allowed", "linker.finds-drivers-libcuda")

CASES: list[tuple[str, tuple[Any, ...], Status, str]] = [
    ("linker.no-stub", (linker(OWN, STUB),), PASS, OWN.path),
    ("linker.no-stub", (linker(STUB, OWN),), FAIL, STUB.path),
    ("linker.no-stub", (NONE,), SKIP, "no libcuda"),
    ("linker.no-stub", (BLIND,), UNKNOWN, "ldconfig"),
    # NixOS has no cache; its programs are built to find the driver's own.
    *((rule, (CACHELESS, DRIVER, ANSWERS), SKIP, "NVML answers") for rule in RULES),
    *((rule, (CACHELESS, DRIVER, Nvml()), UNKNOWN, "ldconfig") for rule in RULES),
    *((rule, (CACHELESS, replace(DRIVER, libraries=(OTHER,)), ANSWERS), UNKNOWN, "ldconfig") for rule in RULES),
    *((rule, (BLIND, DRIVER, ANSWERS), UNKNOWN, "ldconfig") for rule in RULES),  # there is one, and it was not read
    # Where libnvidia-container mounts cuda-compat only its version tells. On a host it is no such thing.
    ("linker.compat-allowed", (linker(MOUNTED), DRIVER, gpus("NVIDIA"), CONTAINER), PASS, "1 data-center"),
    ("linker.compat-allowed", (linker(MOUNTED), DRIVER, gpus("GeForce"), CONTAINER), FAIL, "804"),
    ("linker.compat-allowed", (linker(MOUNTED), DRIVER, gpus("NVIDIA"), SYSTEM), PASS, "no compatibility library"),
    ("linker.finds-drivers-libcuda", (linker(MOUNTED), DRIVER, CONTAINER), SKIP, "on purpose"),
    ("linker.finds-drivers-libcuda", (linker(MOUNTED), DRIVER, SYSTEM), FAIL, "580.65.06"),
    ("linker.finds-drivers-libcuda", (linker(OTHER), DRIVER, CONTAINER), FAIL, "535.183.01"),
    ("linker.compat-allowed", (linker(OWN, NEWER), DRIVER), PASS, "no compatibility library"),
    ("linker.compat-allowed", (linker(NEWER, OWN), DRIVER, gpus("Tesla", "NVIDIA")), PASS, "2 data-center GPUs"),
    ("linker.compat-allowed", (linker(NEWER, OWN), DRIVER, gpus("NVIDIA", "GeForce RTX")), FAIL, "804"),
    ("linker.compat-allowed", (linker(NEWER, OWN), DRIVER, gpus("Quadro RTX")), UNKNOWN, "not known"),
    ("linker.compat-allowed", (linker(NEWER, OWN), DRIVER), UNKNOWN, "not known"),
    ("linker.compat-allowed", (linker(OLDER, OWN), DRIVER, gpus("NVIDIA")), FAIL, "803"),
    ("linker.compat-allowed", (linker(SAME), DRIVER, gpus("GeForce")), PASS, "own version"),
    ("linker.compat-allowed", (NONE, DRIVER), SKIP, "no libcuda"),
    ("linker.compat-allowed", (BLIND, DRIVER), UNKNOWN, "ldconfig"),
    ("linker.finds-drivers-libcuda", (linker(OWN, OTHER), DRIVER), PASS, "570.124.06"),
    ("linker.finds-drivers-libcuda", (linker(OTHER, OWN), DRIVER), FAIL, "535.183.01"),
    ("linker.finds-drivers-libcuda", (linker(OTHER, path=("/opt/old",)), DRIVER), FAIL, "LD_LIBRARY_PATH (/opt/old)"),
    ("linker.finds-drivers-libcuda", (linker(NEWER), DRIVER), SKIP, "on purpose"),
    ("linker.finds-drivers-libcuda", (linker(replace(OWN, version=None)), DRIVER), SKIP, "no version"),
    ("linker.finds-drivers-libcuda", (linker(OWN), NO_DRIVER), SKIP, "not told"),
    ("linker.finds-drivers-libcuda", (NONE, DRIVER), SKIP, "no libcuda"),
    ("linker.finds-drivers-libcuda", (BLIND, DRIVER), UNKNOWN, "ldconfig"),
]


@pytest.mark.parametrize(("rule", "facts", "status", "says"), CASES)
def test_rule(judged: Callable[..., Finding], rule: str, facts: tuple[Any, ...], status: Status, says: str) -> None:
    finding = judged(rule, *facts)
    assert finding.status is status, finding.message
    assert says in finding.message
