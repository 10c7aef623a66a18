"""TensorFlow's training without model.fit: the images stay on the device, and many steps are one call.

On one device, or on several by MirroredStrategy.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import cifar10, keras_cnn, recipe, report
from .observers.tensorflow_observer import device_name
from .window import LENGTH, Window

CALL = 16  # steps in one call where a step takes long: progress is told between calls
CHUNK = 1000  # images in one evaluation


def train(
    tf: Any, options: Any, chosen: recipe.Recipe, data: cifar10.Split, follow: report.Follow, window: Window,
    strategy: Any, xla: bool | None = None,
) -> tuple[Any, list[dict[str, Any]], Any]:  # fmt: skip
    """The model, each device's share, and the logits of the test images: None where options.steps cut it short.

    One GPU gets the steps compiled by XLA, a whole epoch of them in one call. MirroredStrategy joins its replicas'
    threads in each step, which XLA cannot. On the CPU XLA's convolutions are slow, in a loop's body most of all.
    Every batch is full: the last one of an epoch is filled up with images of its beginning.
    """
    count = strategy.num_replicas_in_sync
    if xla is None:
        xla = count == 1 and options.device == "gpu" and bool(tf.config.list_physical_devices("GPU"))
    call = follow.steps if xla else CALL
    each = chosen.batch_size // count
    steps = follow.steps
    with strategy.scope():
        model = keras_cnn.cnn(tf.keras)
        rates = keras_cnn.schedule(tf.keras, recipe.rates(chosen, chosen.epochs * steps), tf.gather)
        optimizer = tf.keras.optimizers.Adam(rates)
        optimizer.build(model.trainable_variables)
        seen = tf.Variable(  # on each replica its own: what that device has trained on
            0, dtype=tf.int64, trainable=False, synchronization=tf.VariableSynchronization.ON_READ,
            aggregation=tf.VariableAggregation.SUM,
        )  # fmt: skip

    def step(images: Any, labels: Any, order: Any, mirrored: Any, at: Any) -> tuple[Any, Any]:
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        mine = order[at, replica]
        x, y = tf.gather(images, mine), tf.gather(labels, mine)
        if chosen.flip:
            x = tf.where(mirrored[at, replica][:, None, None, None], tf.reverse(x, [2]), x)
        with tf.GradientTape() as tape:
            logits = tf.cast(model(x, training=True), tf.float32)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)) / count
        gradients = tape.gradient(loss, model.trainable_variables)
        # It sums over the replicas. AutoGraph puts its own zip here, which in older versions takes no `strict`.
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))  # noqa: B905
        seen.assign_add(each)
        return loss, tf.reduce_mean(tf.cast(tf.argmax(logits, 1) == y, tf.float32)) / count

    @tf.function(jit_compile=xla)  # type: ignore[untyped-decorator]
    def run(images: Any, labels: Any, order: Any, mirrored: Any, first: Any, number: Any) -> tuple[Any, Any]:
        loss, right, at = 0.0, 0.0, first
        while at < first + number:  # for XLA a range would be a constant, and each other one another program
            losses, rights = strategy.run(step, args=(images, labels, order, mirrored, at))
            loss += strategy.reduce("SUM", losses, axis=None)
            right += strategy.reduce("SUM", rights, axis=None)
            at += 1
        return loss, right

    @tf.function(reduce_retracing=True)  # type: ignore[untyped-decorator]
    def forward(images: Any) -> Any:
        return tf.cast(model(images, training=False), tf.float32)

    def logits(images: Any) -> Any:
        return np.concatenate([forward(images[at : at + CHUNK]).numpy() for at in range(0, len(images), CHUNK)])

    def placed(value: Any) -> Any:
        """A copy on each replica's device."""

        def here(context: Any) -> Any:
            with tf.device(strategy.extended.worker_devices[context.replica_id_in_sync_group]):
                return tf.identity(value)

        return strategy.experimental_distribute_values_from_function(here) if count > 1 else tf.identity(value)

    images, labels = placed(recipe.scaled(chosen, data.x_train)), placed(data.y_train)
    x_test = tf.identity(recipe.scaled(chosen, data.x_test))
    x_held = tf.identity(recipe.scaled(chosen, data.x_held)) if options.validation_split else x_test
    left = options.steps or chosen.epochs * steps
    outputs = None
    for epoch in range(chosen.epochs):
        shuffled = recipe.order(options.seed, epoch, len(data.x_train), chosen)
        order, mirrored = (placed(np.resize(array, (steps, count, each))) for array in shuffled)
        follow.epoch()
        done, loss, right = 0, 0.0, 0.0
        window.at(0)
        while done < min(steps, left):
            size = min(_group(window, epoch, done, call), steps - done, left - done)
            losses = run(images, labels, order, mirrored, tf.constant(done), tf.constant(size))
            loss, right = loss + float(losses[0]), right + float(losses[1])  # waits for the device
            done += size
            follow.step(loss / done, size)
            window.at(done)
        window.end(done)
        follow.pause()
        left -= done
        means = {"loss": loss / done, "accuracy": right / done}
        if options.steps and left == 0:
            follow.done(**means)
            break
        outputs = logits(x_held)
        val_loss, val_accuracy, _ = keras_cnn.scores(outputs, data.y_held)
        follow.done(**means, val_loss=val_loss, val_accuracy=val_accuracy)
    shares = [
        {"device": device_name(one.device), "samples": int(one)} for one in strategy.experimental_local_results(seen)
    ]
    if options.steps:
        return model, shares, None
    return model, shares, logits(x_test) if options.validation_split else outputs


def _group(window: Window, epoch: int, done: int, call: int) -> int:
    """Steps of the next call: in the first epoch those before the profiler's window and those in it are apart."""
    if epoch or done >= window.cold + LENGTH:
        return call
    return window.cold - done if done < window.cold else LENGTH
