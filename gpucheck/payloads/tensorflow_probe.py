"""TensorFlow's probe: a few steps pinned to a device with the placement log on, whichever Keras builds the model."""

from __future__ import annotations

import inspect
import sys
from typing import Any

from . import cifar10, keras_cnn, parts, tensorflow_kernels
from .observers import tensorflow_observer

STEPS = 16  # in a graph
EAGER_STEPS = 2  # after them, each op dispatched by itself
BATCH = 32


def observe(options: Any, say: parts.Say, keras_name: str | None = None) -> None:
    """A few steps, every op pinned inside train_step and logged. The model is tf.keras', or of the Keras named."""
    import tensorflow as tf  # type: ignore[import-untyped]

    tf.debugging.set_log_device_placement(True)  # first: once a context exists, this is silently ignored
    keras = __import__(keras_name) if keras_name else tf.keras
    keras.utils.set_random_seed(options.seed)
    device = f"/{options.device.upper()}:0"
    with tf.device(device):
        # Keras 2 lets XLA compile the optimizer by itself, and XLA's ops are in no log.
        adam = keras.optimizers.Adam
        own = {"jit_compile": False} if "jit_compile" in inspect.signature(adam).parameters else {}
        model = keras_cnn.compiled(keras, keras_cnn.cnn(keras), adam(**own), jit_compile=False)
        model.optimizer.build(model.trainable_variables)

    def pinned(x: Any, y: Any) -> Any:
        with tf.device(device):
            return model.train_step((x, y))

    step = tf.function(pinned, jit_compile=False)
    images = cifar10.synthetic(options.seed, train=STEPS * BATCH, test=0)
    cuts = [slice(start, start + BATCH) for start in range(0, STEPS * BATCH, BATCH)]
    x = images.x_train.astype("float32") / 255
    batches = [(tf.constant(x[cut]), tf.constant(images.y_train[cut])) for cut in cuts]
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
    registry = tensorflow_kernels.registry(tf)
    own_keras = sys.modules[keras.Model.__module__.split(".")[0]]  # keras, or tf_keras: tf.keras may be either
    versions = (
        {"framework_version": own_keras.__version__, "backend": "tensorflow", "backend_version": tf.__version__}
        if keras_name
        else {"framework_version": tf.__version__, "keras_version": own_keras.__version__}
    )
    parts.write(
        options.out / ("strict.json" if refused else f"{options.stem}.json"),
        {
            **versions, "device": options.device,
            "strict": options.strict, "refused": refused, "steps": min(STEPS, len(losses)),
            "eager_steps": max(0, len(losses) - STEPS), "batch_size": BATCH, "losses": losses,
            "devices": tensorflow_observer.devices(),
            "gpus": [tf.config.experimental.get_device_details(d) for d in tf.config.list_physical_devices("GPU")],
            "placement": {"kind": "tensorflow-log", "file": None},
            "gpu_build": registry["gpu_build"], "registry": registry,
        },
    )  # fmt: skip
