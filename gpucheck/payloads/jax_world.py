"""JAX over several nodes: a process on each joins all of them to one mesh, which adds up numbers and trains on it.

On GPUs the devices talk by NCCL, on the CPU by gloo. The facts of all nodes travel as arrays that they gather.
"""

from __future__ import annotations

import functools
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import jax  # type: ignore[import-not-found]
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec  # type: ignore[import-not-found]

from . import cifar10, jax_cnn, jax_devices, jax_feed, recipe, world, world_network, world_process
from .observers.jax_observer import device_name

AXIS = "batch"  # of jax_feed's mesh


def _work(options: Any, told: world.Told) -> Callable[[], object]:
    asked = told.world
    jax_devices.configure(options)
    if options.device == "cpu":
        jax.config.update("jax_cpu_collectives_implementation", "gloo")
        _lead_gloo(os.environ.get("GLOO_SOCKET_IFNAME", "").split(",")[0] or world_network.interface(asked))
    jax.distributed.initialize(  # under Slurm it would take one GPU only, were none named
        asked.first(), len(asked.hosts), asked.node, local_device_ids=list(range(options.devices)),
        initialization_timeout=options.world_seconds,
    )  # fmt: skip
    here = [one for one in jax.local_devices() if jax_devices.is_gpu(one) or options.device == "cpu"][: options.devices]
    on = jax_feed.Devices([device for node in range(len(asked.hosts)) for device in _of(node)[: options.devices]])
    if len(here) < options.devices or len(on.devices) < options.devices * len(asked.hosts):
        raise RuntimeError(f"JAX sees {len(here)} of the {options.devices} devices that were asked for here")
    found = sum(_reduced(on, told, here, size) for size in told.sizes)
    told.enter("in the training")
    losses, samples, weights = _trained(options.seed, on, here)
    told.enter("when the nodes told what they had come to")
    first = asked.node * options.devices
    mine = [
        told.rank(first + at, device_name(device), samples=samples[at], wrong=int(found[at]), weights=weights[at])
        for at, device in enumerate(here)
    ]
    told.done([rank for node in _gathered(mine) for rank in node], losses)
    return _all_have_reported  # JAX ends the processes of all nodes as soon as the first one's is gone


def _lead_gloo(interface: str | None) -> None:
    """JAX has no option for it, and gloo's own choice is the address of the machine's name: often 127.0.1.1."""
    library = getattr(sys.modules["jax._src.xla_bridge"], "_jax", None)
    made = getattr(library, "make_gloo_tcp_collectives", None)
    if interface and library and made:
        library.make_gloo_tcp_collectives = functools.partial(made, interface=interface)


def _of(node: int) -> list[Any]:
    return [device for device in jax.devices() if device.process_index == node]


def _laid(on: jax_feed.Devices, here: list[Any], rows: list[Any]) -> Any:
    """One array over all devices, of equal rows: each device here gets one."""
    placed = [jax.device_put(row[None], device) for row, device in zip(rows, here, strict=True)]
    return jax.make_array_from_single_device_arrays((len(on.devices), *rows[0].shape), on.split(0), placed)


def _here(array: Any, here: list[Any]) -> list[Any]:
    """What each device here holds of it."""
    held = {shard.device: shard.data for shard in array.addressable_shards}
    return [held[device] for device in here]


def _shard_map() -> Any:
    if hasattr(jax, "shard_map"):
        return jax.shard_map
    from jax.experimental.shard_map import shard_map  # type: ignore[import-not-found] # JAX before 0.6

    return shard_map


def _reduced(on: jax_feed.Devices, told: world.Told, here: list[Any], size: int) -> Any:
    """How many elements each device here saw wrong: int [devices]."""
    rows = PartitionSpec(AXIS)
    add = _shard_map()(lambda row: jax.lax.psum(row, AXIS), mesh=on.mesh, in_specs=rows, out_specs=PartitionSpec())
    summed = jax.jit(add)
    first = on.devices.index(here[0])
    mine = _laid(on, here, [world.numbers(first + at, size // 4) for at in range(len(here))])
    flag = _laid(on, here, [np.zeros(1, np.float32) for _ in here])

    def begin() -> None:
        jax.block_until_ready((mine, summed(flag)))

    def reduce() -> list[Any]:
        sums = _here(jax.block_until_ready(summed(mine)), here)
        return [lambda one=one: np.asarray(one).reshape(-1) for one in sums]

    return told.reduce(size, begin, reduce, world.total(len(on.devices)))


def _trained(seed: int, on: jax_feed.Devices, here: list[Any]) -> tuple[list[float], list[int], list[str]]:
    """The losses; of each device here its samples, and the digest of its weights."""
    first, tutorial = on.devices.index(here[0]), recipe.RECIPES["tutorial", "cpu"]
    images = [
        cifar10.synthetic(seed * len(on.devices) + first + at, train=world.STEPS * world.BATCH, test=0)
        for at in range(len(here))
    ]
    state = jax.tree.map(lambda value: _copied(on, here, value), jax_cnn.begin(seed))
    step = jax.jit(jax_cnn.stepped, static_argnames="precision", donate_argnums=0)

    def batches(rows: list[Any]) -> Any:
        """Of [batch, ...] on each device one array [devices * batch, ...]."""
        placed = [jax.device_put(row, device) for row, device in zip(rows, here, strict=True)]
        shape = (len(on.devices) * world.BATCH, *rows[0].shape[1:])
        return jax.make_array_from_single_device_arrays(shape, on.split(0), placed)

    losses, samples = [], [0] * len(here)
    for start in range(0, world.STEPS * world.BATCH, world.BATCH):
        cut = slice(start, start + world.BATCH)
        x = batches([recipe.scaled(tutorial, one.x_train[cut]) for one in images])
        y = batches([one.y_train[cut].astype(np.int32) for one in images])
        weight = batches([np.ones(world.BATCH, np.float32) for _ in here])
        state, loss = step(state, x, y, weight, tutorial.rate, precision="float32")
        losses.append(float(loss))
        samples = [before + len(held) for before, held in zip(samples, _here(y, here), strict=True)]
    leaves = [_here(leaf, here) for leaf in jax.tree.leaves(state.weights)]
    return losses, samples, [world.digest(held[at] for held in leaves) for at in range(len(here))]


def _copied(on: jax_feed.Devices, here: list[Any], value: Any) -> Any:
    placed = [jax.device_put(value, device) for device in here]
    return jax.make_array_from_single_device_arrays(value.shape, NamedSharding(on.mesh, PartitionSpec()), placed)


def _gathered(mine: Any) -> list[Any]:
    """What each node gave, by node."""
    from jax.experimental import multihost_utils  # type: ignore[import-not-found]

    raw = np.frombuffer(json.dumps(mine).encode(), np.uint8)
    lengths = np.asarray(multihost_utils.process_allgather(np.array([len(raw)], np.int32))).reshape(-1)
    full = np.zeros(int(lengths.max()), np.uint8)
    full[: len(raw)] = raw
    rows = np.asarray(multihost_utils.process_allgather(full)).reshape(len(lengths), -1)
    return [json.loads(row[:length].tobytes()) for row, length in zip(rows, lengths, strict=True)]


def _all_have_reported() -> None:
    from jax.experimental import multihost_utils

    multihost_utils.sync_global_devices("reported")


if __name__ == "__main__":
    world_process.child("payloads.jax_world", jax.__version__, "gloo", _work)
