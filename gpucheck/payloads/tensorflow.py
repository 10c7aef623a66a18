"""TensorFlow, observed: a probe of 16 steps with its placement log, then the training as a user would run it.

    PYTHONPATH=<the folder that holds payloads/> python -m payloads.tensorflow --out DIR [--device cpu] ...

Writes probe.{out,err,json}, train.{out,err,json} and run.json into DIR; where strict placement was refused, also
strict.{out,err,json}. Runs with TensorFlow 2.13 and newer, with Keras 2 and Keras 3.
"""

from __future__ import annotations

import inspect
import math
import os
import sys
import time
from pathlib import Path
from typing import Any

from . import cifar10, parts, tensorflow_kernels

STEPS = 16  # of the probe, in a graph
EAGER_STEPS = 2  # after them, each op dispatched by itself
PROBE_BATCH = 32
# They change what is compiled or logged, and the probe must log every op.
UNSET = ("TF_CPP_VMODULE", "TF_CPP_MAX_VLOG_LEVEL", "TF_XLA_FLAGS")


def main() -> int:
    options = parts.parser("payloads.tensorflow").parse_args()
    if options.part:
        say = parts.speaker(options.progress)
        (probe if options.part == "probe" else train)(options, say)
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    for part in ("strict", "probe", "train", "run"):  # an earlier run's evidence is not this run's
        for ending in ("out", "err", "json"):
            (options.out / f"{part}.{ending}").unlink(missing_ok=True)
    return parts.run("tensorflow", options.out, lambda done: observe(done, options.out))


def observe(done: list[dict[str, Any]], out: Path) -> None:
    quiet = {"KERAS_BACKEND": "tensorflow"}
    loud = {**quiet, "TF_CPP_MIN_LOG_LEVEL": "0"}
    if not parts.start(done, "probe-strict", ["--part", "probe", "--strict"], out / "strict", UNSET, **loud):
        return
    if (out / "probe.json").exists():  # strict placement was accepted
        for ending in ("out", "err"):
            os.replace(out / f"strict.{ending}", out / f"probe.{ending}")
    elif not parts.start(done, "probe-soft", ["--part", "probe"], out / "probe", UNSET, **loud):
        return
    parts.start(done, "train", ["--part", "train"], out / "train", (), **quiet)


def probe(options: Any, say: parts.Say) -> None:
    """A few steps, every op pinned inside train_step and logged."""
    import tensorflow as tf  # type: ignore[import-untyped]

    tf.debugging.set_log_device_placement(True)  # first: once a context exists, this is silently ignored
    tf.keras.utils.set_random_seed(options.seed)
    device = f"/{options.device.upper()}:0"
    with tf.device(device):
        model = cnn(tf)
        # Keras 2 lets XLA compile the optimizer by itself, and XLA's ops are in no log.
        adam = tf.keras.optimizers.Adam
        own = {"jit_compile": False} if "jit_compile" in inspect.signature(adam).parameters else {}
        compiled(tf, model, adam(**own), jit_compile=False)
        model.optimizer.build(model.trainable_variables)

    def pinned(x: Any, y: Any) -> Any:
        with tf.device(device):
            return model.train_step((x, y))

    step = tf.function(pinned, jit_compile=False)
    images = cifar10.synthetic(options.seed, train=STEPS * PROBE_BATCH, test=0)
    cuts = [slice(start, start + PROBE_BATCH) for start in range(0, STEPS * PROBE_BATCH, PROBE_BATCH)]
    batches = [(tf.constant(scaled(images.x_train[cut])), tf.constant(images.y_train[cut])) for cut in cuts]
    step.get_concrete_function(*batches[0])  # traces; the metrics make their variables here
    refused, losses = None, []
    # Strict only from here: the steps are what is asked about, and building may use whatever device it likes.
    tf.config.set_soft_device_placement(not options.strict)
    say(f"{STEPS} steps on {device}{', strictly' if options.strict else ''}")
    try:
        losses = [float(step(*batch)["loss"]) for batch in batches]
        tf.config.run_functions_eagerly(True)
        losses += [float(step(*batch)["loss"]) for batch in batches[:EAGER_STEPS]]
    except tf.errors.InvalidArgumentError as error:
        refused = next((line for line in error.message.splitlines() if "device" in line), None)
        if not options.strict or refused is None:
            raise
        say("refused")
    keras = sys.modules[tf.keras.Model.__module__.split(".")[0]]  # keras, or tf_keras: tf.keras may be either
    parts.write(
        options.out / ("strict.json" if refused else "probe.json"),
        {
            "framework_version": tf.__version__, "keras_version": keras.__version__, "device": options.device,
            "strict": options.strict, "refused": refused, "steps": min(STEPS, len(losses)),
            "eager_steps": max(0, len(losses) - STEPS), "batch_size": PROBE_BATCH, "losses": losses,
            "devices": [":".join(d.name.split(":")[-2:]) for d in tf.config.list_logical_devices()],
            "gpus": [tf.config.experimental.get_device_details(d) for d in tf.config.list_physical_devices("GPU")],
            "registry": tensorflow_kernels.registry(tf),
        },
    )  # fmt: skip


