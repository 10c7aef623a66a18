"""The payload's data: the official layout read strictly, the synthetic set the same every time."""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gpucheck.payloads import cifar10

NAMES = (*cifar10.TRAIN, *cifar10.TEST)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six whole files: image i of a file has label i % 10, and its first row's pixels are (i % 256, 1, 2)."""
    records = np.zeros((cifar10.IMAGES, cifar10.RECORD), np.uint8)
    index = np.arange(cifar10.IMAGES)
    records[:, 0] = index % 10
    records[:, 1:33] = (index % 256)[:, None]
    records[:, 1025:1057], records[:, 2049:2081] = 1, 2
    home = tmp_path_factory.mktemp("data")
    (home / cifar10.FOLDER).mkdir()
    for name in NAMES:
        records.tofile(home / cifar10.FOLDER / name)
    return home


def test_the_official_layout(folder: Path) -> None:
    images = cifar10.load(folder)
    assert (images.x_train.shape, images.x_train.dtype) == ((50_000, 32, 32, 3), np.uint8)
    assert (images.x_test.shape, images.y_train.dtype) == ((10_000, 32, 32, 3), np.int64)
    assert images.y_train[10_007] == 7
    assert images.x_train[10_007, 0, 31].tolist() == [7, 1, 2]
    assert images.x_train[10_007, 1].max() == 0
    assert np.array_equal(cifar10.load(folder / cifar10.FOLDER).y_test, images.y_test)


@pytest.mark.parametrize("harm", ["short", "long", "missing", "label"])
def test_a_torn_set_is_refused_by_its_files_name(folder: Path, harm: str, tmp_path: Path) -> None:
    for name in NAMES:
        (tmp_path / name).symlink_to(folder / cifar10.FOLDER / name)
    whole = (folder / cifar10.FOLDER / "data_batch_3.bin").read_bytes()
    victim = tmp_path / "data_batch_3.bin"
    victim.unlink()
    if harm != "missing":
        victim.write_bytes({"short": whole[:-1], "long": whole + b"\0", "label": b"\x0a" + whole[1:]}[harm])
    with pytest.raises(ValueError, match="label 10" if harm == "label" else r"data_batch_3\.bin"):
        cifar10.load(tmp_path)


def test_the_synthetic_set() -> None:
    images = cifar10.synthetic(1, train=600, test=200)
    assert (images.x_train.shape, images.x_train.dtype) == ((600, 32, 32, 3), np.uint8)
    assert (images.x_test.shape, images.y_test.dtype) == ((200, 32, 32, 3), np.int64)
    assert np.bincount(images.y_train, minlength=10).min() > 30
    again, other = cifar10.synthetic(1, train=600, test=200), cifar10.synthetic(2, train=600, test=200)
    assert np.array_equal(images.x_train, again.x_train)
    assert not np.array_equal(images.x_train, other.x_train)
    assert not np.array_equal(images.x_train[:200], images.x_test)


def test_the_synthetic_set_has_the_same_bytes_everywhere() -> None:
    """A seed stands for one set: accuracies of two machines can be compared."""
    digest = hashlib.sha256(cifar10.synthetic(0, train=64, test=0).y_train.tobytes()).hexdigest()
    assert digest[:16] == "513d62e410a00d77"


def test_the_synthetic_sets_colours_alone_tell_the_class() -> None:
    """A classifier of the mean colours does far better than chance, so that a CNN can learn it in one epoch."""
    images = cifar10.synthetic(0, train=2000, test=500)
    means = images.x_train.mean(axis=(1, 2))
    centres = np.stack([means[images.y_train == k].mean(axis=0) for k in range(10)])
    away = np.linalg.norm(images.x_test.mean(axis=(1, 2))[:, None] - centres, axis=2)
    assert 0.5 < (away.argmin(axis=1) == images.y_test).mean() < 1.0


def options(**given: Any) -> argparse.Namespace:
    return argparse.Namespace(**{"data": None, "limit": 100, "seed": 1, "validation_split": 0.0, **given})


def test_the_test_images_are_held_out_where_no_share_is_asked_for() -> None:
    split = cifar10.prepared(options(), print)
    assert (len(split.x_train), len(split.y_train), len(split.x_test)) == (100, 100, 100)
    assert split.x_held is split.x_test
    assert "100 training" in split.source


def test_the_last_of_the_training_images_are_held_out() -> None:
    whole, split = (cifar10.prepared(options(validation_split=share), print) for share in (0.0, 0.25))
    assert (len(split.x_train), len(split.x_held), len(split.x_test)) == (75, 25, 100)
    assert np.array_equal(split.x_train, whole.x_train[:75])
    assert np.array_equal(split.y_held, whole.y_train[75:])


def test_the_real_images_are_cut_at_the_limit(folder: Path) -> None:
    split = cifar10.prepared(options(data=folder, limit=12_345), print)
    assert (len(split.x_train), len(split.x_test)) == (12_345, 10_000)
    assert np.array_equal(split.y_train, np.arange(12_345) % 10)


def test_nothing_left_to_train_on_is_one_sentence() -> None:
    with pytest.raises(SystemExit, match="no image is left"):
        cifar10.prepared(options(limit=1, validation_split=0.5), print)


def test_a_torn_set_ends_the_process_with_the_sentence_that_was_said(tmp_path: Path) -> None:
    said: list[str] = []
    with pytest.raises(SystemExit) as ended:
        cifar10.prepared(options(data=tmp_path), said.append)
    assert said == [str(ended.value)]
    assert "data_batch_1.bin is not there" in said[0]
