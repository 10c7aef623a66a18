"""How the CNN is trained: `tutorial` as TensorFlow's CIFAR-10 tutorial does, `fast` as one would today."""

from __future__ import annotations

import argparse
import math
from typing import Any, NamedTuple

import numpy as np


class Recipe(NamedTuple):
    name: str
    epochs: int
    batch_size: int
    rate: float  # Adam's learning rate: the constant one, or the peak of the cycle
    one_cycle: bool  # linearly up to the peak and down again
    standardized: bool  # each channel to mean 0 and deviation 1; else to 0 to 1
    flip: bool  # every other image mirrored left to right
    low_precision: bool  # float32 weights, 16-bit arithmetic, where the device gains from it


WARM_UP = 0.3  # share of the steps in which the rate rises
LAST_RATE = 0.01  # of the peak, at the last step
# Channel means and deviations of CIFAR-10's training images scaled to 0 to 1, as every published recipe has them.
MEAN = (0.4914, 0.4822, 0.4465)
DEVIATION = (0.2470, 0.2435, 0.2616)
RECIPES = {
    ("tutorial", "cpu"): Recipe("tutorial", 10, 32, 1e-3, False, False, False, False),
    ("tutorial", "gpu"): Recipe("tutorial", 10, 32, 1e-3, False, False, False, False),
    ("fast", "cpu"): Recipe("fast", 4, 128, 5e-3, True, True, True, True),
    ("fast", "gpu"): Recipe("fast", 6, 512, 8e-3, True, True, True, True),
}


def chosen(options: argparse.Namespace) -> Recipe:
    """The recipe that was asked for, with the epochs and batch size of the command line where they were given."""
    recipe = RECIPES[options.recipe, options.device]
    return recipe._replace(epochs=options.epochs or recipe.epochs, batch_size=options.batch_size or recipe.batch_size)


def rate(recipe: Recipe, step: int, steps: int) -> float:
    """Adam's learning rate for step 0 to steps - 1."""
    if not recipe.one_cycle:
        return recipe.rate
    top = max(1, round(WARM_UP * steps))
    if step < top:
        return recipe.rate * (step + 1) / top
    return recipe.rate * (1 - (1 - LAST_RATE) * (step + 1 - top) / max(1, steps - top))


def rates(recipe: Recipe, steps: int) -> Any:
    """The learning rate of every step, float32 [steps]."""
    return np.array([rate(recipe, step, steps) for step in range(steps)], np.float32)


def scaled(recipe: Recipe, images: Any) -> Any:
    """uint8 [n, 32, 32, 3] to float32 of the same shape, as the recipe wants its input."""
    small = images.astype(np.float32) / 255
    if not recipe.standardized:
        return small
    return (small - np.array(MEAN, np.float32)) / np.array(DEVIATION, np.float32)


def order(seed: int, epoch: int, samples: int, recipe: Recipe) -> tuple[Any, Any]:
    """For one epoch: the samples' order, int [n], and which of them are mirrored, bool [n]. The same for a seed."""
    random = np.random.default_rng([seed, 1000 + epoch])
    shuffled = random.permutation(samples)
    mirrored = random.random(samples) < 0.5 if recipe.flip else np.zeros(samples, bool)
    return shuffled, mirrored


def steps_in(samples: int, batch_size: int) -> int:
    return math.ceil(samples / batch_size)
