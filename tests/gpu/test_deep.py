"""On a machine with an NVIDIA GPU: every GPU makes its context, copies, computes and remembers as it should."""

from __future__ import annotations

import shutil
import time

import pytest

from gpucheck import compat, engine
from gpucheck.facts import Compute, Facts
from gpucheck.host import Local
from gpucheck.model import Status
from gpucheck.probes import DEEP_PROBES, PROBES, compute, nvml
from gpucheck.rules import DEEP_RULES, HOST_RULES

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(shutil.which("nvidia-smi") is None, reason="no NVIDIA GPU here (no nvidia-smi)"),
]


@pytest.fixture(scope="module")
def seen() -> Compute:
    return compute.probe(Local())


def test_every_gpu_of_nvml_was_tried(seen: Compute) -> None:
    told = nvml.probe(Local())
    expected = [
        uuid for gpu in told.gpus for uuid in ([device.uuid for device in gpu.mig_devices] if gpu.mig else [gpu.uuid])
    ]
    assert [gpu.uuid for gpu in seen.gpus] == expected
    assert seen.errors == ()
    by_uuid = {gpu.uuid: gpu for gpu in told.gpus}
    for gpu in seen.gpus:
        if gpu.uuid in by_uuid:
            assert gpu.pci_address == by_uuid[gpu.uuid].pci_address
            assert gpu.compute_capability == by_uuid[gpu.uuid].compute_capability


def test_a_healthy_gpu_is_found_healthy(seen: Compute) -> None:
    for gpu in seen.gpus:
        assert (dict(gpu.errors), gpu.stuck) == ({}, None)
        assert gpu.copies
        assert gpu.kernel
        assert gpu.memory
        assert (gpu.copies.wrong_to, gpu.copies.wrong_from, gpu.copies.alone) == (0, 0, True)
        assert (gpu.kernel.wrong, gpu.memory.wrong, gpu.memory.sums_wrong) == (0, 0, 0)


def test_figures_are_plausible(seen: Compute) -> None:
    for gpu in seen.gpus:
        assert gpu.copies
        assert gpu.kernel
        assert gpu.memory
        assert 1e8 < gpu.copies.to_gpu < 1e12
        assert 1e8 < gpu.copies.from_gpu < 1e12
        assert gpu.kernel.threads % 2048 == 0
        assert 0.4 < gpu.kernel.seconds < 3
        assert gpu.memory.bytes >= 2**20


def test_the_whole_is_done_in_time_and_no_rule_fails() -> None:
    start = time.monotonic()
    facts = engine.collect(PROBES, Local())
    facts |= engine.collect(DEEP_PROBES, Local(), deadline=compute.DEADLINE)
    assert time.monotonic() - start < 30 + 10
    findings = engine.judge((*HOST_RULES, *DEEP_RULES), Facts(known=facts.known, unknown=facts.unknown), compat.load())
    deep = {finding.rule: finding for finding in findings if finding.rule.startswith("compute.")}
    assert [f.message for f in deep.values() if f.status in (Status.FAIL, Status.UNKNOWN)] == []
