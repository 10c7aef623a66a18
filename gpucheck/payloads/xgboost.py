"""XGBoost, observed: gradient-boosted trees on the same images, and what the trained booster says that it trains on.

    PYTHONPATH=<the folder that holds payloads/> python -m payloads.xgboost --out DIR [--device cpu] ...

The model is no network. A tree sees an image as 192 numbers, the mean colours of its 8 x 8 blocks; an epoch is ROUNDS
rounds of boosting, and a round is one tree for each class from all samples, so that the batch is the whole training set
and --batch-size has no meaning. The recipes differ in their number of epochs only. XGBoost logs no placement, has no
profiler and no strict mode: without a GPU it trains on the CPU, with a warning. Runs with XGBoost 2.0 and newer.
"""

from __future__ import annotations

import ctypes
import json
import sys
from typing import Any

import numpy as np

from . import cifar10, parts, program, recipe, report

ROUNDS = 10  # in an epoch
PROBE_ROUNDS = 16
PROBE_IMAGES = 512
BLOCK = 4  # pixels on a side, of each of which a tree sees the mean colour
# The rest is XGBoost's default: depth 6, a rate of 0.3, no sampling, so that nothing is random.
PARAMETERS = {
    "tree_method": "hist", "max_bin": 64, "objective": "multi:softprob", "num_class": cifar10.CLASSES,
    "eval_metric": ["mlogloss", "merror"],
}  # fmt: skip
MAJOR, MINOR = 75, 76  # cuda.h: CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR and _MINOR


def prepare(options: Any) -> None:
    if options.devices > 1:
        parts.tell("XGBoost trains on one device here: several need a cluster of processes, which this payload has not")
        sys.exit(2)


def probe(options: Any, say: parts.Say) -> None:
    """A few rounds; the evidence is the booster's own configuration after them."""
    import xgboost  # type: ignore[import-not-found]

    images = cifar10.synthetic(options.seed, train=PROBE_IMAGES, test=0)
    matrix = xgboost.DMatrix(features(images.x_train), images.y_train)
    booster = xgboost.Booster(parameters(options), [matrix])
    say(f"{PROBE_ROUNDS} rounds on {options.device.upper()}:0")
    losses = []
    for number in range(PROBE_ROUNDS):
        booster.update(matrix, number)
        losses.append(evaluated(booster, matrix)[0])
    told = configured(booster)
    gpus = visible_gpus(xgboost)
    parts.write(
        options.out / f"{options.stem}.json",
        {
            "framework_version": xgboost.__version__, "device": options.device, "strict": None, "refused": None,
            "steps": PROBE_ROUNDS, "eager_steps": 0, "batch_size": PROBE_IMAGES, "losses": losses,
            "devices": devices(gpus), "gpus": gpus, "gpu_build": gpu_build(xgboost), "configured": told,
            "placement": {"kind": "configured", "file": None},
            "ops": [
                {"op": "tree growing", "device": told["grown_on"], "count": PROBE_ROUNDS, "mode": "configured"}
            ],
        },
    )  # fmt: skip


