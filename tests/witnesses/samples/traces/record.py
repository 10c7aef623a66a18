"""Record the samples of PyTorch, JAX and TensorFlow beside this file: two or three steps of a small CNN on the CPU.

python record.py torch|jax|tensorflow      with an interpreter that has the framework
"""

from __future__ import annotations

import gzip
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SHAPES = {"images": (32, 32, 32, 3), "filters": ((3, 3, 3, 32), (3, 3, 32, 64), (3, 3, 64, 64)), "dense": (1024, 10)}


def write(name: str, content: bytes) -> None:
    (HERE / name).write_bytes(gzip.compress(content, mtime=0))


def profile(folder: str) -> bytes:
    return next(Path(folder).glob("plugins/profile/*/*.xplane.pb")).read_bytes()


def torch() -> None:
    import torch  # type: ignore[import-not-found]
    from torch import nn
    from torch.profiler import ExecutionTraceObserver, ProfilerActivity  # type: ignore[import-not-found]
    from torch.profiler import profile as profiler

    torch.manual_seed(0)
    layers = [nn.Conv2d(3, 32, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.ReLU(), nn.Flatten()]
    model = nn.Sequential(*layers, nn.Linear(64 * 13 * 13, 10))
    optimizer = torch.optim.Adam(model.parameters(), foreach=True)
    x, y = torch.rand(32, 3, 32, 32), torch.randint(0, 10, (32,))

    def step() -> float:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        return float(loss.detach())

    step()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        observer = ExecutionTraceObserver()
        observer.register_callback(str(path))
        observer.start()
        step(), step()
        observer.stop()
        observer.unregister_callback()
        write(f"torch{torch.__version__.split('+')[0]}.trace.json.gz", path.read_bytes())
        with profiler(activities=[ProfilerActivity.CPU]) as seen:
            step(), step()
        seen.export_chrome_trace(str(path))
        write(f"torch{torch.__version__.split('+')[0]}.kineto.json.gz", path.read_bytes())


def jax() -> None:
    import jax  # type: ignore[import-not-found]
    import jax.numpy as np  # type: ignore[import-not-found]

    def loss(weights: Any, x: Any, y: Any) -> Any:
        for kernel in weights[:3]:
            x = jax.lax.conv_general_dilated(x, kernel, (2, 2), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
            x = jax.nn.relu(x)
        return -np.mean(jax.nn.log_softmax(x.reshape(32, -1) @ weights[3])[np.arange(32), y])

    def train(weights: Any, x: Any, y: Any) -> Any:
        value, slopes = jax.value_and_grad(loss)(weights, x, y)
        return [w - 0.01 * slope for w, slope in zip(weights, slopes, strict=True)], value

    step = jax.jit(train)
    key = jax.random.key(0)
    weights = [0.05 * jax.random.normal(key, shape) for shape in (*SHAPES["filters"], SHAPES["dense"])]
    x, y = jax.random.normal(key, SHAPES["images"]), np.zeros(32, int)
    weights, value = step(weights, x, y)
    value.block_until_ready()
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level, options.enable_hlo_proto = 0, False
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder, profiler_options=options):
            for _ in range(3):
                weights, value = step(weights, x, y)
            value.block_until_ready()
        write(f"jax{jax.__version__}.xplane.pb.gz", profile(folder))
    rows = [
        {"name": modules[0].name, "platform": "cpu", "devices": ["CPU:0"], "cut": False,
         "hlo": "\n\n".join(module.to_string() for module in modules)}
        for modules in (one.hlo_modules() for one in jax.devices()[0].client.live_executables())
    ]  # fmt: skip
    write(f"jax{jax.__version__}.executables.json.gz", json.dumps({"executables": rows, "arrays": []}).encode())


def tensorflow() -> None:
    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"
    import tensorflow as tf  # type: ignore[import-untyped]

    layers = tf.keras.layers
    model = tf.keras.Sequential([
        layers.Conv2D(32, 3, activation="relu"), layers.MaxPooling2D(2), layers.Conv2D(64, 3, activation="relu"),
        layers.Flatten(), layers.Dense(10),
    ])  # fmt: skip
    model.compile("sgd", tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    x, y = tf.random.uniform((32, 32, 32, 3)), tf.zeros(32, tf.int32)
    for _ in range(2):
        model.train_on_batch(x, y)
    with tempfile.TemporaryDirectory() as folder:
        tf.profiler.experimental.start(folder)
        for _ in range(2):
            model.train_on_batch(x, y)
        tf.profiler.experimental.stop()
        write(f"tf{tf.__version__}.xplane.pb.gz", profile(folder))


if __name__ == "__main__":
    {"torch": torch, "jax": jax, "tensorflow": tensorflow}[sys.argv[1]]()
