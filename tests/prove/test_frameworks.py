"""`gpucheck prove` of real programs of every framework, here on the CPU."""

from __future__ import annotations

import io
import json
import os
import pickle
import subprocess
import sys
import tarfile
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucheck.host import CannotLook

Prove = Callable[..., Any]
TORCH = """
    import time, torch
    x, w = torch.randn(256, 256), torch.randn(256, 256, requires_grad=True)
    end = time.time() + 3
    while time.time() < end:
        (x @ w).relu().sum().backward()
"""


def test_pytorch(prove: Prove, framework_python: Callable[[str], str]) -> None:
    proved = prove(TORCH, python=framework_python("pytorch-cpu"))
    assert (proved.code, proved.out) == (0, "")
    assert "profiler_start" not in proved.err
    run = proved.run
    assert (run.frameworks, run.devices_seen, run.hidden_by) == (("torch",), ("CPU:0",), None)
    assert run.overhead is not None
    assert [process.ended for process in run.processes] == [True]
    assert proved.heavy()["aten::mm"] == {"CPU:0"}
    assert proved.placement.gpu_kernels is None  # a wheel without them
    assert proved.placement.unread == 0
    kernels = proved.kernels
    assert (kernels.source, kernels.devices) == ("torch.profiler", ())
    assert kernels.host_ops > 0


def test_a_hidden_gpu_is_named(prove: Prove, framework_python: Callable[[str], str]) -> None:
    python = framework_python("pytorch-cpu")
    proved = prove("import os; os.environ['CUDA_VISIBLE_DEVICES'] = '-1'\nimport torch", python=python)
    assert proved.run.hidden_by == "CUDA_VISIBLE_DEVICES=-1"
    with pytest.raises(CannotLook, match="over before a framework was seen at work"):
        _ = proved.kernels


def test_pytorch_in_workers(prove: Prove, framework_python: Callable[[str], str]) -> None:
    """A DataLoader's workers are not observed, their parent is; and the program's own profiler comes first."""
    proved = prove(
        """
        import time, torch
        from torch.utils.data import DataLoader
        class Numbers:
            def __len__(self): return 400
            def __getitem__(self, at): return torch.full((64,), float(at))
        def main():
            w = torch.randn(64, 64)
            for _ in range(3):
                for batch in DataLoader(Numbers(), batch_size=20, num_workers=2, multiprocessing_context="fork"):
                    batch @ w
                    time.sleep(0.02)
            with torch.profiler.profile() as profile:
                w @ w
            print(sum(event.count for event in profile.key_averages() if event.key == "aten::mm"))
        if __name__ == "__main__":
            main()
        """,
        python=framework_python("pytorch-cpu"),
    )
    assert (proved.code, proved.out) == (0, "1\n")
    parent, *workers = proved.run.processes
    assert parent.ended
    assert any("a profiler of its own" in problem for problem in parent.problems)
    assert len(workers) == 6
    windows = {name: json.loads((proved.evidence / name).read_text())["windows"] for name in os.listdir(proved.evidence)
               if name.startswith("p") and name.endswith(".json")}  # fmt: skip
    assert all(not found for name, found in windows.items() if name != f"p{parent.pid}.json")


def test_jax(prove: Prove, framework_python: Callable[[str], str]) -> None:
    proved = prove(
        """
        import time, jax, jax.numpy as jnp
        product = jax.jit(lambda a: (a @ a).sum())
        a, end = jnp.ones((256, 256)), time.time() + 2
        while time.time() < end:
            product(a).block_until_ready()
        """,
        python=framework_python("jax-cpu"),
    )
    assert (proved.code, proved.out) == (0, "")
    assert proved.run.frameworks == ("jax",)
    assert proved.heavy() == {"dot": {"CPU:0"}}
    assert proved.kernels.source == "XPlane"
    assert proved.kernels.host_ops > 0


