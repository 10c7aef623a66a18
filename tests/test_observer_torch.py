"""PyTorch's observer in plain scripts that know nothing of it: it looks from a thread of its own."""

from __future__ import annotations

import gzip
import json
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

OBSERVER = Path(__file__).parents[1] / "gpucheck" / "payloads" / "observers" / "torch_observer.py"
pytestmark = pytest.mark.timeout(600)
# Loaded by path, as into any process. `report` is printed at the end.
BEFORE = """
import importlib.util, json, sys, threading, time
spec = importlib.util.spec_from_file_location("observer", {observer!r})
observer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(observer)
folder, report = {folder!r}, {{}}
"""
STEP = """
import torch
model = torch.nn.Sequential(torch.nn.Conv2d(3, 8, 3), torch.nn.Flatten(), torch.nn.Linear(7200, 10))
optimizer = torch.optim.Adam(model.parameters(), foreach=True)
def step():
    loss = torch.nn.functional.cross_entropy(model(torch.ones(8, 3, 32, 32)), torch.zeros(8, dtype=torch.long))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
"""
AFTER = "\nprint(json.dumps(report))\n"
Script = Callable[[str], tuple[dict[str, Any], str]]


@pytest.fixture
def script(framework_python: Callable[[str], str], tmp_path: Path) -> Script:
    """A function (Python source) that gives its `report` and its stderr."""

    def run(source: str) -> tuple[dict[str, Any], str]:
        whole = BEFORE.format(observer=str(OBSERVER), folder=str(tmp_path)) + source + AFTER
        ended = subprocess.run(
            [framework_python("pytorch-cpu"), "-c", whole], capture_output=True, text=True, timeout=300,
            env={"KINETO_LOG_LEVEL": "6", "OMP_WAIT_POLICY": "passive", "PATH": "/usr/bin:/bin"},
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        report: dict[str, Any] = json.loads(ended.stdout)
        return report, ended.stderr

    return run


def read(path: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(gzip.decompress(path.read_bytes()))
    return document


def test_a_window_opened_from_another_thread_sees_the_trainings_ops_and_their_devices(
    script: Script, tmp_path: Path
) -> None:
    source = """
report["before"] = [observer.ready(), observer.devices(), "torch" in sys.modules]
over, told = threading.Event(), []
def look():
    for number in range(2):
        handle = observer.start(folder, f"w{number}")
        seen = steps
        while steps < seen + 5:
            time.sleep(0.01)
        told.append(observer.stop(handle))
    over.set()
"""
    loop = """
report["after"] = [observer.ready(), observer.devices()]
steps = 0
thread = threading.Thread(target=look)
thread.start()
while not over.is_set():
    step()
    steps += 1
report.update(told=told, final=observer.final(folder, "w"))
"""
    report, err = script(source + STEP + loop)
    assert report["before"] == [False, [], False]
    assert report["after"] == [True, ["CPU:0"]]
    assert report["final"] is None
    assert err == ""  # the program's own output is as without us
    for number, told in enumerate(report["told"]):
        assert (told["source"], told["blind"], told["error"]) == ("torch.profiler", None, None)
        assert told["kernels"] == f"w{number}.kineto.json.gz"
        assert told["placement"] == f"w{number}.trace.json.gz"
        events = Counter(event["name"] for event in read(tmp_path / told["kernels"])["traceEvents"])
        nodes = read(tmp_path / told["placement"])["nodes"]
        placed = Counter((node["name"], value[5]) for node in nodes for value in node["inputs"]["values"])
        assert events["aten::convolution_backward"] >= 4
        assert placed["aten::convolution_backward", "cpu"] >= 3 * 4  # gradient, input, weight
        assert placed["aten::_foreach_mul_", "cpu"] >= 4 * 4  # one list of four weights
        assert {device for _, device in placed} == {"cpu"}


def test_only_what_was_asked_for_is_written(script: Script, tmp_path: Path) -> None:
    source = """
for kind, asked in (("neither", (False, False)), ("placement", (True, False)), ("kernels", (False, True))):
    handle = observer.start(folder, kind, *asked)
    step()
    report[kind] = observer.stop(handle)
"""
    report, _ = script(STEP + source)
    found = {kind: (told["placement"] is not None, told["kernels"] is not None) for kind, told in report.items()}
    assert found == {"neither": (False, False), "placement": (True, False), "kernels": (False, True)}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kernels.kineto.json.gz", "placement.trace.json.gz"]


def test_a_program_that_waits_in_its_main_thread_is_observed_all_the_same(script: Script) -> None:
    source = """
def work():
    time.sleep(0.5)  # by then the main thread waits
    handle = observer.start(folder, "w")
    step()
    report["told"] = observer.stop(handle)
thread = threading.Thread(target=work)
thread.start()
thread.join()
step()
report["on"] = torch.autograd.profiler._is_profiler_enabled
"""
    report, _ = script(STEP + source)
    assert report["told"]["error"] is None
    assert report["told"]["placement"] == "w.trace.json.gz"
    assert report["on"] is False  # what was left over did not start a second one


def test_the_programs_own_profiler_is_left_alone(script: Script) -> None:
    source = """
with torch.profiler.profile() as own:
    step()
    report["second"] = observer.stop(observer.start(folder, "second"))
    step()
report["own"] = sum(event.key == "aten::conv2d" and event.count for event in own.key_averages())
handle = observer.start(folder, "first")
with torch.profiler.profile() as own:
    step()
report["first"] = observer.stop(handle)
report["own later"] = sum(event.key == "aten::conv2d" and event.count for event in own.key_averages())
"""
    report, _ = script(STEP + source)
    assert (report["own"], report["own later"]) == (2, 1)
    for told in (report["first"], report["second"]):
        assert (told["kernels"], told["placement"]) == (None, None)
        assert "profil" in told["error"]


def test_a_folder_that_is_not_there_raises_nothing(script: Script) -> None:
    source = """
handle = observer.start(folder + "/none", "w")
step()
report["told"] = observer.stop(handle)
"""
    report, _ = script(STEP + source)
    assert "FileNotFoundError" in report["told"]["error"]


def test_a_window_that_opens_in_the_middle_of_backward_does_not_end_the_process(script: Script) -> None:
    source = """
weight = torch.ones(4, requires_grad=True)
losses, keep = [], threading.Event()
def forward():
    losses.extend((weight * 2).sum() for _ in range(3))
    keep.wait()
ahead = threading.Thread(target=forward)
ahead.start()
while len(losses) < 3:
    time.sleep(0.01)
handle = observer.start(folder, "w")
behind = threading.Thread(target=lambda: [loss.backward() for loss in losses])
behind.start()
behind.join()
report["told"] = observer.stop(handle)
keep.set()
"""
    report, _ = script("import torch\n" + source)
    assert report["told"]["error"] is None
