"""CIFAR-10 from the official binary layout, and a synthetic set of the same shape that a CNN learns in one epoch."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SIDE = 32
CLASSES = 10
NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")  # by label
FOLDER = "cifar-10-batches-bin"
TRAIN = tuple(f"data_batch_{n}.bin" for n in range(1, 6))
TEST = ("test_batch.bin",)
IMAGES = 10_000  # in each file
RECORD = 1 + 3 * SIDE * SIDE  # bytes: the label, then the red, green and blue planes, row by row
WRONG_LABELS = 0.05  # of the synthetic set: the best possible accuracy is about 0.955, so 1.0 would be a bug


class Images(NamedTuple):
    """Images are uint8 [n, 32, 32, 3], labels int64 [n] from 0 to 9."""

    x_train: Any
    y_train: Any
    x_test: Any
    y_test: Any
    source: str  # in words


class Split(NamedTuple):
    """As Images, with the held-out images apart: the last of the training images, or the test images themselves."""

    x_train: Any
    y_train: Any
    x_held: Any
    y_held: Any
    x_test: Any
    y_test: Any
    source: str  # in words


def prepared(options: Any, say: Callable[[str], None]) -> Split:
    """What a training's options ask for: CIFAR-10 from options.data, else synthetic; options.limit images at most.

    Ends the process with one sentence where the data is not whole, or all of it is held out.
    """
    try:
        images = load(options.data) if options.data else None
    except ValueError as error:
        say(str(error))
        sys.exit(str(error))
    limit = options.limit or IMAGES * len(TRAIN)
    images = images or synthetic(options.seed, min(8192, limit), min(2048, limit))
    x, y = images.x_train[:limit], images.y_train[:limit]
    x_test, y_test = images.x_test[:limit], images.y_test[:limit]
    if not options.validation_split:
        return Split(x, y, x_test, y_test, x_test, y_test, images.source)
    cut = int(len(x) * (1 - options.validation_split))  # as Keras splits
    if not cut:
        sys.exit(f"no image is left to train on: {options.validation_split} of {len(x)} are held out")
    return Split(x[:cut], y[:cut], x[cut:], y[cut:], x_test, y_test, images.source)


def load(folder: Path) -> Images:
    """The six files in `folder`, or in its cifar-10-batches-bin. Raises ValueError where they are not whole."""
    inner = folder / FOLDER
    folder = inner if inner.is_dir() else folder
    x_train, y_train = _read(folder, TRAIN)
    x_test, y_test = _read(folder, TEST)
    return Images(x_train, y_train, x_test, y_test, f"CIFAR-10, {len(x_train)} training and {len(x_test)} test images")


def synthetic(seed: int, train: int = 8192, test: int = 2048) -> Images:
    """Noisy coloured gratings, their direction and colour given by the class, their phase random.

    The same seed gives the same bytes. 5 % of the labels are wrong on purpose.
    """
    x_train, y_train = _gratings(np.random.default_rng([seed, 0]), train)
    x_test, y_test = _gratings(np.random.default_rng([seed, 1]), test)
    source = f"a synthetic set of CIFAR-10's shape: {train} training and {test} test images of noisy gratings"
    return Images(x_train, y_train, x_test, y_test, source)


def _read(folder: Path, names: tuple[str, ...]) -> tuple[Any, Any]:
    images = np.empty((len(names) * IMAGES, SIDE, SIDE, 3), np.uint8)
    labels = np.empty(len(names) * IMAGES, np.int64)
    for index, name in enumerate(names):
        path = folder / name
        size = path.stat().st_size if path.is_file() else None
        if size != IMAGES * RECORD:
            found = "is not there" if size is None else f"has {size} bytes, not {IMAGES * RECORD}"
            raise ValueError(f"not CIFAR-10's binary layout: {path} {found}")
        records = np.fromfile(path, np.uint8).reshape(IMAGES, RECORD)
        here = slice(index * IMAGES, (index + 1) * IMAGES)
        labels[here] = records[:, 0]
        images[here] = records[:, 1:].reshape(IMAGES, 3, SIDE, SIDE).transpose(0, 2, 3, 1)
    if labels.max() >= CLASSES:
        raise ValueError(f"not CIFAR-10's binary layout: {folder} has label {labels.max()}, and there are {CLASSES}")
    return images, labels


def _gratings(random: np.random.Generator, count: int) -> tuple[Any, Any]:
    classes = random.integers(0, CLASSES, count)
    angle = np.pi * classes / CLASSES
    phase = random.uniform(0, 2 * np.pi, count)
    row, column = np.mgrid[0:SIDE, 0:SIDE] * (2 * np.pi / 8)  # a period of 8 pixels
    along = np.cos(angle)[:, None, None] * column + np.sin(angle)[:, None, None] * row
    wave = np.sin(along + phase[:, None, None])
    colour = np.stack([np.cos(2 * np.pi * (classes / CLASSES - third / 3)) for third in range(3)], axis=1)
    strength = 12 * colour[:, None, None, :] + 40 * wave[..., None]
    noise = random.normal(0, 40, (count, SIDE, SIDE, 3))
    images = np.clip(128 + strength + noise, 0, 255).astype(np.uint8)
    wrong = random.random(count) < WRONG_LABELS
    labels = np.where(wrong, random.integers(0, CLASSES, count), classes)
    return images, labels.astype(np.int64)