def train(options: Any, say: parts.Say) -> None:
    """The training; XGBoost gives no number until a round is over, so that each round is a step."""
    say("loading XGBoost and the data")
    data = cifar10.prepared(options, say)
    import xgboost

    matrix = xgboost.DMatrix(features(data.x_train), data.y_train)
    held = xgboost.DMatrix(features(data.x_held), data.y_held)
    chosen = recipe.chosen(options)
    booster = xgboost.Booster(parameters(options), [matrix, held])
    follow = report.Follow(chosen.epochs, ROUNDS, say)
    rounds = min(chosen.epochs * ROUNDS, options.steps or sys.maxsize)
    for start in range(0, rounds, ROUNDS):
        follow.epoch()
        for number in range(start, min(start + ROUNDS, rounds)):
            booster.update(matrix, number)  # the host has read each split back when it returns
            follow.step()
        follow.pause()
        (loss, accuracy), (val_loss, val_accuracy) = evaluated(booster, matrix), evaluated(booster, held)
        follow.done(loss=loss, accuracy=accuracy, val_loss=val_loss, val_accuracy=val_accuracy)
    test_loss, predicted = None, None
    if not options.steps:
        say("testing")
        test = xgboost.DMatrix(features(data.x_test), data.y_test)
        test_loss, predicted = evaluated(booster, test)[0], booster.predict(test).argmax(1)
    told = configured(booster)
    gpus = visible_gpus(xgboost)
    report.training(
        options, follow, data, framework_version=xgboost.__version__, recipe=chosen.name, precision="float32",
        batch_size=len(data.x_train), deterministic=None, devices=devices(gpus),
        shares=[{"device": told["grown_on"], "samples": len(data.x_train)}],
        weights_bytes=len(booster.save_raw("ubj")),  # the trees, as a file of the model would hold them
        gpu_memory_peak_bytes=None if gpus else [],  # XGBoost keeps no count
        profile=None, test_loss=test_loss, predicted=predicted, configured=told,
    )  # fmt: skip


def parameters(options: Any) -> dict[str, Any]:
    return {**PARAMETERS, "device": "cuda:0" if options.device == "gpu" else "cpu", "seed": options.seed}


def features(images: Any) -> Any:
    """uint8 [n, 32, 32, 3] to float32 [n, 192]: the mean red, green and blue of each block, 0 to 255."""
    side = cifar10.SIDE // BLOCK
    blocks = images.reshape(len(images), side, BLOCK, side, BLOCK, 3)
    return blocks.mean((2, 4), dtype=np.float32).reshape(len(images), side * side * 3)


def evaluated(booster: Any, matrix: Any) -> tuple[float, float]:
    """Loss and accuracy. XGBoost tells them in a line: "[0]\\tx-mlogloss:1.8\\tx-merror:0.4"."""
    told = dict(word.rsplit(":", 1) for word in booster.eval_set([(matrix, "x")]).split("\t")[1:])
    return float(told["x-mlogloss"]), 1 - float(told["x-merror"])


def configured(booster: Any) -> dict[str, str]:
    """What the booster trains with, by its own configuration. Where there is no GPU, XGBoost changes it there.

    A GPU grows the trees where the device is one and the updater is one of those for GPUs.
    """
    learner = json.loads(booster.save_config())["learner"]
    device = learner["generic_param"]["device"]
    updater = learner["gradient_booster"]["gbtree_train_param"]["updater"]
    kind, _, number = device.partition(":")
    on_gpu = kind == "cuda" and updater.startswith("grow_gpu_")
    return {"device": device, "updater": updater, "grown_on": f"GPU:{number or 0}" if on_gpu else "CPU:0"}


def gpu_build(xgboost: Any) -> bool:
    return bool(xgboost.build_info()["USE_CUDA"])


def devices(gpus: list[dict[str, Any]]) -> list[str]:
    return ["CPU:0", *(f"GPU:{index}" for index in range(len(gpus)))]


def visible_gpus(xgboost: Any) -> list[dict[str, Any]]:
    """The GPUs that the CUDA driver shows to this process; none where this XGBoost could use none.

    XGBoost lists no devices itself, and finds them in the same way: cuInit and cuDeviceGetCount of libcuda.so.1.
    """
    if not gpu_build(xgboost):
        return []
    try:
        cuda = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return []
    count, device, number = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    if cuda.cuInit(0) or cuda.cuDeviceGetCount(ctypes.byref(count)):
        return []
    gpus = []
    for index in range(count.value):
        name, capability = ctypes.create_string_buffer(256), []
        cuda.cuDeviceGet(ctypes.byref(device), index)
        cuda.cuDeviceGetName(name, len(name), device)
        for attribute in (MAJOR, MINOR):
            cuda.cuDeviceGetAttribute(ctypes.byref(number), attribute, device)
            capability.append(number.value)
        gpus.append({"name": name.value.decode("utf-8", "replace"), "compute_capability": capability})
    return gpus


if __name__ == "__main__":
    sys.exit(program.main("xgboost", probe, train, prepare=prepare))
