"""The sampler's child around a run: what it leaves, and that it never stays; on a fake NVML that changes under it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from gpucheck import sampling
from gpucheck.host import CannotLook
from gpucheck.sampling import Watch, watching
from gpucheck.witnesses import nvml_samples

MIB = 2**20
FakeNvml = Callable[[str, Mapping[str, object]], None]


@pytest.fixture
def run() -> Iterator[subprocess.Popen[bytes]]:
    """What stands for the run: a process in a session of its own."""
    with subprocess.Popen(["sleep", "300"], start_new_session=True) as child:
        yield child
        child.kill()


def left(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "nvml.jsonl").read_text().splitlines()]


def pid_of(watch: Watch) -> int:
    assert watch._child is not None
    return watch._child.pid


def until(watch: Watch, text: str) -> None:
    """Wait for a whole line with this text among the samples, which have no other name yet; and for one more sample."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        _, found, after = Path(f"/proc/{pid_of(watch)}/fd/1").read_text().partition(text)
        if found and after.count('{"t":') and after.endswith("}\n"):
            return
        time.sleep(0.02)
    raise AssertionError(f"no sample has {text}")


def is_gone(pid: int) -> bool:
    """It is, or becomes so: a killed process takes its time."""
    end = time.monotonic() + 30
    while time.monotonic() < end:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False


# --- a run ---


def test_a_run_is_seen_from_before_it_to_its_end(
    fake_nvml: FakeNvml, tmp_path: Path, run: subprocess.Popen[bytes]
) -> None:
    idle = {"gpu.compute_processes": "", "gpu.utilization": "0 0", "gpu.power_usage": 70000, "gpu.energy": 1000}
    fake_nvml("h200", idle)
    with watching(tmp_path, before=0.3) as watch:
        assert not (tmp_path / "nvml.jsonl").exists()
        watch.follow(pid=run.pid)
        until(watch, '"follow"')
        held = {"gpu.compute_processes": f"{run.pid}:{700 * MIB}", "gpu.utilization": "80 20"}
        fake_nvml("h200", {**held, "gpu.power_usage": 400000, "gpu.energy": 5000})
        until(watch, '"energy_mj":5000')
        fake_nvml("h200", {**held, "gpu.power_usage": 400000, "gpu.energy": 9000})
        until(watch, '"energy_mj":9000')
        pid = pid_of(watch)
    assert is_gone(pid)
    lines = left(tmp_path)
    assert list(lines[0]) == ["gpus", "interval"]
    assert [line["by"] for line in lines if "follow" in line] == ["process tree"]
    use = nvml_samples.look(tmp_path)
    assert (use.processes_told, use.by, use.ended) == (True, "process tree", None)
    gpu = use.gpus[0]
    assert (gpu.name, gpu.ours_peak_bytes, gpu.others) == ("NVIDIA H200", 700 * MIB, False)
    assert (gpu.utilization_before, gpu.power_before_mw) == (0.0, 70000.0)
    assert gpu.utilization_during is not None
    assert 0 < gpu.utilization_during <= 80
    assert gpu.energy_during_mj in (4000, 8000)  # the first sample may still be of the idle GPU


def test_a_cgroup_is_named_as_such(fake_nvml: FakeNvml, tmp_path: Path) -> None:
    fake_nvml("h200", {})
    with watching(tmp_path, before=0.1) as watch:
        watch.follow(cgroup="4f" * 32, pid=1)
        until(watch, '"follow"')
    assert [line["by"] for line in left(tmp_path) if "follow" in line] == ["cgroup"]


def test_what_the_run_left_under_that_name_is_replaced(fake_nvml: FakeNvml, tmp_path: Path) -> None:
    forged = '{"gpus":[]}\n'
    other = tmp_path / "other"
    other.write_text("mine")
    forgeries: list[Callable[[Path], object]] = [
        lambda path: path.write_text(forged),
        lambda path: path.symlink_to(other),
        lambda path: (path / "deep").mkdir(parents=True),
    ]
    for place, forge in enumerate(forgeries):
        folder = tmp_path / str(place)
        folder.mkdir()
        fake_nvml("t4", {})
        with watching(folder, before=0.1):
            forge(folder / "nvml.jsonl")
        assert [path.name for path in folder.iterdir()] == ["nvml.jsonl"]
        assert not (folder / "nvml.jsonl").is_symlink()
        assert left(folder)[0]["gpus"][0]["name"] == "Tesla T4"
    assert other.read_text() == "mine"


# --- NVML absent, or of no use ---


