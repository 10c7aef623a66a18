"""How the images and their order get to the devices, in parts of equal shape: XLA compiles a shape once."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import jax  # type: ignore[import-not-found]
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec  # type: ignore[import-not-found]

from . import jax_cnn
from .observers import jax_observer

LONG, SHORT = 20, 8  # steps in one call on a GPU: enough for the host to keep ahead, few enough to tell of
EVALUATED = 500  # images at once


class Devices:
    """How arrays lie on the devices: `everywhere` as copies, split(n) by the axis that comes after n others."""

    def __init__(self, devices: list[Any]) -> None:
        self.devices = devices
        self.mesh = Mesh(np.array(devices), ("batch",))
        self.everywhere = NamedSharding(self.mesh, PartitionSpec())

    def split(self, before: int) -> Any:
        return NamedSharding(self.mesh, PartitionSpec(*[None] * before, "batch"))

    def lanes(self, batch: int) -> int:
        """A batch's size, filled up so that the devices get equal parts."""
        return math.ceil(batch / len(self.devices)) * len(self.devices)


def together(steps: int) -> int:
    """How many steps go in one call: two calls at least, and as few steps as can be that only fill up the last one."""
    most = min(LONG, max(1, steps // 2))
    return min(range(most, min(SHORT, most) - 1, -1), key=lambda length: -steps % length)


def planned(on: Devices, order: tuple[Any, Any], rates: Any, shape: tuple[int, int, int]) -> jax_cnn.Plan:
    """The steps of an epoch, as many as there are rates, on the devices: [calls, length, lanes].

    `shape` is calls, steps in a call and samples in a batch.
    """
    calls, length, batch = shape
    samples = min(len(order[0]), len(rates) * batch)

    def laid(values: Any, kind: Any) -> Any:
        full = np.zeros((calls, length, on.lanes(batch)), kind)
        full[..., :batch] = padded(values[:samples].astype(kind), shape)
        return jax.device_put(full, on.split(2))

    rate = jax.device_put(padded(rates, (calls, length)), on.everywhere)
    weight = laid(np.ones(samples), np.float32)
    return jax_cnn.Plan(laid(order[0], np.int32), laid(order[1], np.bool_), weight, rate)


def padded(values: Any, shape: tuple[int, ...]) -> Any:
    """With zeros at the end, as [*shape, what a value is]."""
    full = np.zeros((math.prod(shape), *values.shape[1:]), values.dtype)
    full[: len(values)] = values
    return full.reshape(*shape, *values.shape[1:])


def samples_of(weight: Any) -> Counter[str]:
    """How many samples each device holds of a plan: looked up in the shards that are on it."""
    return Counter({
        jax_observer.device_name(shard.device): int(np.asarray(shard.data).sum()) for shard in weight.addressable_shards
    })  # fmt: skip


def pages(on: Devices, images: Any, labels: Any) -> tuple[Any, ...]:
    """Images, labels and sample weights on the devices: [pages, lanes, ...]."""
    lanes = on.lanes(min(EVALUATED, len(images)))
    shape = (math.ceil(len(images) / lanes), lanes)
    each = (images, labels.astype(np.int32), np.ones(len(images), np.float32))
    return tuple(jax.device_put(padded(values, shape), on.split(1)) for values in each)
