"""The CNN in plain JAX: its weights, a step of its own Adam, many steps in one call, and its evaluation."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import jax  # type: ignore[import-not-found]
import jax.numpy as jnp  # type: ignore[import-not-found]
import numpy as np

from . import cifar10, recipe

# Kernels of three convolutions (height, width, in, out), then two dense layers (in, out): 122,570 parameters.
SHAPES = ((3, 3, 3, 32), (3, 3, 32, 64), (3, 3, 64, 64), (1024, 64), (64, cifar10.CLASSES))
FIRST, SECOND, TINY = 0.9, 0.999, 1e-7  # Adam's decays and its epsilon, as Keras has them


class State(NamedTuple):
    """What a step changes. The last three are sums since the epoch began."""

    weights: Any  # ((kernel, bias), ...), float32
    first: Any  # Adam's moments, of the same shape
    second: Any
    step: Any
    loss: Any
    right: Any
    samples: Any


class Plan(NamedTuple):
    """Steps to come. A sample of weight 0 only fills the batch up, and a step of nothing else changes nothing."""

    index: Any  # int32 [..., batch]: which images
    mirrored: Any  # bool [..., batch]
    weight: Any  # float32 [..., batch], 0 or 1
    rate: Any  # float32 [...]: Adam's learning rate


def begin(seed: int) -> State:
    """Kernels uniform after Glorot, biases zero; in host memory."""
    random = np.random.default_rng([seed, 2])
    weights = []
    for shape in SHAPES:
        area = math.prod(shape[:-2])
        limit = math.sqrt(6 / (area * (shape[-2] + shape[-1])))
        weights.append((random.uniform(-limit, limit, shape).astype(np.float32), np.zeros(shape[-1], np.float32)))
    zeros = [(np.zeros_like(kernel), np.zeros_like(bias)) for kernel, bias in weights]
    none = np.zeros((), np.float32)
    return State(tuple(weights), tuple(zeros), tuple(zeros), np.zeros((), np.int32), none, none, none)


def logits(weights: Any, images: Any, precision: str) -> Any:
    """float32 [n, 10] of images [n, 32, 32, 3] that are scaled already; the arithmetic between is of `precision`."""
    x = images.astype(precision)
    layers = [(kernel.astype(precision), bias.astype(precision)) for kernel, bias in weights]
    for number, (kernel, bias) in enumerate(layers[:3]):
        x = jax.lax.conv_general_dilated(x, kernel, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        x = jax.nn.relu(x + bias)
        x = halved(x) if number < 2 else x
    x = x.reshape(len(x), -1)
    x = jax.nn.relu(x @ layers[3][0] + layers[3][1])
    return (x @ layers[4][0] + layers[4][1]).astype(jnp.float32)


def halved(x: Any) -> Any:
    """Max-pooling 2 by 2. As a reshape, because the gradient of reduce_window is slow on the CPU and scatters on a GPU.

    Of equal largest values each gets its share of the gradient here, and the first all of it there. After a ReLU
    those are zeros but for rare chance, and a zero passes no gradient on.
    """
    n, height, width, channels = x.shape
    x = x[:, : height // 2 * 2, : width // 2 * 2]
    return x.reshape(n, height // 2, 2, width // 2, 2, channels).max((2, 4))


def judged(weights: Any, images: Any, labels: Any, precision: str) -> tuple[Any, Any]:
    """The cross-entropy of each image, and what it was taken for."""
    scores = logits(weights, images, precision)
    # A product with ones and zeros: the gradient of a lookup is a scatter, whose order of sums a GPU leaves open.
    known = jax.nn.one_hot(labels, cifar10.CLASSES)
    return -(known * jax.nn.log_softmax(scores)).sum(1), scores.argmax(1)


def stepped(state: State, images: Any, labels: Any, weight: Any, rate: Any, precision: str) -> tuple[State, Any]:
    """One step of Adam, and the mean loss of its batch."""
    count = weight.sum()

    def mean(weights: Any) -> Any:
        losses, guesses = judged(weights, images, labels, precision)
        return (losses * weight).sum() / jnp.maximum(count, 1), ((guesses == labels) * weight).sum()

    (loss, right), slope = jax.value_and_grad(mean, has_aux=True)(state.weights)
    step = state.step + 1
    size = rate * jnp.sqrt(1 - SECOND**step) / (1 - FIRST**step)
    first = jax.tree.map(lambda old, new: FIRST * old + (1 - FIRST) * new, state.first, slope)
    second = jax.tree.map(lambda old, new: SECOND * old + (1 - SECOND) * new * new, state.second, slope)
    weights = jax.tree.map(lambda w, m, v: w - size * m / (jnp.sqrt(v) + TINY), state.weights, first, second)
    after = State(
        weights, first, second, step, state.loss + loss * count, state.right + right, state.samples + count
    )  # fmt: skip
    return jax.tree.map(lambda new, old: jnp.where(count > 0, new, old), after, state), loss


def trainer(chosen: recipe.Recipe, precision: str, split: Any) -> Any:
    """A compiled function of (state, images, labels, plan, number) that does the steps of the plan's part `number`
    without coming back to the host, and gives the state and the last loss. `split` is the sharding of a batch.
    """

    def part(state: State, images: Any, labels: Any, plan: Plan, number: Any) -> tuple[State, Any]:
        def step(state: State, now: Plan) -> tuple[State, Any]:
            batch = recipe.scaled(chosen, images[now.index])
            batch = jnp.where(now.mirrored[:, None, None, None], batch[:, :, ::-1], batch)
            batch = jax.lax.with_sharding_constraint(batch, split)
            return stepped(state, batch, labels[now.index], now.weight, now.rate, precision)

        now = jax.tree.map(lambda each: each[number], plan)
        if len(now.rate) == 1:
            return step(state, jax.tree.map(lambda each: each[0], now))
        state, losses = jax.lax.scan(step, state, now)
        return state, losses[-1]

    return jax.jit(part)


def evaluator(chosen: recipe.Recipe, precision: str) -> Any:
    """A compiled function of (weights, images [pages, n, 32, 32, 3], labels and sample weights [pages, n], number) that
    gives the sum of one page's losses and what each of its images was taken for, int [n].
    """

    def page(weights: Any, images: Any, labels: Any, weight: Any, number: Any) -> tuple[Any, Any]:
        losses, guesses = judged(weights, recipe.scaled(chosen, images[number]), labels[number], precision)
        return (losses * weight[number]).sum(), guesses

    return jax.jit(page)