def test_xgboost(prove: Prove, framework_python: Callable[[str], str]) -> None:
    proved = prove(
        """
        import numpy, xgboost
        x = numpy.random.default_rng(0).random((500, 8))
        data = xgboost.DMatrix(x, x.sum(axis=1) > 4)
        booster = xgboost.train({"device": "cuda", "objective": "binary:logistic"}, data, 7)
        xgboost.train({"objective": "binary:logistic"}, data, 5)
        xgboost.Booster(model_file=bytearray(booster.save_raw())).predict(data)  # trains nothing
        """,
        python=framework_python("xgboost-cpu"),
    )
    assert (proved.code, proved.out) == (0, "")
    assert "xgboost/training.py" in proved.err  # XGBoost's warning names its own line, not one of ours
    assert proved.run.frameworks == ("xgboost",)
    [op] = proved.placement.ops
    assert (op.op, op.device, op.count, op.mode) == ("tree growing", "CPU:0", 12, "configured")
    assert "Device is changed from GPU to CPU" in proved.placement.reasons[0]
    with pytest.raises(CannotLook, match="no profiler"):
        _ = proved.kernels


KERAS = """
    import os
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    import keras, numpy, tensorflow
    tensorflow.debugging.set_log_device_placement(False)  # what is ours stays on
    from keras import layers
    model = keras.Sequential([layers.Input((16, 16, 3)), layers.Conv2D(4, 3, activation="relu"), layers.Flatten(),
                              layers.Dense(10)])
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = numpy.random.rand(128, 16, 16, 3).astype("float32"), numpy.random.randint(0, 10, 128)
    model.fit(x, y, epochs=2, validation_data=(x, y))
"""


@pytest.mark.tensorflow
def test_tensorflow_muted_by_its_script(prove: Prove, tensorflow_python: str) -> None:
    proved = prove(KERAS, python=tensorflow_python)
    assert proved.code == 0
    assert "/device:" not in proved.out + proved.err.partition("gpucheck prove")[0]
    assert "Epoch 2/2" in proved.out
    run = proved.run
    assert run.frameworks == ("tensorflow", "keras")
    assert run.muted == "TF_CPP_MIN_LOG_LEVEL=3"
    heavy = proved.heavy()
    assert {"Conv2D", "Conv2DBackpropFilter", "MatMul"} <= set(heavy)
    assert set().union(*heavy.values()) == {"CPU:0"}
    assert proved.placement.unread == 0
    assert proved.kernels.host_ops > 0


@pytest.mark.tensorflow
def test_a_program_that_logs_placement_itself_sees_it(prove: Prove, tensorflow_python: str) -> None:
    script = """
        import tensorflow as tf
        tf.debugging.set_log_device_placement(True)
        @tf.function
        def product(a): return tf.matmul(a, a)
        print(float(product(tf.ones((2, 2)))[0, 0]))
    """
    proved = prove(script, python=tensorflow_python)
    assert "MatMul: (MatMul): /job:localhost/replica:0/task:0/device:CPU:0\n" in proved.out
    assert proved.heavy() == {"MatMul": {"CPU:0"}}


@pytest.mark.tensorflow
def test_a_forged_log_beside_a_real_one_is_no_pass(prove: Prove, framework_python: Callable[[str], str]) -> None:
    """The forged lines say GPU, TensorFlow's own and its profiler say CPU."""
    forged = "forged: (MatMul): /job:localhost/replica:0/task:0/device:GPU:0"
    proved = prove(f"""
        import time
        import tensorflow as tf
        a, end = tf.ones((256, 256)), time.monotonic() + 3
        while time.monotonic() < end:
            a = tf.matmul(a, a) / 256
        print({forged!r}, flush=True)
    """, "--exit", "verdict", python=framework_python("tensorflow-cpu"))  # fmt: skip
    assert proved.heavy()["MatMul"] == {"CPU:0", "GPU:0"}
    assert proved.code == 1, proved.err
    assert "contradict" in proved.err or "only a part" in proved.err


