"""The observer of JAX inside a plain script that knows nothing of it."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

OBSERVER = Path(__file__).parents[1] / "gpucheck" / "payloads" / "observers" / "jax_observer.py"
pytestmark = [pytest.mark.tensorflow, pytest.mark.timeout(300)]
LOAD = f"""
import importlib.util, json, sys, threading
spec = importlib.util.spec_from_file_location("observer", {str(OBSERVER)!r})
observer = importlib.util.module_from_spec(spec)
spec.loader.exec_module(observer)
folder, told = sys.argv[1], {{}}
told["alone"] = [observer.ready(), observer.devices(), observer.final(folder, "none"), "jax" in sys.modules]
"""
WORK = """
import jax, jax.numpy as jnp
told["imported"] = [observer.ready(), observer.devices()]
@jax.jit
def work(images, kernel, matrix):
    seen = jax.lax.conv(images, kernel, (1, 1), "VALID")
    return (seen.reshape(len(seen), -1) @ matrix).sum()
arguments = jnp.ones((4, 3, 16, 16)), jnp.ones((8, 3, 3, 3)), jnp.ones((8 * 14 * 14, 10))
work(*arguments).block_until_ready()
told["working"] = [observer.ready(), observer.devices()]
"""
WINDOW = """
opened, over = threading.Event(), threading.Event()
def watch():
    handle = observer.start(folder, "window")
    opened.set()
    over.wait()
    told["window"] = observer.stop(handle)
watcher = threading.Thread(target=watch)
watcher.start()
opened.wait()
for _ in range(5):
    work(*arguments).block_until_ready()
over.set()
watcher.join()
"""
SAY = """
json.dump(told, open(f"{folder}/told.json", "w"))
"""


@pytest.fixture
def observed(framework_python: Callable[[str], str], tmp_path: Path) -> Callable[[str], dict[str, Any]]:
    """A function (script) that gives what the observer told in it."""

    def run(script: str) -> dict[str, Any]:
        environment = {key: value for key, value in os.environ.items() if key not in ("XLA_FLAGS", "JAX_PLATFORMS")}
        command = [framework_python("jax-cpu"), "-c", LOAD + script + SAY, str(tmp_path)]
        done = subprocess.run(
            command, env={**environment, "JAX_PLATFORMS": "cpu"}, capture_output=True, text=True, cwd=tmp_path
        )
        assert (done.returncode, done.stderr, done.stdout) == (0, "", "")
        told: dict[str, Any] = json.loads((tmp_path / "told.json").read_text())
        return told

    return run


def test_it_waits_until_the_program_has_started_jax(observed: Callable[[str], dict[str, Any]]) -> None:
    told = observed(WORK)
    assert told["alone"] == [False, [], None, False]
    assert told["imported"] == [False, []]
    assert told["working"] == [True, ["CPU:0"]]


def test_a_window_from_another_thread(observed: Callable[[str], dict[str, Any]], tmp_path: Path) -> None:
    window = observed(WORK + WINDOW)["window"]
    assert (window["error"], window["blind"], window["source"]) == (None, None, "XPlane")
    assert window["seconds"] > 0
    assert (window["kernels"], window["placement"]) == ("window.xplane.pb.gz", "window.executables.json.gz")
    trace = gzip.decompress((tmp_path / "window.xplane.pb.gz").read_bytes())
    assert b"/host:CPU" in trace
    assert b"PjitFunction(work)" in trace
    assert {path.name for path in tmp_path.iterdir()} == {"told.json", window["kernels"], window["placement"]}


def test_the_executables_at_the_end(observed: Callable[[str], dict[str, Any]], tmp_path: Path) -> None:
    told = observed(WORK + 'told["final"] = observer.final(folder, "end")\n')
    assert (told["final"]["placement"], told["final"]["error"]) == ("end.executables.json.gz", None)
    kept = json.loads(gzip.decompress((tmp_path / "end.executables.json.gz").read_bytes()))
    (work,) = [each for each in kept["executables"] if each["name"] == "jit_work"]
    assert (work["platform"], work["devices"], work["cut"]) == ("cpu", ["CPU:0"], False)
    assert " convolution(" in work["hlo"]
    assert " dot(" in work["hlo"]
    assert kept["arrays"] == [{"device": "CPU:0", "arrays": 3, "bytes": 4 * (4 * 3 * 256 + 8 * 27 + 8 * 196 * 10)}]


def test_a_long_text_is_cut_and_says_so(observed: Callable[[str], dict[str, Any]]) -> None:
    told = observed(
        "observer.LONGEST, observer.MOST = 300, 500\n" + WORK + 'told["live"] = observer.live()["executables"]\n'
    )
    cut = [(len(each["hlo"]), each["cut"]) for each in told["live"]]
    assert cut[0] == (300, True)
    assert sum(size for size, _ in cut) == 500
    assert all(each["devices"] == ["CPU:0"] for each in told["live"])
    assert any(size == 0 and short for size, short in cut)


def test_a_program_that_profiles_itself_is_left_alone(observed: Callable[[str], dict[str, Any]]) -> None:
    told = observed(
        WORK
        + 'jax.profiler.start_trace(f"{folder}/own")\n'
        + WINDOW
        + "jax.profiler.stop_trace()\n"  # raises where somebody else has stopped it
    )
    assert "Only one profile" in told["window"]["error"]
    assert told["window"]["kernels"] is None
    assert told["window"]["placement"] == "window.executables.json.gz"


def test_without_cupti_it_says_that_it_was_blind(observed: Callable[[str], dict[str, Any]]) -> None:
    told = observed(WORK + "observer.devices = lambda: ['CPU:0', 'GPU:0']\n" + WINDOW)  # JAX's CPU wheel has no CUPTI
    assert told["window"]["error"] is None
    assert told["window"]["blind"].startswith("the profiler could not have seen a GPU's kernels: libcupti ")


def test_a_gpu_is_named_as_the_profiler_names_it(observed: Callable[[str], dict[str, Any]]) -> None:
    told = observed("""
from types import SimpleNamespace
for platform in ("gpu", "cuda", "cpu"):
    second = SimpleNamespace(platform=platform, id=9, local_hardware_id=1)  # of the second process of several
    told[platform] = observer.device_name(second)
""")
    assert (told["gpu"], told["cuda"], told["cpu"]) == ("GPU:1", "GPU:1", "CPU:1")
