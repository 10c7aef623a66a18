"""TensorFlow's observer in programs of its own, as the payload and a start-up hook use it.

GPUCHECK_PYTHON may name another interpreter than that of the locked environment.
"""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gpucheck.payloads.observers import tensorflow_observer as observer
from gpucheck.witnesses import placement_log

FILE = Path(observer.__file__)
pytestmark = pytest.mark.timeout(300)
# The module by its path, as a start-up hook loads it; `told` collects what the test looks at.
BEGIN = f"""
import importlib.util, json, os, sys, threading
from pathlib import Path
spec = importlib.util.spec_from_file_location("tensorflow_observer", {str(FILE)!r})
o = importlib.util.module_from_spec(spec)
spec.loader.exec_module(o)
told = []
"""
END = "\nPath('told.json').write_text(json.dumps(told))\n"

Program = Callable[..., tuple[list[Any], str]]


@pytest.fixture
def program(tensorflow_python: str, tmp_path: Path) -> Program:
    """A function (source, variables...) that runs a program and gives what it told and its stdout."""

    def run(source: str, **variables: str) -> tuple[list[Any], str]:
        (tmp_path / "program.py").write_text(BEGIN + source + END)
        done = subprocess.run(
            [tensorflow_python, "program.py"], cwd=tmp_path, env={**os.environ, **variables}, capture_output=True,
            text=True, timeout=200,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        told: list[Any] = json.loads((tmp_path / "told.json").read_text())
        return told, done.stdout

    return run


@pytest.mark.tensorflow
def test_it_is_ready_when_the_program_has_made_its_context_and_makes_none_itself(program: Program) -> None:
    told, _ = program("""
told.append([o.ready(), o.devices(), o.final(Path(), "x"), "tensorflow" in sys.modules])
import tensorflow as tf
told.append([o.ready(), o.devices()])
tf.config.set_logical_device_configuration(  # impossible once there is a context
    tf.config.list_physical_devices("CPU")[0], [tf.config.LogicalDeviceConfiguration()] * 2)
told.append([o.ready(), o.devices()])
tf.ones(1)
told.append([o.ready(), [name for name in o.devices() if name.startswith("CPU")]])
""")
    assert told == [[False, [], None, False], [False, []], [False, []], [True, ["CPU:0", "CPU:1"]]]


@pytest.mark.tensorflow
@pytest.mark.parametrize("imports", ["import tensorflow as tf", "import keras, tensorflow as tf"])
def test_the_log_is_on_from_the_import_whatever_the_script_silences(program: Program, imports: str) -> None:
    told, out = program(f"""
os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
{imports}
told += [o.on_import(tf), o.ready()]
tf.function(lambda x: x @ x)(tf.ones((8, 8)))
told.append(o.on_import(tf))
""", KERAS_BACKEND="tensorflow")  # fmt: skip
    assert told == [True, False, False]  # in time and without a context; the second call is too late
    placed = {op.op: op.device for op in placement_log.parse(out.splitlines()).ops if op.mode == "graph"}
    assert placed["MatMul"].startswith(("CPU:", "GPU:"))


@pytest.mark.tensorflow
def test_a_window_from_another_thread_has_the_programs_ops(program: Program, tmp_path: Path) -> None:
    (told,), _ = program("""
import tensorflow as tf
step = tf.function(lambda x: tf.nn.relu(x @ x))
x = step(tf.ones((64, 64)))
handles = []
thread = threading.Thread(target=lambda: handles.append(o.start(Path(), "train")))
thread.start(); thread.join()
for _ in range(20):
    x = step(x)
told.append(o.stop(handles[0]))
assert o.stop(handles[0]) == told[0]
""")
    assert told["seconds"] > 0
    assert {**told, "seconds": 0} == {
        "seconds": 0, "source": "XPlane", "kernels": "train.xplane.pb.gz", "placement": None, "blind": told["blind"],
        "error": None,
    }  # fmt: skip
    content = gzip.decompress((tmp_path / "train.xplane.pb.gz").read_bytes())
    assert b"/host:CPU" in content
    assert b"MatMul" in content
    assert {path.name for path in tmp_path.iterdir()} == {"program.py", "told.json", "train.xplane.pb.gz"}


OWN = {  # how a program starts a profiler of its own
    "function": 'tf.profiler.experimental.start("theirs")',
    "context": 'tf.profiler.experimental.Profile("theirs").__enter__()',
    "callback": "keras.callbacks.TensorBoard('theirs', profile_batch=1)._start_profiler('theirs')",
}


@pytest.mark.tensorflow
@pytest.mark.parametrize("way", OWN)
def test_the_programs_own_profiler_is_never_in_its_way(program: Program, tmp_path: Path, way: str) -> None:
    told, _ = program(f"""
import tensorflow as tf, keras
tf.ones(1)
theirs = tf.profiler.experimental.start
ours = o.start(Path(), "ours")
{OWN[way]}  # ends our window instead of failing
told.append(tf.profiler.experimental.start is theirs)
late = o.start(Path(), "late")
told.append(o.stop(late))
tf.profiler.experimental.stop()
told.append(o.stop(ours))
""", KERAS_BACKEND="tensorflow")  # fmt: skip
    restored, late, ours = told
    assert restored is True
    assert (late["kernels"], late["error"].partition(":")[0]) == (None, "AlreadyExistsError")
    assert (ours["kernels"], ours["error"]) == ("ours.xplane.pb.gz", None)
    assert list((tmp_path / "theirs").rglob("*.xplane.pb"))
    assert not (tmp_path / "late.xplane.pb.gz").exists()


@pytest.mark.tensorflow
def test_a_folder_that_is_gone_is_an_error_and_no_exception(program: Program) -> None:
    (told, kernels_off), _ = program("""
import tensorflow as tf
tf.ones(1)
told.append(o.stop(o.start(Path("not there"), "train")))
told.append(o.stop(o.start(Path(), "train", kernels=False)))
""")
    assert told["kernels"] is None
    assert "not there" in told["error"]
    assert (kernels_off["kernels"], kernels_off["error"]) == (None, None)


def test_a_process_without_tensorflow_is_never_ready() -> None:
    assert (observer.ready(), observer.devices()) == (False, [])


def test_a_gpu_without_cupti_makes_the_profiler_blind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observer, "CUPTI", ("libcupti-of-nobody.so.12",))
    assert observer._blind() is None  # no GPU, nothing to be blind for
    monkeypatch.setattr(observer, "devices", lambda: ["CPU:0", "GPU:0"])
    assert "libcupti-of-nobody.so.12: cannot open shared object file" in str(observer._blind())
