"""The compute probe where each function of libcuda fails, hangs or crashes: no pass on what was not got."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gpucheck import compat, engine
from gpucheck.facts import Compute, Facts
from gpucheck.host import Local, Result
from gpucheck.model import BUG, Status
from gpucheck.probes import compute
from gpucheck.rules import DEEP_RULES
from tests.conftest import FAKECUDA

# All with GPUCHECK_EVERY_FAULT=1: it takes minutes.
EVERY = bool(os.environ.get("GPUCHECK_EVERY_FAULT"))
FAULTS = (
    ("1", "2", "100", "700", "719", "802", "999", "12345", "hang", "abort", "segv")
    if EVERY
    else ("2", "999", "hang", "segv")
)
# The rules that lack something where a function gives nothing from its first call on.
CONTEXT, COPIES, KERNEL, MEMORY, PEERS = (
    "context-made",
    "copies-intact",
    "kernel-correct",
    "memory-intact",
    "peers-intact",
)
ALL = {CONTEXT, COPIES, KERNEL, MEMORY, PEERS}
WORK = {COPIES, KERNEL, MEMORY, PEERS}
ASKED = {
    "cuInit": ALL, "cuDeviceGetCount": ALL, "cuDeviceGet": ALL, "cuDeviceGetName": ALL - {PEERS},
    "cuDeviceGetPCIBusId": ALL - {PEERS}, "cuDeviceGetAttribute": ALL - {PEERS}, "cuDevicePrimaryCtxRetain": ALL,
    "cuCtxSetCurrent": ALL, "cuMemGetInfo_v2": ALL, "cuMemAlloc_v2": WORK, "cuMemsetD8_v2": WORK,
    "cuMemHostAlloc": {COPIES}, "cuMemcpyHtoDAsync_v2": {COPIES}, "cuMemcpyDtoHAsync_v2": {COPIES},
    "cuEventCreate": {COPIES, KERNEL}, "cuEventRecord": {COPIES, KERNEL}, "cuEventSynchronize": {COPIES, KERNEL},
    "cuEventElapsedTime": {COPIES, KERNEL}, "cuModuleLoadDataEx": {KERNEL, MEMORY},
    "cuModuleGetFunction": {KERNEL, MEMORY}, "cuLaunchKernel": {KERNEL, MEMORY},
    "cuCtxSynchronize": {KERNEL, MEMORY, PEERS}, "cuMemcpyDtoH_v2": {KERNEL, MEMORY, PEERS},
    "cuDeviceGetUuid_v2": {PEERS}, "cuDeviceCanAccessPeer": {PEERS}, "cuCtxEnablePeerAccess": {PEERS},
    "cuMemcpyPeer": {PEERS}, "cuMemcpyHtoD_v2": {PEERS}, "cuMemFree_v2": {PEERS},
}  # fmt: skip
UUIDS = tuple(f"GPU-00000000-0000-0000-0000-0000000000{n:02d}" for n in range(2))


class Faulty(Local):
    """GPUs whose CUDA has these lines in its profile; the list of them is given."""

    def __init__(self, profile: Path, library: Path, lines: str, gpus: int = 2) -> None:
        super().__init__()
        profile.write_text(f"count={gpus}\ngpu.free={12 * 2**20}\n{lines}\n")
        self._hurry = ("--deadline", "1") if "=hang" in lines else ()
        self._listed = json.dumps({"uuids": UUIDS[:gpus]})
        self._environment = (f"FAKE_CUDA_PROFILE={profile}", f"LD_LIBRARY_PATH={library}")

    def run(self, argv: Sequence[str], timeout: float = 5.0) -> Result:
        if "--list" in argv:
            return Result(code=0, out=self._listed, err="")
        return super().run(("env", *self._environment, sys.executable, "-P", *argv[1:], *self._hurry), timeout)


def passes(host: Local) -> set[str]:
    """The rules that passed, each asked alone; none has a bug."""
    facts = engine.collect({Compute: compute.probe}, host, deadline=compute.DEADLINE)
    assert [reason for reason in facts.unknown.values() if BUG in reason] == []
    found = {rule.id: engine.judge([rule], Facts(known=facts.known), compat.load())[0] for rule in DEEP_RULES}
    assert [finding.message for finding in found.values() if BUG in finding.message] == []
    return {name.partition(".")[2] for name, finding in found.items() if finding.status is Status.PASS}


def tried(folder: Path, library: Path, cases: Sequence[str], gpus: int = 2) -> dict[str, set[str]]:
    """Each case's passes; several at a time, for those that hang only wait."""

    def one(number: int) -> set[str]:
        return passes(Faulty(folder / f"profile-{number}", library, cases[number], gpus))

    with ThreadPoolExecutor(4) as pool:
        return dict(zip(cases, pool.map(one, range(len(cases))), strict=True))


def test_without_a_fault_all_pass(fakecuda_folder: Path, tmp_path: Path) -> None:
    # Half a GB/s on a link that nobody knows: the bandwidth has nothing to be judged by.
    assert passes(Faulty(tmp_path / "profile", fakecuda_folder, "")) == ALL


def test_every_function_is_in_the_matrix() -> None:
    functions = set(re.findall(r"^int (cu\w+)\(", FAKECUDA.read_text(), re.MULTILINE))
    assert functions - {"cuGetErrorName"} == set(ASKED)


@pytest.mark.parametrize("function", ASKED)
def test_no_pass_on_what_a_function_did_not_give(fakecuda_folder: Path, tmp_path: Path, function: str) -> None:
    cases = [f"ret.{function}={fault}" for fault in FAULTS]
    for case, passed in tried(tmp_path, fakecuda_folder, cases, gpus=1 + (PEERS in ASKED[function])).items():
        assert not passed & ASKED[function], case


# Later calls: of the second to the last, whatever they are for, at least one rule lacks its fact.
LATER = {
    "cuCtxSynchronize": (2, 16, 18), "cuMemcpyDtoHAsync_v2": (2, 5), "cuMemAlloc_v2": (2, 3),
    "cuLaunchKernel": (2, 19, 22), "cuModuleGetFunction": (2, 3), "cuEventRecord": (3, 20), "cuMemcpyPeer": (2,),
    "cuMemcpyDtoH_v2": (2, 17, 18),
}  # fmt: skip


@pytest.mark.parametrize("function", LATER)
def test_no_pass_on_what_a_later_call_did_not_give(fakecuda_folder: Path, tmp_path: Path, function: str) -> None:
    cases = [
        f"from.{function}={n}\nret.{function}={fault}" for n in LATER[function] for fault in ("999", "hang", "segv")
    ]
    for case, passed in tried(tmp_path, fakecuda_folder, cases).items():
        assert passed != ALL, case
        assert CONTEXT in passed or "=hang" in case, case


def test_an_error_without_a_name_keeps_its_number(fakecuda_folder: Path, tmp_path: Path) -> None:
    for named in ("ret.cuGetErrorName=999", ""):
        host = Faulty(tmp_path / "profile", fakecuda_folder, f"ret.cuCtxSetCurrent=12345\n{named}")
        assert compute.probe(host).gpus[0].errors["context"].name == "code 12345"
    host = Faulty(tmp_path / "profile", fakecuda_folder, "ret.cuCtxSetCurrent=999\nret.cuGetErrorName=hang")
    assert compute.probe(host).gpus[0].stuck == "cuGetErrorName did not end within 1 s"