def train(options: Any, say: parts.Say) -> None:
    """model.fit as in the tutorial; progress at most once a second."""
    say("loading TensorFlow and the data")
    try:
        images = cifar10.load(options.data) if options.data else None
    except ValueError as error:
        say(str(error))
        sys.exit(str(error))
    limit = options.limit or cifar10.IMAGES * len(cifar10.TRAIN)
    images = images or cifar10.synthetic(options.seed, min(8192, limit), min(2048, limit))
    x, y = images.x_train[:limit], images.y_train[:limit]
    x_test, y_test = scaled(images.x_test[:limit]), images.y_test[:limit]
    split = options.validation_split
    held_out = {"validation_split": split} if split else {"validation_data": (x_test, y_test)}
    import tensorflow as tf

    tf.keras.utils.set_random_seed(options.seed)
    history: list[dict[str, Any]] = []
    steps = math.ceil(int(len(x) * (1 - split)) / options.batch_size)
    at = {"epoch": 0.0, "said": 0.0, "steps": 0}

    def begin(_epoch: int, _logs: Any = None) -> None:
        at.update(epoch=time.monotonic(), steps=0)

    def batch(_batch: int, logs: Any = None) -> None:
        at["steps"] += 1
        if time.monotonic() - at["said"] >= 1:
            at["said"] = time.monotonic()
            share = f"epoch {len(history) + 1}/{options.epochs}, step {at['steps']}/{steps}"
            say(f"{share}, loss {float(logs['loss']):.3f}")

    def end(_epoch: int, logs: Any = None) -> None:
        names = ("loss", "accuracy", "val_loss", "val_accuracy")
        values = {name: float(logs[name]) if name in logs else None for name in names}
        history.append({**values, "seconds": round(time.monotonic() - at["epoch"], 3), "steps": at["steps"]})

    with tf.device(f"/{options.device.upper()}:0"):
        model = compiled(tf, cnn(tf), tf.keras.optimizers.Adam())
        follow = tf.keras.callbacks.LambdaCallback(on_epoch_begin=begin, on_epoch_end=end, on_train_batch_end=batch)
        model.fit(
            scaled(x), y, batch_size=options.batch_size, epochs=options.epochs, verbose=2, callbacks=[follow],
            **held_out,
        )  # fmt: skip
        say("testing")
        test = model.evaluate(x_test, y_test, verbose=2, return_dict=True)
    gpus = [":".join(d.name.split(":")[-2:]) for d in tf.config.list_logical_devices("GPU")]
    try:
        memory = [tf.config.experimental.get_memory_info(gpu)["peak"] for gpu in gpus]
    except (ValueError, tf.errors.OpError):  # an allocator that keeps no count
        memory = None
    parts.write(
        options.out / "train.json",
        {
            "framework_version": tf.__version__, "history": history, "epochs": options.epochs,
            "batch_size": options.batch_size, "validation_split": split, "seed": options.seed,
            "samples": len(x), "test_loss": float(test["loss"]), "test_accuracy": float(test["accuracy"]),
            "gpu_memory_peak_bytes": memory,
            "data": {"kind": "cifar10" if options.data else "synthetic", "source": images.source},
        },
    )  # fmt: skip


def cnn(tf: Any) -> Any:
    """The CNN of TensorFlow's CIFAR-10 tutorial: 122,570 parameters."""
    layers = tf.keras.layers
    model = tf.keras.Sequential([
        layers.Conv2D(32, (3, 3), activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Conv2D(64, (3, 3), activation="relu"),
        layers.MaxPooling2D((2, 2)),
        layers.Conv2D(64, (3, 3), activation="relu"),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dense(10),
    ])  # fmt: skip
    model.build((None, cifar10.SIDE, cifar10.SIDE, 3))
    return model


def compiled(tf: Any, model: Any, optimizer: Any, **how: Any) -> Any:
    loss = tf.keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=optimizer, loss=loss, metrics=["accuracy"], **how)
    return model


def scaled(images: Any) -> Any:
    """uint8 to float32 from 0 to 1."""
    return images.astype("float32") / 255


if __name__ == "__main__":
    sys.exit(main())
