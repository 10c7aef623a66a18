"""TensorFlow over several nodes: a process on each, joined by MultiWorkerMirroredStrategy, adds up numbers and trains.

On GPUs the nodes talk by NCCL, on the CPU by TensorFlow's own ring. Facts travel as numbers in a sum, too.
"""

from __future__ import annotations

import json
import os
from typing import Any

import numpy as np
import tensorflow as tf  # type: ignore[import-untyped]

from . import cifar10, keras_cnn, world, world_process
from .observers.tensorflow_observer import device_name

ROOM = 4096  # bytes of what a rank tells


def _work(options: Any, told: world.Told) -> None:
    strategy = _joined(options, told.world)
    count = strategy.num_replicas_in_sync
    found = np.sum([_reduced(strategy, told, size) for size in told.sizes], axis=0)
    told.enter("in the training")
    losses, weights = _trained(strategy, options.seed)
    told.enter("when the nodes told what they had come to")
    devices = [device_name(device) for device in strategy.extended.worker_devices]
    first = told.world.node * options.devices
    mine = [
        told.rank(first + at, device, samples=len(losses) * world.BATCH, wrong=int(found[at]), weights=weights[at])
        for at, device in enumerate(devices)
    ]
    table = np.zeros((count, ROOM), np.float32)
    for rank in mine:
        raw = json.dumps(rank).encode()
        table[rank["rank"], : len(raw)] = np.frombuffer(raw, np.uint8)
    everyone = _summer(strategy)(_placed(strategy, lambda rank: table * (rank == first)))[0].numpy()
    told.done([json.loads(row.astype(np.uint8).tobytes().rstrip(b"\0")) for row in everyone], losses)


def _joined(options: Any, asked: world.World) -> Any:
    gpus = tf.config.list_physical_devices("GPU")[: options.devices] if options.device == "gpu" else []
    if options.device == "cpu" and options.devices > 1:
        raise RuntimeError(f"it trains on one CPU a node, and {options.devices} devices were asked for")
    if options.device == "gpu" and len(gpus) < options.devices:
        raise RuntimeError(f"TensorFlow sees {len(gpus)} GPUs, and {options.devices} were asked for")
    tf.config.set_visible_devices(gpus, "GPU")
    os.environ["TF_CONFIG"] = json.dumps({
        "cluster": {"worker": [world.joined(host, asked.port) for host in asked.hosts]},
        "task": {"type": "worker", "index": asked.node},
    })  # fmt: skip
    way = tf.distribute.experimental.CommunicationImplementation
    return tf.distribute.MultiWorkerMirroredStrategy(
        communication_options=tf.distribute.experimental.CommunicationOptions(
            implementation=way.NCCL if gpus else way.RING, timeout_seconds=options.world_seconds
        )
    )


def _placed(strategy: Any, value: Any) -> Any:
    """On each replica's device what `value` gives of its rank."""
    here = strategy.extended.worker_devices
    first = strategy.cluster_resolver.task_id * len(here)

    def placed(context: Any) -> Any:
        rank = context.replica_id_in_sync_group
        with tf.device(here[rank - first]):
            return tf.identity(value(rank))

    return strategy.experimental_distribute_values_from_function(placed)


def _summer(strategy: Any) -> Any:
    """A function of values on all replicas: the sum that each replica here holds, when all are there."""

    def added(value: Any) -> tuple[Any, Any]:
        context = tf.distribute.get_replica_context()
        sums = context.all_reduce(tf.distribute.ReduceOp.SUM, tf.identity(value))
        return sums, tf.reshape(sums, [-1])[:1]

    @tf.function  # type: ignore[untyped-decorator]
    def run(values: Any) -> Any:
        return strategy.run(added, args=(values,))

    def summed(values: Any) -> Any:
        sums, ends = (strategy.experimental_local_results(each) for each in run(values))
        for end in ends:
            end.numpy()  # waits for the device
        return sums

    return summed


def _reduced(strategy: Any, told: world.Told, size: int) -> Any:
    """How many elements each replica here saw wrong: int [replicas]."""
    mine = _placed(strategy, lambda rank: world.numbers(rank, size // 4))
    flag = _placed(strategy, lambda _: np.zeros(1, np.float32))
    summed, met = _summer(strategy), _summer(strategy)

    def reduce() -> list[Any]:
        return [sums.numpy for sums in summed(mine)]

    return told.reduce(size, lambda: met(flag), reduce, world.total(strategy.num_replicas_in_sync))


def _trained(strategy: Any, seed: int) -> tuple[list[float], list[str]]:
    """The losses, and the digest of each replica's weights."""
    count, images = strategy.num_replicas_in_sync, world.STEPS * world.BATCH
    tf.keras.utils.set_random_seed(seed)
    with strategy.scope():
        model = keras_cnn.cnn(tf.keras)
        optimizer = tf.keras.optimizers.Adam()
        optimizer.build(model.trainable_variables)
    sets: dict[int, Any] = {}

    def taken(rank: int, start: int) -> Any:
        if rank not in sets:
            sets[rank] = cifar10.synthetic(seed * count + rank, train=images, test=0)
        return sets[rank].x_train[start : start + world.BATCH], sets[rank].y_train[start : start + world.BATCH]

    def step(x: Any, y: Any) -> Any:
        with tf.GradientTape() as tape:
            logits = model(tf.cast(x, tf.float32) / 255, training=True)
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(y, logits)) / count
        gradients = tape.gradient(loss, model.trainable_variables)
        optimizer.apply_gradients(zip(gradients, model.trainable_variables))  # noqa: B905 - sums over all replicas
        return loss

    @tf.function  # type: ignore[untyped-decorator]
    def run(x: Any, y: Any) -> Any:
        return strategy.reduce("SUM", strategy.run(step, args=(x, y)), axis=None)

    losses = []
    for start in range(0, images, world.BATCH):
        x, y = (_placed(strategy, lambda rank, at=at, start=start: taken(rank, start)[at]) for at in (0, 1))
        losses.append(float(run(x, y)))
    variables = [v if hasattr(v, "device") else v.value for v in model.trainable_variables]  # of Keras 2, of Keras 3
    held = [[one.numpy() for one in strategy.experimental_local_results(variable)] for variable in variables]
    return losses, [world.digest(one[at] for one in held) for at in range(len(strategy.extended.worker_devices))]


if __name__ == "__main__":
    world_process.child("payloads.tensorflow_world", tf.__version__, "ring", _work, tf.errors.OpError)
