"""Keras 3, observed on one of its backends: a probe of 16 steps, then model.fit as a Keras user calls it.

    PYTHONPATH=<the folder that holds payloads/> python -m payloads.keras --backend torch --out DIR [--device cpu] ...

`--device gpu` is what Keras does by itself: its backends choose, and each takes the CPU without a word where it sees no
GPU. The strict probe refuses that.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
import sys
from typing import Any

import numpy as np

from . import cifar10, keras_cnn, keras_fit, parts, program, recipe, report
from .window import Window

BACKENDS = ("tensorflow", "torch", "jax")
STEPS, BATCH = 16, 32  # of the probe
HELD_BATCH = 1000  # images in one evaluation
ANY_ORDER = "Keras sets the seeds, but a GPU's kernels may be chosen, and may add, in another order each time"


def backend(name: str) -> Any:
    """Imports its framework."""
    if name == "tensorflow":
        from . import keras_tensorflow

        return keras_tensorflow
    if name == "torch":
        from . import keras_torch

        return keras_torch
    from . import keras_jax

    return keras_jax


def probe(options: Any, say: parts.Say) -> None:
    """A few steps of train_on_batch, observed as the backend can be."""
    if options.backend == "tensorflow":
        from . import tensorflow_probe

        tensorflow_probe.observe(options, say, keras_name="keras")
        return
    on = backend(options.backend)
    on.configure(options)
    import keras  # type: ignore[import-not-found]

    losses: list[float] = []
    refused = on.refusal(keras) if options.strict and options.device == "gpu" else None
    placement = {"kind": on.PLACEMENT, "file": None}
    if refused:
        say("refused")
    else:
        say(f"{STEPS} steps on the {options.device}{', strictly' if options.strict else ''}")
        keras.utils.set_random_seed(options.seed)
        images = cifar10.synthetic(options.seed, train=STEPS * BATCH, test=0)
        x = images.x_train.astype(np.float32) / 255
        with placed(keras, options):
            model = keras_cnn.compiled(keras, keras_cnn.cnn(keras), keras.optimizers.Adam())

            def steps() -> None:
                for start in range(0, STEPS * BATCH, BATCH):
                    cut = slice(start, start + BATCH)
                    told = model.train_on_batch(x[cut], images.y_train[cut], return_dict=True)
                    losses.append(float(told["loss"]))

            placement = on.observed(options, steps)
    parts.write(
        options.out / ("strict.json" if refused else f"{options.stem}.json"),
        {
            "framework_version": importlib.metadata.version("keras"), "backend": options.backend,
            "backend_version": on.VERSION, "device": options.device, "strict": options.strict, "refused": refused,
            "forced": on.forced(), "steps": len(losses), "eager_steps": 0, "batch_size": BATCH, "losses": losses,
            "placement": placement, **on.described(),
        },
    )  # fmt: skip


def train(options: Any, say: parts.Say) -> None:
    """Writes <stem>.json last."""
    say(f"loading Keras on {options.backend} and the data")
    data = cifar10.prepared(options, say)
    chosen = recipe.chosen(options)
    on = backend(options.backend)
    on.configure(options)
    import keras

    keras.utils.set_random_seed(options.seed)
    steps = recipe.steps_in(len(data.x_train), chosen.batch_size)
    follow = report.Follow(chosen.epochs, steps, say)
    window = Window(on.OBSERVER, options, follow)
    x, x_held, x_test = (recipe.scaled(chosen, images) for images in (data.x_train, data.x_held, data.x_test))
    with placed(keras, options):
        gpu = on.device(keras.ops.zeros(1)).startswith("GPU")
        low = chosen.low_precision and on.gains_from_bfloat16(gpu)
        keras.mixed_precision.set_global_policy("mixed_bfloat16" if low else "float32")
        fed: tuple[Any, ...]
        if chosen.name == "tutorial":
            fed, how, most = (x, data.y_train), {"batch_size": chosen.batch_size}, len(x)
            optimizer, compiling = keras.optimizers.Adam(), {}
        else:
            fed, how = (batches(keras, options.seed, chosen, steps, x, data.y_train),), {}
            most = steps * chosen.batch_size
            optimizer = keras.optimizers.Adam(
                keras_cnn.schedule(keras, recipe.rates(chosen, chosen.epochs * steps), functools.partial(taken, keras))
            )
            compiling = {"steps_per_execution": min(on.STEPS_PER_EXECUTION, max(1, steps // 4))}
        model = keras_cnn.compiled(keras, keras_cnn.cnn(keras), optimizer, **compiling)
        held = {"validation_data": (x_held, data.y_held), "validation_batch_size": HELD_BATCH}
        keras_fit.fit(keras, model, follow, window, options.steps, *fed, **how, **held)
        logits = None if options.steps else model.predict(x_test, batch_size=HELD_BATCH, verbose=0)
    test_loss, _, predicted = (None, None, None) if logits is None else keras_cnn.scores(logits, data.y_test)
    share = {
        "device": on.device(model.trainable_variables[0].value),
        "samples": keras_fit.samples(follow, chosen.batch_size, most),
    }
    report.training(
        options, follow, data, framework_version=keras.__version__, recipe=chosen.name,
        precision="bfloat16" if low else "float32", batch_size=chosen.batch_size,
        deterministic=ANY_ORDER if gpu else None, devices=on.OBSERVER.devices(), shares=[share],
        weights_bytes=keras_cnn.weights_bytes(model), gpu_memory_peak_bytes=on.memory_peaks(),
        profile=window.profile, test_loss=test_loss, predicted=predicted,
        backend=options.backend, backend_version=on.VERSION,
    )  # fmt: skip


def placed(keras: Any, options: Any) -> Any:
    """Not by "cpu:0": Keras 3.15 on PyTorch takes that for another device than its weights', and trains on copies."""
    return keras.device("cpu") if options.device == "cpu" else contextlib.nullcontext()


def taken(keras: Any, table: Any, step: Any) -> Any:
    return keras.ops.take(keras.ops.convert_to_tensor(table), keras.ops.cast(step, "int32"))


def batches(keras: Any, seed: int, chosen: recipe.Recipe, steps: int, x: Any, y: Any) -> Any:
    """What fit() is fed with: each epoch in another order, every batch full, half of the images mirrored."""

    class Batches(keras.utils.PyDataset):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.epoch = -1
            self.on_epoch_end()

        def __len__(self) -> int:
            return steps

        def on_epoch_end(self) -> None:
            self.epoch += 1
            shuffled = recipe.order(seed, self.epoch, len(x), chosen)
            self.order, self.mirrored = (np.resize(array, (steps, chosen.batch_size)) for array in shuffled)

        def __getitem__(self, step: int) -> tuple[Any, Any]:
            images = x[self.order[step]]
            mirrored = self.mirrored[step]
            images[mirrored] = images[mirrored][:, :, ::-1]
            return images, y[self.order[step]]

    return Batches()


def prepare(options: Any) -> None:
    if options.devices > 1:
        sys.exit("payloads.keras trains on one device: ask payloads.tensorflow, pytorch or jax for several")


if __name__ == "__main__":
    sys.exit(program.main("keras", probe, train, prepare=prepare, backends=BACKENDS))
