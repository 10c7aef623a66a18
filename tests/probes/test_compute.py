"""The compute probe: its real children, on a fake libcuda.so.1 (tests/fakecuda) and a fake NVML."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from gpucheck import compat, engine
from gpucheck.facts import Compute, ComputeGpu, Facts
from gpucheck.host import CannotLook, Local, Recorded, Recording, Result
from gpucheck.model import Status
from gpucheck.probes import DEEP_PROBES, compute
from gpucheck.redaction import redact
from gpucheck.rules import DEEP_RULES
from tests.conftest import FakeCuda

T4, T4_UUID = "t4", "GPU-a2f1a68a-3cf7-bab1-4245-ba34e6a348b6"


class Hurried(Local):
    """This machine, its children told to give up early."""

    def run(self, argv: Sequence[str], timeout: float = 5.0) -> Result:
        hurry = ("--deadline", "2") if {"--gpu", "--peers"} & set(argv) else ()
        return super().run((*argv, *hurry), timeout)


def judged(seen: Compute) -> dict[str, Status]:
    """Each rule's answer, as if none waited for another."""
    facts = Facts(known={Compute: seen})
    return {rule.id: engine.judge([rule], facts, compat.load())[0].status for rule in DEEP_RULES}


def error_of(gpu: ComputeGpu) -> dict[str, tuple[str, int]]:
    return {stage: (error.call, error.code) for stage, error in gpu.errors.items()}


# --- machines ---


def test_one_healthy_gpu(fake_cuda: FakeCuda) -> None:
    fake_cuda(T4, gpu__name="Tesla T4", gpu__capability="7 5", gpu__pci="0000:00:1E.0")
    seen = compute.probe(Local())
    (gpu,) = seen.gpus
    assert (gpu.uuid, gpu.name, gpu.pci_address, str(gpu.compute_capability)) == (
        T4_UUID, "Tesla T4", "0000:00:1e.0", "7.5",
    )  # fmt: skip
    assert (gpu.context, dict(gpu.errors), gpu.stuck, seen.peers, seen.errors) == (True, {}, None, None, ())
    assert gpu.copies
    assert gpu.kernel
    assert gpu.memory
    assert (gpu.copies.bytes, gpu.copies.wrong_to, gpu.copies.wrong_from, gpu.copies.alone) == (2**21, 0, 0, True)
    assert (gpu.kernel.threads, gpu.kernel.wrong, gpu.kernel.launches) == (2048, 0, 16)
    assert (gpu.memory.bytes, gpu.memory.wrong, gpu.memory.sums_wrong) == (6 * 2**20, 0, 0)


def test_bandwidth_is_that_of_the_gpus_own_clock(fake_cuda: FakeCuda) -> None:
    fake_cuda(T4, rate__to=6_000_000_000, rate__from=3_000_000_000)
    (gpu,) = compute.probe(Local()).gpus
    assert gpu.copies
    assert gpu.copies.to_gpu == pytest.approx(6e9, rel=0.01)
    assert gpu.copies.from_gpu == pytest.approx(3e9, rel=0.01)


def test_eight_gpus_and_their_ring(fake_cuda: FakeCuda) -> None:
    fake_cuda("h100x8")
    seen = compute.probe(Local())
    assert len(seen.gpus) == 8
    assert all(gpu.memory for gpu in seen.gpus)
    assert seen.peers
    assert [(copy.direct, copy.wrong, copy.error) for copy in seen.peers.copies] == [(True, 0, None)] * 8
    assert {copy.source for copy in seen.peers.copies} == {copy.target for copy in seen.peers.copies}
    assert {copy.source for copy in seen.peers.copies} == {gpu.uuid for gpu in seen.gpus}
    statuses = judged(seen)
    assert statuses.pop("compute.copy-bandwidth") is Status.SKIP  # sysfs has no such link
    assert set(statuses.values()) == {Status.PASS}


def test_gpus_without_peers_copy_through_the_host(fake_cuda: FakeCuda) -> None:
    fake_cuda("pascal-ada", peers=0)
    peers = compute.probe(Local()).peers
    assert peers
    assert [(copy.direct, copy.wrong) for copy in peers.copies] == [(False, 0), (False, 0)]