@pytest.fixture
def no_library(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.mktemp("no-library")
    (folder / "libnvidia-ml.so.1").touch()  # hides a real one
    monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))


@pytest.mark.usefixtures("no_library")
def test_without_nvml_nothing_is_waited_for(tmp_path: Path) -> None:
    with watching(tmp_path, before=3600) as watch:  # the test's own deadline would end it
        watch.follow(pid=os.getpid())
    assert left(tmp_path) == [{"error": "NVML did not start: LIBRARY_NOT_FOUND"}]
    with pytest.raises(CannotLook, match=r"^NVML did not start: LIBRARY_NOT_FOUND$"):
        nvml_samples.look(tmp_path)


def test_blind_starts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "COMMAND", ("/no/such/program",))
    with watching(tmp_path, blind="the Docker Engine is on another machine") as watch:
        watch.follow(cgroup="4f" * 32)
    with pytest.raises(CannotLook, match="another machine"):
        nvml_samples.look(tmp_path)


def test_a_program_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "COMMAND", (sys.executable, "-c", "import no_such_module_here"))
    with watching(tmp_path, before=3600):
        pass
    assert "No module named 'no_such_module_here'" in left(tmp_path)[0]["error"]


def test_a_run_that_ends_before_nvml_has_started(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = "import sys; sys.stdin.read()"
    monkeypatch.setattr(sampling, "COMMAND", (sys.executable, "-c", slow))
    with watching(tmp_path, before=0, deadline=0.1 - sampling.ENDING):  # so that it does not wait for the first line
        pass
    assert left(tmp_path) == [{"error": "the run ended before NVML had started"}]


# --- a glance at it while it runs ---


def test_a_glance_is_of_the_last_sample(fake_nvml: FakeNvml, tmp_path: Path) -> None:
    fake_nvml("h200", {"gpu.utilization": "80 20"})
    with watching(tmp_path, before=0.3) as watch:
        assert watch.glance() == (sampling.Glance(0, 80, 61440 * MIB),)
        fake_nvml("h200", {"gpu.utilization": "7 20"})
        until(watch, '"utilization":7,')
        assert watch.glance() == (sampling.Glance(0, 7, 61440 * MIB),)
        place = os.lseek(watch.samples.fileno(), 0, os.SEEK_CUR) if watch.samples else None
        assert place, "the child writes where its file ends"
    assert watch.glance() == ()  # it is over
    assert "error" not in left(tmp_path)[-1]


def test_every_gpu_of_a_crowded_machine_is_glanced_at(fake_nvml: FakeNvml, tmp_path: Path) -> None:
    fake_nvml("h100x8", {"gpu.compute_processes": " ".join(f"{4194311 + n}:{MIB}" for n in range(30))})
    with watching(tmp_path, before=0.3) as watch:
        until(watch, '"t":')
        assert [glance.gpu for glance in watch.glance()] == list(range(8))


def test_a_glance_at_an_nvml_that_hangs_does_not_wait(
    fake_nvml: FakeNvml, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_nvml("h200", {})
    with watching(tmp_path, before=0.3, deadline=3600) as watch:
        fake_nvml("h200", {"ret.nvmlDeviceGetUtilizationRates": "hang"})
        time.sleep(0.3)
        assert watch.glance(), "the last sample is news for a while"
        monkeypatch.setattr(sampling, "STALE", 0.0)
        time.sleep(1)
        assert watch.glance() == ()


@pytest.mark.usefixtures("no_library")
def test_where_nothing_is_sampled_there_is_nothing_to_glance_at(tmp_path: Path) -> None:
    with watching(tmp_path) as watch:
        assert watch.glance() == ()
    with watching(tmp_path, blind="elsewhere") as watch:
        assert watch.glance() == ()


def test_a_slow_pace_is_no_hang(tmp_path: Path) -> None:
    """Of a long run the samples are far apart; the last is news for twice that time."""
    for age, seen in ((100.0, True), (250.0, False)):
        with (tmp_path / "samples").open("w+b") as file:
            for t in (time.time() - age - 100, time.time() - age):
                gpu = {"index": 0, "utilization": None, "memory_used": 5}
                file.write(json.dumps({"t": t, "gpus": [gpu]}, separators=(",", ":")).encode() + b"\n")
            file.write(b'{"t":1')
            file.flush()
            watch = Watch(None, file)
            assert watch.glance() == ((sampling.Glance(0, None, 5),) if seen else ())
    assert watch.glance() == ()  # it was closed just now


# --- it hangs, it is killed ---


def test_a_hang_in_the_middle_does_not_hold_up_the_end(fake_nvml: FakeNvml, tmp_path: Path) -> None:
    fake_nvml("h200", {})
    with watching(tmp_path, before=0.3, deadline=3600) as watch:
        watch.follow(pid=os.getpid())
        fake_nvml("h200", {"ret.nvmlDeviceGetUtilizationRates": "hang"})
        time.sleep(1)
        pid = pid_of(watch)
    assert is_gone(pid)
    assert "did not answer at the end of the run" in left(tmp_path)[-1]["error"]
    assert "gpus" in left(tmp_path)[1]  # what was sampled before is kept


def test_a_hang_ends_the_child_at_its_deadline(fake_nvml: FakeNvml, tmp_path: Path) -> None:
    fake_nvml("h200", {})
    with watching(tmp_path, before=0.1, deadline=0.5) as watch:
        fake_nvml("h200", {"ret.nvmlDeviceGetUtilizationRates": "hang"})
        assert is_gone(pid_of(watch))
        watch.follow(pid=os.getpid())
    assert left(tmp_path)[-1] == {"error": "NVML did not answer within 0.5 s: the driver or a GPU hangs"}


def test_a_hang_from_the_start(fake_nvml: FakeNvml, tmp_path: Path) -> None:
    fake_nvml("h200", {"ret.nvmlInitWithFlags": "hang"})
    with watching(tmp_path, before=3600, deadline=0.5):
        pass
    with pytest.raises(CannotLook, match=r"^NVML did not answer within 0\.5 s"):
        nvml_samples.look(tmp_path)


def test_a_child_that_is_killed_leaves_what_it_had(
    fake_nvml: FakeNvml, tmp_path: Path, run: subprocess.Popen[bytes]
) -> None:
    fake_nvml("h200", {"gpu.compute_processes": f"{run.pid}:{MIB}"})
    with watching(tmp_path, before=0.1) as watch:
        watch.follow(pid=run.pid)
        until(watch, '"ours":true')
        os.kill(pid_of(watch), signal.SIGKILL)
        assert is_gone(pid_of(watch))
        watch.follow(pid=run.pid)
    use = nvml_samples.look(tmp_path)
    assert (use.ended, use.gpus[0].ours_peak_bytes) == ("the process that asked NVML was ended by SIGKILL", MIB)


def test_a_torn_line_is_no_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torn = """import os; os.write(1, b'{"gpus":[],"interval":1}\\n{"t":1'); os.kill(os.getpid(), 9)"""
    monkeypatch.setattr(sampling, "COMMAND", (sys.executable, "-c", torn))
    with watching(tmp_path):
        pass
    assert [list(line) for line in left(tmp_path)] == [["gpus", "interval"], ["error"]]


# --- gpucheck is ended itself ---


@pytest.mark.parametrize("error", [KeyboardInterrupt, RuntimeError])
def test_an_interrupted_run_leaves_no_child(fake_nvml: FakeNvml, tmp_path: Path, error: type[BaseException]) -> None:
    fake_nvml("h200", {})
    pids: list[int] = []
    with pytest.raises(error):
        _broken_off(tmp_path, error, pids)
    assert is_gone(pids[0])
    assert "error" not in left(tmp_path)[-1]


def _broken_off(folder: Path, error: type[BaseException], pids: list[int]) -> None:
    with watching(folder, before=0.1) as watch:
        pids.append(pid_of(watch))
        raise error


PARENT = """
import sys, time
from pathlib import Path
from gpucheck.cli import Interrupted, end_on_signals
from gpucheck.sampling import watching
end_on_signals()
try:
    with watching(Path(sys.argv[1]), before=0.1) as watch:
        print(watch._child.pid, flush=True)
        time.sleep(300)
except Interrupted:
    pass
"""


@pytest.mark.parametrize(("number", "leaves"), [(signal.SIGTERM, True), (signal.SIGINT, True), (signal.SIGKILL, False)])
def test_a_signal_to_gpucheck_ends_the_child(
    fake_nvml: FakeNvml, tmp_path: Path, number: signal.Signals, leaves: bool
) -> None:
    fake_nvml("h200", {})
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True) as parent:
        assert parent.stdout is not None
        pid = int(parent.stdout.readline())
        os.killpg(parent.pid, number)  # the group, as a terminal does
        parent.wait(30)
    assert is_gone(pid)
    assert (tmp_path / "nvml.jsonl").exists() is leaves
    assert not leaves or "error" not in left(tmp_path)[-1]
