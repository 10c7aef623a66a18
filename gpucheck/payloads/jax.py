"""JAX, observed: a probe of 16 compiled steps with their executables, then the training as a user would run it.

    PYTHONPATH=<the folder that holds payloads/> python -m payloads.jax --out DIR [--device cpu] ...

Plain JAX, without Flax and Optax. Several devices share each batch by a mesh along its axis.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import numpy as np

from . import cifar10, parts, program, recipe, world_process
from .observers import jax_observer

STEPS = 16  # of the probe
BATCH = 32
# On the CPU each step faulted in 15,000 pages, near a third of its CPU time (jax 0.10.2, batch 128). With this, glibc
# 2.35 and newer ask for huge pages: 400 faults a step.
TUNED = {"GLIBC_TUNABLES": os.environ.get("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1")}


def probe(options: Any, say: parts.Say) -> None:
    """A few calls of one compiled step on one device; then what JAX holds compiled, and where."""
    import jax  # type: ignore[import-not-found]

    from . import jax_cnn, jax_devices

    jax_devices.configure(options)
    say(f"{STEPS} steps on the {options.device}{', strictly' if options.strict else ''}")
    refused, losses, seen, kept = None, [], [], None
    try:
        seen = jax.local_devices()
    except (RuntimeError, AssertionError) as error:
        if not options.strict:
            raise
        refused = jax_devices.refusal(error)
        say("refused")
    else:
        place = jax.sharding.SingleDeviceSharding(seen[0])
        tutorial = recipe.RECIPES["tutorial", options.device]
        images = cifar10.synthetic(options.seed, train=STEPS * BATCH, test=0)
        step = jax.jit(jax_cnn.stepped, static_argnames="precision")
        state = jax.device_put(jax_cnn.begin(options.seed), place)
        for start in range(0, STEPS * BATCH, BATCH):
            x, y = images.x_train[start : start + BATCH], images.y_train[start : start + BATCH]
            batch = (recipe.scaled(tutorial, x), y.astype(np.int32), np.ones(BATCH, np.float32))
            state, loss = step(state, *jax.device_put(batch, place), tutorial.rate, precision="float32")
            losses.append(float(loss))
        kept = jax_observer.final(options.out, options.stem)  # while the step and its state live
        if kept is None or kept["error"]:
            sys.stderr.write(f"no executables: {kept and kept['error']}\n")
    parts.write(
        options.out / ("strict.json" if refused else f"{options.stem}.json"),
        {
            "framework_version": jax.__version__, "device": options.device, "strict": options.strict,
            "refused": refused, "steps": len(losses), "eager_steps": 0, "batch_size": BATCH, "losses": losses,
            "devices": jax_observer.devices() if seen else [],
            "gpus": [jax_devices.described(device) for device in seen if jax_devices.is_gpu(device)],
            "placement": {"kind": "executables", "file": kept and kept["placement"]},
            "gpu_build": jax_devices.has_gpu_plugin(),
        },
    )  # fmt: skip


def train(options: Any, say: parts.Say) -> None:
    from . import jax_training  # imports JAX, which the parent of the parts does without

    jax_training.train(options, say)


def join(options: Any, say: parts.Say) -> None:
    world_process.supervise("payloads.jax_world", options, say)


if __name__ == "__main__":
    sys.exit(program.main("jax", probe, train, quiet=TUNED, world=join))
