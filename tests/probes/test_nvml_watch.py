"""The sampler of NVML as the program it is, with the real nvidia-ml-py on a fake libnvidia-ml that changes under it."""

from __future__ import annotations

import contextlib
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

from gpucheck.probes.nvml import ownership, watch
from gpucheck.probes.nvml.ownership import Ours

MIB = 2**20
NOBODY = 2**22 + 7  # more than Linux gives: no process has this pid
FakeNvml = Callable[[str, Mapping[str, object]], None]


class Program:
    """The running sampler."""

    def __init__(self, out: Path, *options: str) -> None:
        self.out = out
        with out.open("wb") as file:
            self.child = subprocess.Popen(
                [sys.executable, "-P", "-m", "gpucheck.probes.nvml.watch", "--interval", "0.02", *options],
                stdin=subprocess.PIPE, stdout=file, bufsize=0,
            )  # fmt: skip

    def lines(self) -> list[dict[str, Any]]:
        whole, _, _ = self.out.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines()]

    def samples(self) -> list[dict[str, Any]]:
        return [line for line in self.lines() if "t" in line]

    def until(self, true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first sample from now on that is so; waits for it."""
        seen, end = len(self.samples()), time.monotonic() + 30
        while time.monotonic() < end:
            for sample in self.samples()[seen:]:
                if true(sample):
                    return sample
            time.sleep(0.02)
        raise AssertionError(f"no such sample; the last line is {self.lines()[-1:]}")

    def follow(self, **root: object) -> None:
        assert self.child.stdin is not None
        self.child.stdin.write(json.dumps({"pid": None, "cgroup": None, "mark": None, **root}).encode() + b"\n")

    def end(self) -> int:
        assert self.child.stdin is not None
        self.child.stdin.close()
        return self.child.wait(30)


@pytest.fixture
def program(tmp_path: Path) -> Iterator[Callable[..., Program]]:
    running: list[Program] = []

    def start(*options: str) -> Program:
        running.append(Program(tmp_path / f"lines-{len(running)}", *options))
        return running[-1]

    yield start
    for each in running:
        each.child.kill()
        each.end()


@pytest.fixture
def sleeper() -> Iterator[Callable[[], int]]:
    """A function that starts a process of a session of its own, and gives its pid."""
    with contextlib.ExitStack() as stack:

        def start() -> int:
            child = stack.enter_context(subprocess.Popen(["sleep", "300"], start_new_session=True))
            stack.callback(child.kill)
            return child.pid

        yield start


def listed(sample: dict[str, Any], gpu: int = 0) -> dict[int, dict[str, Any]]:
    return {row.pop("pid"): row for row in json.loads(json.dumps(sample["gpus"][gpu]["processes"]))}


def ours(pid: int) -> Callable[[dict[str, Any]], bool]:
    return lambda sample: listed(sample).get(pid, {}).get("ours", False)


# --- what a sample holds ---


def test_a_gpu_at_work(fake_nvml: FakeNvml, program: Callable[..., Program]) -> None:
    fake_nvml("h200", {"gpu.compute_processes": f"{NOBODY}:{5 * MIB}"})
    running = program()
    sample = running.until(lambda _: True)
    assert sample["gpus"] == [{
        "index": 0, "utilization": 97, "memory_used": 61440 * MIB, "power_mw": 612340, "energy_mj": 123456789,
        "sm_mhz": 1980, "temperature_c": 63, "error": None,
        "processes": [{"pid": NOBODY, "used_bytes": 5 * MIB, "ours": False, "unseen": True}],
    }]  # fmt: skip
    assert abs(sample["t"] - time.time()) < 60
    assert running.end() == 0
    assert running.lines()[0] == {
        "gpus": [{
            "index": 0, "uuid": "GPU-43c25ee1-6c44-02eb-c92d-d72c143f2e5b", "name": "NVIDIA H200",
            "memory_total": 143771 * MIB,
        }],
        "interval": 0.02,
    }  # fmt: skip


def test_a_temperature_that_is_not_told_is_no_error(fake_nvml: FakeNvml, program: Callable[..., Program]) -> None:
    """An old driver has one of the two functions alone; nothing is judged by what both refuse."""
    fake_nvml("h200", {"ret.nvmlDeviceGetTemperatureV": 13})
    assert program().until(lambda _: True)["gpus"][0]["temperature_c"] == 63
    fake_nvml("h200", {"ret.nvmlDeviceGetTemperatureV": 999})
    gpu = program().until(lambda _: True)["gpus"][0]
    assert (gpu["temperature_c"], gpu["error"], gpu["power_mw"]) == (None, None, 612340)


def test_what_a_gpu_does_not_have_is_null(fake_nvml: FakeNvml, program: Callable[..., Program]) -> None:
    fake_nvml("a100-mig", {})
    gpu = program().until(lambda _: True)["gpus"][0]
    assert (gpu["utilization"], gpu["power_mw"], gpu["processes"], gpu["error"]) == (None, 72000, [], None)


def test_utilisation_that_rises_and_falls(fake_nvml: FakeNvml, program: Callable[..., Program]) -> None:
    running = None
    for percent in (0, 88, 3):
        fake_nvml("h200", {"gpu.utilization": f"{percent} 0"})
        running = running or program()
        running.until(lambda sample, percent=percent: sample["gpus"][0]["utilization"] == percent)  # type: ignore[misc]


def test_gpu_lost_in_the_middle_costs_its_own_values_only(fake_nvml: FakeNvml, program: Callable[..., Program]) -> None:
    fake_nvml("h100x8", {})
    running = program()
    running.until(lambda sample: all(gpu["error"] is None for gpu in sample["gpus"]))
    fake_nvml("h100x8", {"ret.*.5": 15})
    sample = running.until(lambda sample: sample["gpus"][5]["power_mw"] is None)
    gpu = running.until(lambda sample: sample["gpus"][5]["power_mw"] is None)["gpus"][5]
    assert gpu["error"] == "nvmlDeviceGetUtilizationRates: GPU_IS_LOST"
    assert (gpu["memory_used"], gpu["energy_mj"], gpu["processes"]) == (None, None, None)
    assert [other["power_mw"] for other in sample["gpus"] if other["index"] != 5] == [69850] * 7
    fake_nvml("h100x8", {})
    running.until(lambda sample: sample["gpus"][5]["error"] is None)


def test_gpu_lost_from_the_start(fake_nvml: FakeNvml, program: Callable[..., Program]) -> None:
    fake_nvml("lost-gpu", {})
    gpus = program().until(lambda _: True)["gpus"]
    assert gpus[2]["error"] == "nvmlDeviceGetHandleByIndex: GPU_IS_LOST"
    assert [gpu["memory_used"] for gpu in gpus] == [0, 0, None, 0]


def test_one_refused_call_costs_one_value(fake_nvml: FakeNvml, program: Callable[..., Program]) -> None:
    fake_nvml("h200", {"ret.nvmlDeviceGetPowerUsage": 4})
    gpu = program().until(lambda _: True)["gpus"][0]
    assert (gpu["power_mw"], gpu["error"]) == (None, "nvmlDeviceGetPowerUsage: NO_PERMISSION")
    assert (gpu["utilization"], gpu["energy_mj"], len(gpu["processes"])) == (97, 123456789, 2)


# --- whose processes ---


def test_a_process_of_ours_comes_and_goes(
    fake_nvml: FakeNvml, program: Callable[..., Program], sleeper: Callable[[], int]
) -> None:
    mine, theirs = sleeper(), sleeper()
    fake_nvml("h200", {"gpu.compute_processes": f"{theirs}:{900 * MIB}"})
    running = program("--pid", str(mine))
    sample = running.until(lambda sample: bool(sample["gpus"][0]["processes"]))
    assert listed(sample) == {theirs: {"used_bytes": 900 * MIB, "ours": False}}
    fake_nvml("h200", {"gpu.compute_processes": f"{theirs}:{900 * MIB} {mine}:{7 * MIB}"})
    sample = running.until(lambda sample: mine in listed(sample))
    assert listed(sample)[mine] == {"used_bytes": 7 * MIB, "ours": True}
    assert listed(sample)[theirs]["ours"] is False
    fake_nvml("h200", {"gpu.compute_processes": f"{theirs}:-"})
    assert listed(running.until(lambda sample: mine not in listed(sample)))[theirs]["used_bytes"] is None


def test_followed_only_when_it_is_named(
    fake_nvml: FakeNvml, program: Callable[..., Program], sleeper: Callable[[], int]
) -> None:
    mine = sleeper()
    fake_nvml("h200", {"gpu.compute_processes": f"{mine}:{MIB}"})
    running = program()
    assert not ours(mine)(running.until(lambda _: True))
    running.follow(pid=mine)
    running.until(ours(mine))
    lines = running.lines()
    mark = next(place for place, line in enumerate(lines) if "follow" in line)
    assert lines[mark]["by"] == "process tree"
    assert not any(ours(mine)(line) for line in lines[1:mark])
    assert all(ours(mine)(line) for line in lines[mark + 1 :])
    assert lines[mark - 1]["t"] <= lines[mark]["follow"] <= lines[mark + 1]["t"]


TREE = """
import os, subprocess, sys, time
grandchild = subprocess.Popen(["sleep", "300"], start_new_session=sys.argv[1] == "own")
print(grandchild.pid, flush=True)
if sys.argv[2] == "stay":
    time.sleep(300)
"""


@contextlib.contextmanager
def tree(session: str, parent: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """A process that starts another, and that one's pid."""
    with subprocess.Popen(
        [sys.executable, "-c", TREE, session, parent], stdout=subprocess.PIPE, text=True, start_new_session=True,
        env={**os.environ, **environment},
    ) as root:  # fmt: skip
        assert root.stdout is not None
        grandchild = int(root.stdout.readline())
        try:
            yield root, grandchild
        finally:
            root.kill()
            os.kill(grandchild, signal.SIGKILL)


def test_an_orphan_of_its_session_is_ours(fake_nvml: FakeNvml, program: Callable[..., Program]) -> None:
    with tree("same", "leave") as (root, orphan):
        root.wait(30)
        fake_nvml("h200", {"gpu.compute_processes": f"{orphan}:{MIB}"})
        program("--pid", str(root.pid)).until(ours(orphan))


def test_a_process_once_ours_stays_so_as_an_orphan(fake_nvml: FakeNvml, program: Callable[..., Program]) -> None:
    with tree("own", "stay") as (root, orphan):
        fake_nvml("h200", {"gpu.compute_processes": f"{orphan}:{MIB}"})
        running = program("--pid", str(root.pid))
        running.until(ours(orphan))
        root.kill()
        root.wait(30)
        stat = Path(f"/proc/{orphan}/stat").read_text().rpartition(")")[2].split()
        assert int(stat[1]) != root.pid  # an orphan indeed
        running.until(ours(orphan))
        assert all(map(ours(orphan), running.samples()))


def test_an_orphan_of_a_session_of_its_own_is_known_by_its_mark(
    fake_nvml: FakeNvml, program: Callable[..., Program]
) -> None:
    with tree("own", "leave", GPUCHECK_TEST_MARK="x=1") as (root, orphan):
        root.wait(30)
        fake_nvml("h200", {"gpu.compute_processes": f"{orphan}:{MIB}"})
        assert not ours(orphan)(program("--pid", str(root.pid)).until(lambda _: True))
        assert not ours(orphan)(program("--mark", "GPUCHECK_TEST_MARK=x").until(lambda _: True))
        program("--mark", "GPUCHECK_TEST_MARK=x=1").until(ours(orphan))


# --- ownership, by a /proc of literals ---


@pytest.fixture
def proc(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[int, str], bytes]:
    files: dict[tuple[int, str], bytes] = {}
    monkeypatch.setattr(ownership, "_read", lambda pid, name: files.get((pid, name), b""))
    return files


def stat(pid: int, parent: int, session: int, started: int, name: str = "python") -> bytes:
    return f"{pid} ({name}) S {parent} 1 {session} {'0 ' * 15}{started} 0 0\n".encode()


def test_a_container_is_its_cgroup(proc: dict[tuple[int, str], bytes]) -> None:
    identity = "3f" * 32
    proc[10, "stat"], proc[11, "stat"] = stat(10, 1, 10, 5), stat(11, 1, 11, 5)
    proc[10, "cgroup"] = f"0::/system.slice/docker-{identity}.scope\n".encode()
    proc[11, "cgroup"] = f"12:cpu:/docker/{'4a' * 32}\n".encode()
    whose = Ours(cgroup=identity)
    assert [whose(10), whose(11), whose(12)] == [True, False, None]


def test_a_name_with_brackets(proc: dict[tuple[int, str], bytes]) -> None:
    proc[10, "stat"] = stat(10, 9, 10, 5, name="a) S 1 1 (b")
    proc[9, "stat"] = stat(9, 1, 9, 5)
    assert Ours(pid=9)(10) is True


def test_a_pid_that_is_used_again_is_another_process(proc: dict[tuple[int, str], bytes]) -> None:
    whose = Ours(pid=9)
    proc[9, "stat"], proc[10, "stat"] = stat(9, 1, 9, 5), stat(10, 9, 9, 5)
    assert whose(10) is True
    del proc[9, "stat"], proc[10, "stat"]
    assert whose(10) is True  # NVML lists it a little longer
    proc[10, "stat"] = stat(10, 1, 10, 99)
    assert whose(10) is False


def test_what_a_launcher_of_ours_starts_later_is_ours(proc: dict[tuple[int, str], bytes]) -> None:
    whose = Ours(pid=9)
    proc[9, "stat"], proc[20, "stat"], proc[21, "stat"] = stat(9, 1, 9, 5), stat(20, 9, 20, 6), stat(21, 20, 21, 7)
    assert whose(21) is True
    proc[20, "stat"], proc[22, "stat"] = stat(20, 1, 20, 6), stat(22, 20, 22, 8)
    del proc[9, "stat"]
    assert whose(22) is True


def test_parents_in_a_circle_end(proc: dict[tuple[int, str], bytes]) -> None:
    proc[10, "stat"], proc[11, "stat"] = stat(10, 11, 10, 5), stat(11, 10, 11, 5)
    assert Ours(pid=9)(10) is False


# --- where the lists are ---


def test_mig_devices_list_processes_of_their_own(
    fake_nvml: FakeNvml, program: Callable[..., Program], sleeper: Callable[[], int]
) -> None:
    mine = sleeper()
    fake_nvml("a100-mig", {"gpu.0.mig.2.compute_processes": f"{mine}:{MIB}"})
    sample = program("--pid", str(mine)).until(ours(mine))
    assert sample["gpus"][0]["error"] is None


def test_clients_of_mps_are_in_a_list_of_their_own(
    fake_nvml: FakeNvml, program: Callable[..., Program], sleeper: Callable[[], int]
) -> None:
    mine = sleeper()
    fake_nvml("h200", {"gpu.compute_processes": "", "gpu.mps_processes": f"{mine}:{MIB}"})
    program("--pid", str(mine)).until(ours(mine))


def test_an_old_driver_lists_in_the_old_way(fake_nvml: FakeNvml, program: Callable[..., Program]) -> None:
    missing = "nvmlDeviceGetComputeRunningProcesses_v3", "nvmlDeviceGetMPSComputeRunningProcesses_v3"
    fake_nvml("h200", {f"ret.{symbol}": 13 for symbol in missing})
    gpu = program().until(lambda _: True)["gpus"][0]
    assert ([row["pid"] for row in gpu["processes"]], gpu["error"]) == ([31337, 31400], None)


def test_no_list_is_not_an_empty_list(fake_nvml: FakeNvml, program: Callable[..., Program]) -> None:
    fake_nvml("h200", {"ret.nvmlDeviceGetComputeRunningProcesses_v3": 4})
    gpu = program().until(lambda _: True)["gpus"][0]
    assert gpu["processes"] is None
    assert gpu["error"] == "nvmlDeviceGetComputeRunningProcesses_v3: NO_PERMISSION"
    assert gpu["utilization"] == 97


# --- how much it writes ---


def test_a_day_of_eight_crowded_gpus_stays_below_20_mb(
    fake_nvml: FakeNvml, program: Callable[..., Program], sleeper: Callable[[], int]
) -> None:
    mine = [sleeper() for _ in range(9)]
    crowd = [f"{NOBODY + place}:{80 * 2**30}" for place in range(30)]
    fake_nvml("h100x8", {"gpu.compute_processes": " ".join([*crowd, *(f"{pid}:{70 * 2**30}" for pid in mine)])})
    running = program("--pid", str(os.getpid()))
    sample = running.until(ours(mine[0]))
    assert [row["ours"] for row in sample["gpus"][7]["processes"]] == [True] * 6 + [False] * 2
    assert sample["gpus"][7]["unlisted"] == 31
    age, number = 0.0, 0
    while age < 86400:
        age, number = age + watch.pace(watch.INTERVAL, age), number + 1
    assert 3000 < number < 4000
    assert number * max(map(len, running.out.read_text().splitlines())) < 20e6


def test_the_pace_is_full_for_a_minute() -> None:
    assert [watch.pace(0.1, age) for age in (0, 60, 61, 120, 121, 241)] == [0.1, 0.1, 0.2, 0.2, 0.4, 0.8]


def test_the_pace_is_full_again_for_a_process_of_the_run_that_comes_late() -> None:
    clock = watch.Clock(0.0)
    clock.meet(set(), 90.0)
    assert clock.began == 0.0
    clock.meet({7}, 100.0)
    clock.meet({7}, 110.0)  # it is still there
    assert clock.began == 100.0
    clock.meet({7, 8}, 200.0)
    clock.meet({8}, 210.0)
    clock.meet({7}, 220.0)  # it was there before
    assert clock.began == 200.0


def test_processes_that_come_again_and_again_do_not_keep_it_full() -> None:
    clock = watch.Clock(0.0)
    for pid in range(100):
        clock.meet({pid}, pid + 1.0)
    assert clock.began == watch.ANEW


# --- the end ---


def test_it_ends_when_stdin_closes_also_between_samples(fake_nvml: FakeNvml, program: Callable[..., Program]) -> None:
    fake_nvml("h200", {})
    running = program("--interval", "3600")
    running.until(lambda _: True)
    assert running.end() == 0


def test_sigterm_ends_it(fake_nvml: FakeNvml, program: Callable[..., Program]) -> None:
    fake_nvml("h200", {})
    running = program()
    running.until(lambda _: True)
    running.child.terminate()
    assert running.child.wait(30) == -signal.SIGTERM
    assert running.out.read_text().endswith("}\n")


@pytest.mark.parametrize("symbol", ["nvmlInitWithFlags", "nvmlDeviceGetPowerUsage.0"])
def test_a_call_that_hangs_ends_it(fake_nvml: FakeNvml, program: Callable[..., Program], symbol: str) -> None:
    fake_nvml("h200", {f"ret.{symbol}": "hang"})
    assert program("--deadline", "0.5").child.wait(30) == -signal.SIGALRM


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"ret.nvmlInitWithFlags": 9}, "NVML did not start: DRIVER_NOT_LOADED"),
        ({"ret.nvmlDeviceGetCount_v2": 999}, "NVML did not start: nvmlDeviceGetCount: UNKNOWN"),
        ({"count": 0}, "NVML lists no GPU"),
    ],
)
def test_nothing_to_watch(
    fake_nvml: FakeNvml, program: Callable[..., Program], changes: Mapping[str, object], said: str
) -> None:
    fake_nvml("t4", changes)
    running = program()
    assert running.child.wait(30) == 0
    assert running.lines() == [{"error": said}]


def test_no_library(program: Callable[..., Program], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "libnvidia-ml.so.1").touch()  # hides a real one
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    running = program()
    assert running.child.wait(30) == 0
    assert running.lines() == [{"error": "NVML did not start: LIBRARY_NOT_FOUND"}]