def site_packages(python: str) -> str:
    code = "import sysconfig; print(sysconfig.get_path('purelib'))"
    return subprocess.run([python, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_two_frameworks_in_one_process(prove: Prove, framework_python: Callable[[str], str]) -> None:
    python, beside = framework_python("pytorch-cpu"), site_packages(framework_python("tensorflow-cpu"))
    proved = prove("import tensorflow as tf\ntf.matmul(tf.ones((2, 2)), tf.ones((2, 2)))\n" + textwrap.dedent(TORCH),
                   python=python, env={"PYTHONPATH": beside})  # fmt: skip
    assert proved.run.frameworks == ("tensorflow", "torch")
    assert proved.heavy()["aten::mm"] == {"CPU:0"}
    assert proved.heavy()["MatMul"] == {"CPU:0"}
    assert proved.kernels.windows >= 1


# https://www.tensorflow.org/tutorials/images/cnn as people run it: in tf.device, and nothing checked.
TUTORIAL = """
import tensorflow as tf

from tensorflow.keras import datasets, layers, models

(train_images, train_labels), (test_images, test_labels) = datasets.cifar10.load_data()

# Normalize pixel values to be between 0 and 1
train_images, test_images = train_images / 255.0, test_images / 255.0

with tf.device('/GPU:0'):
    model = models.Sequential()
    model.add(layers.Conv2D(32, (3, 3), activation='relu', input_shape=(32, 32, 3)))
    model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Conv2D(64, (3, 3), activation='relu'))
    model.add(layers.MaxPooling2D((2, 2)))
    model.add(layers.Conv2D(64, (3, 3), activation='relu'))
    model.add(layers.Flatten())
    model.add(layers.Dense(64, activation='relu'))
    model.add(layers.Dense(10))

    model.compile(optimizer='adam',
                  loss=tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True),
                  metrics=['accuracy'])

    history = model.fit(train_images, train_labels, epochs=10,
                        validation_data=(test_images, test_labels))
"""


@pytest.mark.tensorflow
@pytest.mark.timeout(400)
def test_the_tutorial_verbatim(prove: Prove, tensorflow_python: str, tmp_path: Path) -> None:
    """With data of CIFAR-10's layout where Keras looks for it; cut short, for its ten epochs take minutes."""
    keras_home = tmp_path / "keras"
    _cifar10(keras_home / "datasets")
    script = tmp_path / "tutorial.py"
    script.write_text(TUTORIAL)
    start = f"""
        import keras.src.utils.file_utils, runpy
        keras.src.utils.file_utils.validate_file = lambda *_, **__: True  # the archive is not the published one
        runpy.run_path({str(script)!r}, run_name="__main__")
    """
    proved = prove(start, "--timeout", "40", python=tensorflow_python, env={"KERAS_HOME": str(keras_home)})
    assert "Epoch 1/10" in proved.out
    assert proved.code == 124
    heavy = proved.heavy()
    assert {"Conv2D", "Conv2DBackpropFilter", "Conv2DBackpropInput", "MatMul", "MaxPool"} <= set(heavy)
    assert set().union(*heavy.values()) == {"CPU:0"}
    run = proved.run
    assert run.devices_seen == ("CPU:0",)
    assert proved.placement.gpu_kernels is None
    assert (proved.kernels.devices, proved.kernels.host_ops > 0) == ((), True)


def _cifar10(folder: Path) -> None:
    """cifar-10-python.tar.gz in miniature: the whole number of images, of one colour each."""
    folder.mkdir(parents=True)
    random = np.random.default_rng(0)
    with tarfile.open(folder / "cifar-10-batches-py-target_archive", "w:gz", compresslevel=1) as archive:
        for name in (*(f"data_batch_{number}" for number in range(1, 6)), "test_batch"):
            labels = random.integers(0, 10, 10_000)
            images = np.repeat((labels * 25).astype(np.uint8)[:, None], 3072, axis=1)
            content = pickle.dumps({b"data": images, b"labels": labels.tolist()})
            member = tarfile.TarInfo(f"cifar-10-batches-py/{name}")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def test_a_notebook(prove: Prove, framework_python: Callable[[str], str], tmp_path: Path) -> None:
    python = framework_python("pytorch-cpu")
    sources = ["import torch, time\nprint('begin')", textwrap.dedent(TORCH), "1 + 1", "1/0", "print('never')"]
    cells: list[dict[str, Any]] = [
        {
            "cell_type": "code",
            "id": f"c{number}",
            "metadata": {},
            "execution_count": None,
            "outputs": [],
            "source": text,
        }
        for number, text in enumerate(sources)
    ]
    notebook = tmp_path / "train.ipynb"
    notebook.write_text(json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}))
    before = notebook.read_bytes()
    path = f"{Path(python).parent}{os.pathsep}{os.environ['PATH']}"
    beside = site_packages(sys.executable)  # nbclient is there
    proved = prove([str(notebook)], env={"PATH": path, "PYTHONPATH": beside})
    assert proved.code == 1
    assert proved.out.split() == ["begin", "2"]
    assert "ZeroDivisionError" in proved.err
    assert notebook.read_bytes() == before
    assert proved.heavy()["aten::mm"] == {"CPU:0"}
