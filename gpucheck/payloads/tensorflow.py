"""TensorFlow, observed: a probe of 16 steps with its placement log, then the training as a user would run it.

    PYTHONPATH=<the folder that holds payloads/> python -m payloads.tensorflow --out DIR [--device cpu] ...

Runs with TensorFlow 2.13 and newer, with Keras 2 and Keras 3. `tutorial` is the tutorial's own model.fit; `fast`, and
every training on several devices, keeps the images on the device and makes many steps one call.
"""

from __future__ import annotations

import sys
from typing import Any

from . import cifar10, keras_cnn, keras_fit, parts, program, recipe, report, tensorflow_loop, tensorflow_probe
from .observers import tensorflow_observer
from .window import Window
from .world_process import supervise

BFLOAT16_GPU = (8, 0)  # compute capability that has it in hardware


def train(options: Any, say: parts.Say) -> None:
    """Writes <stem>.json last."""
    say("loading TensorFlow and the data")
    data = cifar10.prepared(options, say)
    chosen = recipe.chosen(options)
    import tensorflow as tf  # type: ignore[import-untyped]

    gpus = tf.config.list_physical_devices("GPU") if options.device == "gpu" else []
    several = replicas(tf, options.devices, len(gpus))
    if several:
        chosen = chosen._replace(batch_size=-(-chosen.batch_size // len(several)) * len(several))
    tf.keras.utils.set_random_seed(options.seed)
    unsure = why_not_deterministic(chosen, gpus)
    if unsure is None:
        tf.config.experimental.enable_op_determinism()
    low = chosen.low_precision and gains_from_bfloat16(tf, gpus)
    tf.keras.mixed_precision.set_global_policy("mixed_bfloat16" if low else "float32")
    follow = report.Follow(chosen.epochs, recipe.steps_in(len(data.x_train), chosen.batch_size), say)
    window = Window(tensorflow_observer, options, follow)
    how = tutorial if chosen.name == "tutorial" and not several else tensorflow_loop.train
    strategy = tf.distribute.MirroredStrategy(several) if several else tf.distribute.get_strategy()
    with tf.device(f"/{options.device.upper()}:0"):
        model, shares, logits = how(tf, options, chosen, data, follow, window, strategy)
    test_loss, _, predicted = (None, None, None) if logits is None else keras_cnn.scores(logits, data.y_test)
    report.training(
        options, follow, data, framework_version=tf.__version__, recipe=chosen.name,
        precision="bfloat16" if low else "float32", batch_size=chosen.batch_size, deterministic=unsure,
        devices=tensorflow_observer.devices(), shares=shares, weights_bytes=keras_cnn.weights_bytes(model),
        gpu_memory_peak_bytes=memory_peaks(tf), profile=window.profile, test_loss=test_loss, predicted=predicted,
    )  # fmt: skip


def tutorial(
    tf: Any, options: Any, chosen: recipe.Recipe, data: cifar10.Split, follow: report.Follow, window: Window,
    strategy: Any,  # noqa: ARG001 - the default one
) -> tuple[Any, list[dict[str, Any]], Any]:  # fmt: skip
    """As tensorflow_loop.train: the model, the one device's share, the logits of the test images."""
    x, x_held, x_test = (recipe.scaled(chosen, images) for images in (data.x_train, data.x_held, data.x_test))
    model = keras_cnn.compiled(tf.keras, keras_cnn.cnn(tf.keras), tf.keras.optimizers.Adam())
    keras_fit.fit(
        tf.keras, model, follow, window, options.steps, x, data.y_train, batch_size=chosen.batch_size,
        validation_data=(x_held, data.y_held),
    )  # fmt: skip
    variable = model.trainable_variables[0]
    variable = variable if hasattr(variable, "device") else variable.value  # of Keras 2, of Keras 3
    device = tensorflow_observer.device_name(variable.device)
    shares = [{"device": device, "samples": keras_fit.samples(follow, chosen.batch_size, len(x))}]
    return model, shares, None if options.steps else model.predict(x_test, verbose=0)


def replicas(tf: Any, asked: int, gpus: int) -> list[str]:
    """The devices of several replicas; none where one was asked for. On the CPU they are parts of it, made here."""
    if asked == 1:
        return []
    if gpus:
        if gpus < asked:
            sys.exit(f"{asked} devices were asked for, and TensorFlow sees {gpus} GPU{'s' * (gpus > 1)}")
        return [f"GPU:{number}" for number in range(asked)]
    cpu = tf.config.list_physical_devices("CPU")[0]
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * asked)
    return [f"CPU:{number}" for number in range(asked)]


def why_not_deterministic(chosen: recipe.Recipe, gpus: list[Any]) -> str | None:
    if gpus:
        return "TensorFlow adds in any order on a GPU: its deterministic kernels are slower and were not asked for"
    if chosen.name == "tutorial":
        return "the tutorial does not ask TensorFlow for deterministic ops"
    return None  # on the CPU asking for them costs nothing


def gains_from_bfloat16(tf: Any, gpus: list[Any]) -> bool:
    if not gpus:
        return keras_cnn.cpu_has_bfloat16()
    details = [tf.config.experimental.get_device_details(gpu) for gpu in gpus]
    return all(detail.get("compute_capability", (0, 0)) >= BFLOAT16_GPU for detail in details)


def memory_peaks(tf: Any) -> list[int] | None:
    """Bytes in use at most, of each GPU; None where an allocator keeps no count."""
    names = [name for name in tensorflow_observer.devices() if name.startswith("GPU")]
    try:
        return [tf.config.experimental.get_memory_info(name)["peak"] for name in names]
    except (ValueError, tf.errors.OpError):
        return None


def join(options: Any, say: parts.Say) -> None:
    supervise("payloads.tensorflow_world", options, say)


if __name__ == "__main__":
    sys.exit(
        program.main(
            "tensorflow", tensorflow_probe.observe, train, quiet={"KERAS_BACKEND": "tensorflow"},
            world=join,
        )
    )  # fmt: skip
