"""JAX's training: all images on the device, many steps in one call, each batch shared by the devices of a mesh."""

from __future__ import annotations

import math
import sys
from collections import Counter, deque
from typing import Any

import jax  # type: ignore[import-not-found]
import numpy as np

from . import cifar10, jax_cnn, jax_devices, jax_feed, parts, recipe, report
from .observers import jax_observer
from .window import Window

AHEAD = 2  # calls that wait on the device while the host sends the next


def train(options: Any, say: parts.Say) -> None:
    """The options are program.main's. Writes <stem>.json last."""
    say("loading JAX and the data")
    chosen = recipe.chosen(options)
    data = cifar10.prepared(options, say)
    if not len(data.x_train):
        sys.exit("no image is left to train on")
    jax_devices.configure(options)
    on = jax_feed.Devices(jax.local_devices()[: options.devices])
    if len(on.devices) < options.devices:
        sys.exit(f"{options.devices} devices were asked for, and JAX sees {', '.join(jax_observer.devices())}")
    low = chosen.low_precision and jax_devices.gains_from_bfloat16(on.devices[0])
    precision = "bfloat16" if low else "float32"

    steps = recipe.steps_in(len(data.x_train), chosen.batch_size)
    left = min(options.steps or sys.maxsize, steps * chosen.epochs)
    most = min(steps, left)  # in one epoch
    loops = chosen.name == "fast" and jax_devices.gains_from_loops(on.devices[0])
    length = jax_feed.together(most) if loops else 1
    run, score = jax_cnn.trainer(chosen, precision, on.split(0)), jax_cnn.evaluator(chosen, precision)
    state = jax.device_put(jax_cnn.begin(options.seed), on.everywhere)
    images = jax.device_put((data.x_train, data.y_train.astype(np.int32)), on.everywhere)
    held = jax_feed.pages(on, data.x_held, data.y_held) if len(data.x_held) and not options.steps else None
    rates = recipe.rates(chosen, steps * chosen.epochs)
    follow = report.Follow(chosen.epochs, steps, say)
    window = Window(jax_observer, options, follow)
    shares: Counter[str] = Counter()
    loss, guesses = None, None
    for epoch in range(chosen.epochs):
        todo, left = min(steps, left), left - min(steps, left)
        if not todo:
            break
        order = recipe.order(options.seed, epoch, len(data.x_train), chosen)
        shape = (math.ceil(most / length), length, chosen.batch_size)
        plan = jax_feed.planned(on, order, rates[epoch * steps :][:todo], shape)
        shares.update(jax_feed.samples_of(plan.weight))
        zero = jax.device_put(np.zeros((), np.float32), on.everywhere)
        state = state._replace(loss=zero, right=zero, samples=zero)
        follow.epoch()
        state = passed(run, state, images, plan, todo, follow, window)
        means = {"loss": finite(state.loss, state.samples), "accuracy": finite(state.right, state.samples)}
        follow.pause()
        if held:
            loss, guesses = evaluated(score, state, held)
            means |= {"val_loss": finite(loss), "val_accuracy": float((guesses == data.y_held).mean())}
        follow.done(**means)
    if not options.steps and data.x_held is not data.x_test:
        say("testing")
        loss, guesses = evaluated(score, state, jax_feed.pages(on, data.x_test, data.y_test))
    report.training(
        options, follow, data, framework_version=jax.__version__, recipe=chosen.name, precision=precision,
        batch_size=chosen.batch_size, deterministic=jax_devices.undetermined(on.devices),
        devices=jax_observer.devices(),
        shares=[{"device": name, "samples": count} for name, count in sorted(shares.items())],
        weights_bytes=sum(each.nbytes for each in jax.tree.leaves(state.weights)),
        gpu_memory_peak_bytes=jax_devices.memory_peaks(), profile=window.profile,
        test_loss=finite(loss), predicted=guesses,
    )  # fmt: skip


def passed(
    run: Any, state: Any, images: tuple[Any, Any], plan: jax_cnn.Plan, todo: int, follow: report.Follow,
    window: Window,
) -> Any:  # fmt: skip
    """The state after an epoch of `todo` steps. The host never waits for the call that it has just sent."""
    sent: deque[tuple[Any, int]] = deque()

    def wait(most: int) -> None:
        """Until the device has at most so many calls to do."""
        while len(sent) > most:
            loss, number = sent.popleft()
            follow.step(loss.block_until_ready(), number)

    length = plan.rate.shape[1]
    for start in range(0, todo, length):
        window.at(start, lambda: wait(0))
        state, loss = run(state, *images, plan, start // length)
        done = min(todo, start + length)
        sent.append((loss, done - start))
        wait(AHEAD)
    window.end(todo, lambda: wait(0))
    wait(0)
    return state


def evaluated(score: Any, state: Any, shown: tuple[Any, ...]) -> tuple[float, Any]:
    """The mean loss, and what each image was taken for, int [n]."""
    told = [score(state.weights, *shown, number) for number in range(len(shown[0]))]
    real = np.asarray(shown[2]).reshape(-1) > 0
    guesses = np.concatenate([np.asarray(guesses) for _, guesses in told])
    return sum(float(loss) for loss, _ in told) / int(real.sum()), guesses[real]


def finite(total: Any, count: Any = 1) -> float | None:
    """Their quotient; None for what is no number any more: the training diverged."""
    value = math.nan if total is None else float(total) / float(count)
    return value if math.isfinite(value) else None