def test_mig_devices_are_tried_one_by_one_and_have_no_peers(fake_cuda: FakeCuda) -> None:
    fake_cuda("a100-mig", mig=1)
    seen = compute.probe(Local())
    assert [gpu.uuid[:12] for gpu in seen.gpus] == ["MIG-e4ee58dd", "MIG-438d16fc", "MIG-fbd9ebbb"]
    assert all(gpu.memory for gpu in seen.gpus)
    assert seen.peers is None


def test_without_nvml_cuda_lists_the_gpus(fake_cuda: FakeCuda) -> None:
    fake_cuda("h100x8", {"ret.nvmlInitWithFlags": 9})
    assert len({gpu.uuid for gpu in compute.probe(Local()).gpus if gpu.memory}) == 8


def test_a_cuda_that_takes_no_uuids_is_searched(fake_cuda: FakeCuda) -> None:
    fake_cuda("h100x8", no_uuids=1)
    seen = compute.probe(Local())
    assert [gpu.pci_address for gpu in seen.gpus] == [f"0000:{n:02x}:00.0" for n in range(1, 9)]
    assert all(gpu.memory for gpu in seen.gpus)


def test_what_hides_gpus_from_programs_hides_none_from_the_test(
    fake_cuda: FakeCuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_cuda(T4)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    assert compute.probe(Local()).gpus[0].memory


def test_a_gpu_that_is_lost_to_nvml_is_not_forgotten(fake_cuda: FakeCuda) -> None:
    fake_cuda("h100x8", {"ret.nvmlDeviceGetHandleByIndex_v2.3": 15})
    seen = compute.probe(Local())
    assert [error.code for error in seen.errors] == [15]
    assert len(seen.gpus) == 7
    assert judged(seen)["compute.context-made"] is Status.UNKNOWN


def test_without_libcuda(fake_cuda: FakeCuda, fakenvml_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if any(Path(folder, "libcuda.so.1").exists() for folder in ("/usr/lib/wsl/lib", "/usr/lib/x86_64-linux-gnu")):
        pytest.skip("this machine has a libcuda of its own, so its absence was not tried")
    fake_cuda(T4)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(fakenvml_folder))
    seen = compute.probe(Local())
    assert error_of(seen.gpus[0]) == {"context": ("dlopen", -1)}
    assert "libcuda.so.1" in (seen.gpus[0].errors["context"].detail or "")
    assert judged(seen)["compute.context-made"] is Status.FAIL


# --- wrong results ---


def test_a_byte_that_changes_on_its_way_there(fake_cuda: FakeCuda) -> None:
    fake_cuda(T4, flip__to=1234567)
    seen = compute.probe(Local())
    assert seen.gpus[0].copies
    assert (seen.gpus[0].copies.wrong_to, seen.gpus[0].copies.wrong_from) == (5, 0)
    assert judged(seen)["compute.copies-intact"] is Status.FAIL


def test_a_byte_that_changes_once_on_its_way_back(fake_cuda: FakeCuda) -> None:
    fake_cuda(T4, flip__from=7, once__from=1)
    seen = compute.probe(Local())
    assert seen.gpus[0].copies
    assert (seen.gpus[0].copies.wrong_to, seen.gpus[0].copies.wrong_from) == (0, 1)
    assert judged(seen)["compute.copies-intact"] is Status.FAIL


def test_one_wrong_step_of_one_thread(fake_cuda: FakeCuda) -> None:
    fake_cuda(T4, flip__chains=2047)
    seen = compute.probe(Local())
    assert seen.gpus[0].kernel
    assert seen.gpus[0].kernel.wrong == 16
    assert judged(seen)["compute.kernel-correct"] is Status.FAIL


@pytest.mark.parametrize(("blind", "wrong"), [({}, 2), ({"blind": 1}, 0)], ids=["seen", "seen by the sum alone"])
def test_a_word_that_changes_in_memory(fake_cuda: FakeCuda, blind: dict[str, int], wrong: int) -> None:
    fake_cuda(T4, flip__fill=500_000, **blind)
    seen = compute.probe(Local())
    assert seen.gpus[0].memory
    assert (seen.gpus[0].memory.wrong, seen.gpus[0].memory.sums_wrong) == (wrong, 2)
    assert judged(seen)["compute.memory-intact"] is Status.FAIL


def test_a_byte_that_changes_from_gpu_to_gpu(fake_cuda: FakeCuda) -> None:
    fake_cuda("pascal-ada", flip__peer=99)
    seen = compute.probe(Local())
    assert seen.peers
    assert [copy.wrong for copy in seen.peers.copies] == [1, 1]
    assert judged(seen)["compute.peers-intact"] is Status.FAIL


@pytest.mark.parametrize(
    ("lines", "rule"),
    [
        ({"drop__to": 3}, "copies-intact"),  # after those that warm the link
        ({"drop__from": 2}, "copies-intact"),
        ({"drop__launch": 10}, "kernel-correct"),
        ({"drop__launch": 20}, "memory-intact"),  # after 18 of the chains and one fill
        ({"drop__peer": 1}, "peers-intact"),
    ],
    ids=str,
)
def test_what_is_said_to_be_done_and_was_not(fake_cuda: FakeCuda, lines: dict[str, int], rule: str) -> None:
    fake_cuda("pascal-ada", **lines)
    assert judged(compute.probe(Local()))[f"compute.{rule}"] is Status.FAIL


# --- refusals, hangs, crashes ---


def test_one_gpu_does_not_cost_the_others(fake_cuda: FakeCuda) -> None:
    fake_cuda("h100x8", ret__cuInit__2="hang", ret__cuLaunchKernel__4="segv", ret__cuDevicePrimaryCtxRetain__6=999)
    seen = compute.probe(Hurried())
    assert [index for index, gpu in enumerate(seen.gpus) if gpu.memory] == [0, 1, 3, 5, 7]
    assert seen.gpus[2].stuck == "cuInit did not end within 2 s"
    assert seen.gpus[4].stuck == "its process was ended by SIGSEGV"
    assert seen.gpus[4].copies  # what was known before the crash
    assert error_of(seen.gpus[6]) == {"context": ("cuDevicePrimaryCtxRetain", 999)}


def test_memory_that_somebody_else_holds_is_not_a_failure(fake_cuda: FakeCuda) -> None:
    fake_cuda(T4, gpu__free=4 * 2**20)
    seen = compute.probe(Local())
    assert error_of(seen.gpus[0])["copies"] == ("cuMemGetInfo_v2", 2)
    assert seen.gpus[0].errors["copies"].detail == "4 MiB are free"
    statuses = judged(seen)
    assert statuses["compute.context-made"] is Status.PASS
    assert statuses["compute.copies-intact"] is Status.UNKNOWN


def test_what_the_compiler_says_is_kept(fake_cuda: FakeCuda) -> None:
    fake_cuda(T4, ret__cuModuleLoadDataEx=218, log="ptxas fatal   : Unexpected version")
    (gpu,) = compute.probe(Local()).gpus
    assert gpu.errors["kernel"].detail == "ptxas fatal   : Unexpected version"
    assert gpu.errors["kernel"].name == "INVALID_PTX"


def test_an_old_libcuda_without_a_function(
    fake_cuda: FakeCuda, fakecuda_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_cuda(T4)
    library = (fakecuda_folder / "libcuda.so.1").read_bytes().replace(b"\0cuMemHostAlloc\0", b"\0cuMemHostXlloc\0")
    (tmp_path / "libcuda.so.1").write_bytes(library)
    monkeypatch.setenv("LD_LIBRARY_PATH", f"{tmp_path}:{os.environ['LD_LIBRARY_PATH']}")
    seen = compute.probe(Local())
    assert error_of(seen.gpus[0]) == {"copies": ("cuMemHostAlloc", 500)}
    assert judged(seen)["compute.copies-intact"] is Status.UNKNOWN


def test_a_list_that_hangs_is_a_reason(machine: Callable[..., Any]) -> None:
    late = CannotLook("python -m gpucheck.probes.compute did not answer within 8 s")
    with pytest.raises(CannotLook, match="did not answer within 8 s"):
        compute.probe(machine({}, {(*compute.COMMAND, "--list"): late}))


@pytest.mark.parametrize(
    ("result", "reason"),
    [
        (Result(code=-11, out="", err=""), "SIGSEGV"),
        (Result(code=1, out="", err="Traceback\nImportError: torn\n"), "exit code 1: ImportError: torn"),
        (Result(code=0, out="", err=""), "said nothing"),
        (Result(code=0, out="[" * 100_000, err=""), "said nothing"),
        (Result(code=0, out='{"uuids": ["GPU-a b"]}', err=""), "of the names of 1 GPUs only 0"),
        (Result(code=0, out='{"uuids": ["--peers"]}', err=""), "of the names of 1 GPUs only 0"),
    ],
)
def test_a_list_that_is_none(machine: Callable[..., Any], result: Result, reason: str) -> None:
    with pytest.raises(CannotLook, match=reason):
        compute.probe(machine({}, {(*compute.COMMAND, "--list"): result}))


@pytest.mark.parametrize(
    ("result", "stuck"),
    [
        (Result(code=0, out="", err=""), "said nothing"),
        (Result(code=0, out="\x00\xff" * 50, err=""), "said nothing"),
        (Result(code=-6, out='{"uuid": "GPU-1", "con', err=""), "SIGABRT"),
        (Result(code=-77, out="", err=""), "signal 77"),
        (Result(code=0, out='{"uuid": "GPU-1", "context": "yes"}', err=""), "said nothing"),
    ],
)
def test_answers_that_are_none(machine: Callable[..., Any], result: Result, stuck: str) -> None:
    runs = {
        (*compute.COMMAND, "--list"): Result(code=0, out='{"uuids": ["GPU-1"]}\n', err=""),
        (*compute.COMMAND, "--gpu", "GPU-1"): result,
    }
    seen = compute.probe(machine({}, runs))
    assert stuck in (seen.gpus[0].stuck or "")
    assert Status.PASS not in judged(seen).values()


def test_a_torn_last_line_leaves_the_one_before(machine: Callable[..., Any]) -> None:
    out = '{"uuid": "GPU-1", "context": true}\n{"uuid": "GPU-1", "context": tr'
    runs = {
        (*compute.COMMAND, "--list"): Result(code=0, out='{"uuids": ["GPU-1"]}\n', err=""),
        (*compute.COMMAND, "--gpu", "GPU-1"): Result(code=-9, out=out, err=""),
    }
    (gpu,) = compute.probe(machine({}, runs)).gpus
    assert (gpu.context, gpu.stuck) == (True, "its process was ended by SIGKILL")


# --- the parent ---


def test_work_survives_recording_and_redaction(fake_cuda: FakeCuda) -> None:
    fake_cuda("pascal-ada")
    recording = Recording(Local())
    seen = compute.probe(recording)
    assert compute.probe(Recorded(recording.document())) == seen
    redacted = redact(recording.document())
    again = compute.probe(Recorded(redacted))
    assert T4_UUID not in json.dumps(redacted)
    assert judged(again) == judged(seen)
    assert [gpu.kernel for gpu in again.gpus] == [gpu.kernel for gpu in seen.gpus]


def test_the_deep_probes_are_collected_as_others_are(fake_cuda: FakeCuda) -> None:
    fake_cuda(T4)
    facts = engine.collect(DEEP_PROBES, Local(), deadline=compute.DEADLINE)
    assert facts.unknown == {}
    assert facts.known[Compute].gpus[0].memory


def test_importing_the_probe_imports_no_binding() -> None:
    script = (
        "import sys, gpucheck.probes.compute\n"
        "print([name for name in ('ctypes', 'random', 'pynvml', 'numpy') if name in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_deadlines_make_the_whole() -> None:
    assert sum(compute.DEADLINES.values()) + 3 * compute.LATE <= 30
    assert compute.DEADLINE >= 30


def test_an_interrupted_probe_leaves_no_child(fake_cuda: FakeCuda, tmp_path: Path) -> None:
    fake_cuda(T4, ret__cuInit="hang")
    script = (
        "from gpucheck import engine\nfrom gpucheck.host import Local\nfrom gpucheck.probes import DEEP_PROBES\n"
        "engine.collect(DEEP_PROBES, Local(), deadline=2.0)\n"
    )
    marked = {**os.environ, "GPUCHECK_TEST_MARK": str(tmp_path)}
    subprocess.run([sys.executable, "-c", script], env=marked, check=True, timeout=60)
    end = time.monotonic() + 5
    while (left := _marked(str(tmp_path))) and time.monotonic() < end:
        time.sleep(0.05)
    assert left == []


def _marked(mark: str) -> list[str]:
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            environment = (process / "environ").read_bytes()
        except OSError:
            continue
        if f"GPUCHECK_TEST_MARK={mark}".encode() in environment:
            found.append(process.name)
    return found
