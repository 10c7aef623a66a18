"""What GPUs do when they are given work."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpucheck.facts import (
    CallError,
    Compute,
    ComputeGpu,
    CopyTest,
    Gpu,
    GpuProcess,
    KernelTest,
    MemoryTest,
    Nvml,
    Pcie,
    PeerCopy,
    Peers,
    Slot,
)
from gpucheck.facts.compute import STAGES
from gpucheck.model import Finding, Status
from gpucheck.rules.deep import MEANINGS, UNTRIED

PASS, FAIL, SKIP, UNKNOWN = Status

COPIES = CopyTest(
    bytes=2**26, times=5, wrong_to=0, wrong_from=0, to_gpu=25e9, from_gpu=26e9, alone=True, pcie_gen=4, pcie_width=16
)
KERNEL = KernelTest(threads=270336, rounds=100000, launches=16, wrong=0, seconds=0.8)
MEMORY = MemoryTest(bytes=2**32, patterns=2, wrong=0, sums_wrong=0)
GPU = ComputeGpu(uuid="GPU-a", pci_address="0000:01:00.0", context=True, copies=COPIES, kernel=KERNEL, memory=MEMORY)
OTHER = replace(GPU, uuid="GPU-b", pci_address="0000:02:00.0")
MIG = replace(GPU, uuid="MIG-c")
THERE = PeerCopy(source="GPU-a", target="GPU-b", bytes=2**24, direct=True, wrong=0)
BACK = replace(THERE, source="GPU-b", target="GPU-a")
BOTH = Compute(gpus=(GPU, OTHER), peers=Peers(copies=(THERE, BACK)))
ONE = Compute(gpus=(GPU,))
TOLD = Gpu(index=0, uuid="GPU-a", pci_address="0000:01:00.0", pcie_gen_max=4, pcie_width_max=16)
TRAINS = GpuProcess(pid=4, kind="compute", used_bytes=None)
X4 = Pcie(slots=(Slot(gpu="0000:01:00.0", port="0000:00:01.0", virtual=False, width_max=4, gen_max=4),))


def refused(stage: str, call: str, code: int, name: str) -> Compute:
    """By the second of two: what came after has no result."""
    lost: dict[str, Any] = dict.fromkeys(STAGES[STAGES.index(stage) :])
    lost |= {"context": stage != "context", "errors": {stage: CallError(call=call, code=code, name=name)}}
    gone = replace(OTHER, **lost)
    return Compute(gpus=(GPU, gone))


def copied(**fields: Any) -> Compute:
    return Compute(gpus=(replace(GPU, copies=replace(COPIES, **fields)),))


def nvml(**fields: Any) -> Nvml:
    return Nvml(gpus=(replace(TOLD, **fields),))


def passed_on(*copies: PeerCopy, **fields: Any) -> Compute:
    return replace(BOTH, peers=Peers(copies=copies, **fields))


HUNG = replace(GPU, context=False, copies=None, kernel=None, memory=None, stuck="cuInit did not end within 13 s")
NOT_ALL = CallError(call="nvmlDeviceGetHandleByIndex", code=15, name="GPU_IS_LOST")
BUSY = refused("context", "cuDevicePrimaryCtxRetain", 46, "DEVICE_UNAVAILABLE")
OWN = Nvml(gpus=(Gpu(index=1, uuid="GPU-b", compute_mode="exclusive_process"),))
CASES: list[tuple[str, tuple[Any, ...], Status, str]] = [
    ("compute.context-made", (BOTH,), PASS, "2 GPUs"),
    ("compute.context-made", (refused("context", "cuInit", 802, "SYSTEM_NOT_READY"),), FAIL, "802"),
    ("compute.context-made", (refused("context", "dlopen", -1, "LIBRARY_NOT_FOUND"),), FAIL, "libcuda.so.1"),
    ("compute.context-made", (refused("context", "cuInit", 801, "NOT_SUPPORTED"),), FAIL, "801"),
    ("compute.context-made", (BUSY,), FAIL, "46"),
    ("compute.context-made", (BUSY, OWN), UNKNOWN, "one process at a time"),
    ("compute.context-made", (refused("context", "cuMemGetInfo_v2", 2, "OUT_OF_MEMORY"),), UNKNOWN, "memory is free"),
    ("compute.context-made", (Compute(gpus=(HUNG,)),), UNKNOWN, "cuInit did not end"),
    ("compute.context-made", (Compute(),), UNKNOWN, "no GPU"),
    ("compute.context-made", (replace(ONE, errors=(NOT_ALL,)),), UNKNOWN, "GPU_IS_LOST"),
    ("compute.context-made", (), UNKNOWN, "Compute"),
    ("compute.copies-intact", (BOTH,), PASS, "320 MiB"),
    ("compute.copies-intact", (copied(wrong_to=3),), FAIL, "3 bytes of 335544320"),
    ("compute.copies-intact", (copied(wrong_from=1),), FAIL, "on the way back"),
    ("compute.copies-intact", (copied(bytes=0),), UNKNOWN, "did not come to"),
    ("compute.copies-intact", (refused("copies", "cuMemHostAlloc", 2, "OUT_OF_MEMORY"),), UNKNOWN, "cuMemHostAlloc"),
    ("compute.copies-intact", (refused("copies", "cuMemcpyHtoDAsync_v2", 214, "ECC_UNCORRECTABLE"),), FAIL, "ECC"),
    ("compute.kernel-correct", (BOTH,), PASS, "4325376"),
    ("compute.kernel-correct", (Compute(gpus=(replace(GPU, kernel=replace(KERNEL, wrong=2)),)),), FAIL, "2 of 4325376"),
    ("compute.kernel-correct", (refused("kernel", "cuCtxSynchronize", 719, "LAUNCH_FAILED"),), FAIL, "719"),
    (
        "compute.kernel-correct",
        (refused("kernel", "cuModuleLoadDataEx", 221, "JIT_COMPILER_NOT_FOUND"),),
        UNKNOWN,
        "libnvidia-ptxjitcompiler",
    ),
    ("compute.kernel-correct", (Compute(gpus=(replace(GPU, kernel=None, stuck="SIGSEGV"),)),), UNKNOWN, "SIGSEGV"),
    ("compute.memory-intact", (BOTH,), PASS, "4096 MiB"),
    (
        "compute.memory-intact",
        (Compute(gpus=(replace(GPU, memory=replace(MEMORY, wrong=1)),)),),
        FAIL,
        "1 of 1073741824",
    ),
    (
        "compute.memory-intact",
        (Compute(gpus=(replace(GPU, memory=replace(MEMORY, sums_wrong=1)),)),),
        FAIL,
        "1 of 2 sums",
    ),
    ("compute.memory-intact", (refused("kernel", "cuLaunchKernel", 2, "OUT_OF_MEMORY"),), UNKNOWN, "cuLaunchKernel"),
    ("compute.copy-bandwidth", (ONE, nvml()), PASS, "25.0 GB/s of the 31.5 of PCIe 4 x16"),
    ("compute.copy-bandwidth", (ONE,), PASS, "PCIe 4 x16"),  # by the link itself
    ("compute.copy-bandwidth", (copied(to_gpu=12e9), nvml()), FAIL, "15.8 is the least"),
    ("compute.copy-bandwidth", (copied(from_gpu=1e9, pcie_gen=1), nvml()), FAIL, "the link was PCIe 1 x16"),
    ("compute.copy-bandwidth", (copied(to_gpu=6e9), nvml(), X4), PASS, "PCIe 4 x4"),
    ("compute.copy-bandwidth", (copied(to_gpu=12e9), nvml(processes=(TRAINS,))), UNKNOWN, "1 process computed"),
    ("compute.copy-bandwidth", (copied(to_gpu=12e9, alone=False), nvml()), UNKNOWN, "another GPU"),
    ("compute.copy-bandwidth", (copied(from_gpu=float("nan")), nvml()), UNKNOWN, "cannot be"),
    ("compute.copy-bandwidth", (copied(from_gpu=1e15), nvml()), UNKNOWN, "cannot be"),
    ("compute.copy-bandwidth", (copied(pcie_gen=None), nvml(pcie_gen_max=None)), SKIP, "no GPU"),
    ("compute.copy-bandwidth", (Compute(gpus=(MIG,)),), SKIP, "whole"),
    ("compute.copy-bandwidth", (refused("copies", "cuMemHostAlloc", 2, "OUT_OF_MEMORY"),), UNKNOWN, "cuMemHostAlloc"),
    ("compute.peers-intact", (BOTH,), PASS, "2 copies"),
    ("compute.peers-intact", (ONE,), SKIP, "two whole GPUs"),
    ("compute.peers-intact", (passed_on(THERE, replace(BACK, wrong=4096)),), FAIL, "4096 of 16777216"),
    ("compute.peers-intact", (passed_on(),), UNKNOWN, "GPU-a was in none"),
    (
        "compute.peers-intact",
        (passed_on(THERE, replace(BACK, wrong=None), stuck="cuMemcpyPeer hung"),),
        UNKNOWN,
        "hung",
    ),
    (
        "compute.peers-intact",
        (passed_on(replace(THERE, wrong=None, error=CallError(call="cuMemcpyPeer", code=999, name="UNKNOWN"))),),
        FAIL,
        "999",
    ),
    (
        "compute.peers-intact",
        (passed_on(error=CallError(call="cuInit", code=2, name="OUT_OF_MEMORY")),),
        UNKNOWN,
        "OUT_OF_MEMORY",
    ),
]


@pytest.mark.parametrize(("rule", "facts", "status", "says"), CASES)
def test_rule(judged: Callable[..., Finding], rule: str, facts: tuple[Any, ...], status: Status, says: str) -> None:
    finding = judged(rule, *facts)
    assert finding.status is status, finding.message
    assert says in finding.message


def test_the_gpu_is_named(judged: Callable[..., Finding]) -> None:
    finding = judged("compute.context-made", refused("context", "cuInit", 999, "UNKNOWN"))
    assert finding.affects == ("GPU-b",)
    assert finding.message.startswith("0000:02:00.0: ")
    assert "1 of 2" in finding.message


@pytest.mark.parametrize("code", sorted(UNTRIED))
def test_what_the_test_lacks_is_not_the_gpus_fault(judged: Callable[..., Finding], code: int) -> None:
    for rule, stage in (("copies-intact", "copies"), ("kernel-correct", "kernel"), ("memory-intact", "memory")):
        assert judged(f"compute.{rule}", refused(stage, "cuSomething", code, "SOMETHING")).status is UNKNOWN


@pytest.mark.parametrize("code", sorted(MEANINGS))
def test_a_number_comes_with_its_meaning(judged: Callable[..., Finding], code: int) -> None:
    assert MEANINGS[code] in judged("compute.context-made", refused("context", "cuInit", code, "NAME")).message
