"""The rules of a run: how it ended, which image it was, where the ops went, whether it trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpucheck import compat
from gpucheck.facts import DeviceNode, Driver, Epoch, Part, Pci, PciDevice, PlacedOp, Placement, Run, Training, Version
from gpucheck.model import Finding, Status

PASS, FAIL, SKIP, UNKNOWN = Status
HEAVY = compat.load().heavy_ops("tensorflow")

RUN = Run(
    framework="tensorflow", framework_version="2.21.0", device="gpu", where="container", where_why=None,
    image_asked="sha256:aa", image_ran="sha256:aa",
    recipe_asked="tensorflow-cuda12", recipe_ran="tensorflow-cuda12", exit_code=0, signal=None,
    oom_killed=False, last_line="train: testing",
    parts=(
        Part(name="probe-strict", exit_code=0, signal=None, seconds=6.0),
        Part(name="train", exit_code=0, signal=None, seconds=20.0),
    ),
    devices_seen=("CPU:0", "GPU:0"),
)  # fmt: skip
KILLED = Part(name="train", exit_code=None, signal=9, seconds=1.0)


def placed(device: str, *ops: str, count: int = 2) -> tuple[PlacedOp, ...]:
    """Each once in a graph's log and once in the eager one."""
    return tuple(PlacedOp(op=op, device=device, count=count, mode=mode) for mode in ("graph", "eager") for op in ops)


LIGHT = placed("CPU:0", "IteratorGetNext", "NoOp")
ON_GPU = Placement(
    lines=22, unread=0, ops=placed("GPU:0", *HEAVY) + LIGHT, strict=True, refused=None, gpu_kernels=HEAVY,
    host_memory=(), reasons=(),
)  # fmt: skip
ON_CPU = replace(ON_GPU, ops=placed("CPU:0", *HEAVY) + LIGHT, strict=False, refused="no GPU:0 here")
ONE_ON_CPU = replace(ON_GPU, ops=placed("GPU:0", *HEAVY) + placed("CPU:0", "Conv2D", count=1))
GPU = PciDevice(address="0000:01:00.0", device_id="2330", driver="nvidia")
PCI, NO_GPU = Pci(gpus=(GPU,), nvswitches=()), Pci(gpus=(), nvswitches=())
DXG = DeviceNode(path="/dev/dxg", major=10, minor=125, mode="666", group="root")
DRIVER = Driver(version=Version("570.86.15"), open_module=True, libraries=(), devices=())
UNLOADED = replace(DRIVER, version=None)

EPOCHS = tuple(
    Epoch(loss=loss, accuracy=0.5, val_loss=1.0, val_accuracy=accuracy, seconds=10.0, steps=1407)
    for loss, accuracy in ((1.5, 0.52), (1.2, 0.58), (1.0, 0.63))
)
TRAINED = Training(
    history=EPOCHS, epochs_asked=3, batch_size=32, samples=50_000, seed=0, data="CIFAR-10", real=True,
    test_accuracy=0.62,
    gpu_memory_peak_bytes=(325_000_000,),
)  # fmt: skip
DIVERGED = replace(TRAINED, history=(*EPOCHS[:2], replace(EPOCHS[2], loss=None)))
SHORT = replace(EPOCHS[0], loss=2.308, steps=16)
GUESSING = replace(TRAINED, history=(*EPOCHS[:2], replace(EPOCHS[2], val_accuracy=0.1)), test_accuracy=0.1)

CASES: list[tuple[str, tuple[Any, ...], Status, str]] = [
    ("run.finished", (RUN,), PASS, "26 s"),
    ("run.finished", (replace(RUN, parts=(*RUN.parts[:1], KILLED), exit_code=1),), FAIL, "train was killed (signal 9)"),
    ("run.finished", (replace(RUN, exit_code=137, parts=()),), FAIL, "payload was killed"),
    ("run.finished", (replace(RUN, exit_code=None, signal=15, parts=()),), FAIL, "signal 15"),
    ("run.finished", (replace(RUN, exit_code=1, parts=()),), FAIL, "exit code 1; its last words: train: testing"),
    ("run.finished", (replace(RUN, oom_killed=True),), FAIL, "more memory than its container may"),
    ("run.finished", (replace(RUN, parts=RUN.parts[:1]),), FAIL, "without training"),
    ("run.image-as-asked", (RUN,), PASS, "sha256:aa"),
    ("run.image-as-asked", (replace(RUN, image_ran="sha256:bb"),), FAIL, "sha256:bb"),
    ("run.image-as-asked", (replace(RUN, recipe_ran="tensorflow-cpu"),), FAIL, "tensorflow-cpu"),
    ("run.image-as-asked", (replace(RUN, image_ran=None),), UNKNOWN, "did not say"),
    ("run.image-as-asked", (replace(RUN, where="host", where_why="as asked"),), SKIP, "as asked"),
    ("placement.log-readable", (ON_GPU,), PASS, "22 lines"),
    ("placement.log-readable", (replace(ON_GPU, lines=0, ops=()),), UNKNOWN, "no lines"),
    ("placement.log-readable", (replace(ON_GPU, unread=3),), UNKNOWN, "3 of 25"),
    ("placement.strict-accepted", (RUN, ON_GPU), PASS, "GPU"),
    ("placement.strict-accepted", (RUN, ON_CPU), FAIL, "no GPU:0 here"),
    ("placement.strict-accepted", (RUN, replace(ON_GPU, strict=False)), UNKNOWN, "not tried"),
    ("placement.heavy-ops-on-device", (RUN, ON_GPU, PCI, DRIVER), PASS, "on GPU:0 (36 heavy ops of 9 kinds"),
    ("placement.heavy-ops-on-device", (RUN, ON_GPU), PASS, "8 light ops elsewhere"),
    ("placement.heavy-ops-on-device", (RUN, ON_CPU, NO_GPU, UNLOADED), FAIL, "because this machine has no NVIDIA GPU"),
    ("placement.heavy-ops-on-device", (RUN, ON_CPU, PCI, UNLOADED), FAIL, "because the NVIDIA driver is not loaded"),
    (
        "placement.heavy-ops-on-device",
        (RUN, replace(ON_CPU, gpu_kernels=None), PCI, DRIVER),
        FAIL,
        "without GPU kernels",
    ),
    (
        "placement.heavy-ops-on-device",
        (RUN, replace(ON_CPU, reasons=("cuInit: 999",)), PCI, DRIVER),
        FAIL,
        "cuInit: 999",
    ),
    ("placement.heavy-ops-on-device", (RUN, ON_CPU), FAIL, "did not say why"),
    (
        "placement.heavy-ops-on-device",
        (RUN, replace(ON_CPU, reasons=("x",)), NO_GPU, replace(UNLOADED, devices=(DXG,))),
        FAIL,
        "said why: x",
    ),
    ("placement.heavy-ops-on-device", (RUN, ONE_ON_CPU), FAIL, "Conv2D 2 ran on CPU:0, not on GPU:0"),
    ("placement.heavy-ops-on-device", (RUN, replace(ON_GPU, ops=placed("GPU:0", *HEAVY[1:]))), UNKNOWN, HEAVY[0]),
    ("placement.heavy-ops-on-device", (RUN, replace(ON_GPU, ops=ON_GPU.ops[:9])), UNKNOWN, "Conv2D (eager)"),
    ("placement.heavy-ops-on-device", (RUN, replace(ON_GPU, ops=ON_GPU.ops[9:])), UNKNOWN, "Conv2D (graph)"),
    (
        "placement.heavy-ops-on-device",
        (RUN, replace(ON_GPU, ops=placed("GPU:1", *HEAVY))),
        FAIL,
        "on GPU:1, not on GPU:0",
    ),
    ("placement.heavy-ops-on-device", (replace(RUN, devices_seen=("CPU:0",)), ON_GPU), UNKNOWN, "saw only CPU:0"),
    ("placement.heavy-ops-on-device", (RUN, replace(ON_GPU, gpu_kernels=None)), UNKNOWN, "no GPU kernels"),
    ("placement.heavy-ops-on-device", (RUN, replace(ON_GPU, ops=LIGHT)), UNKNOWN, "none of 22 lines"),
    ("placement.heavy-ops-on-device", (replace(RUN, device="cpu"), ON_CPU), PASS, "on CPU:0"),
    ("placement.heavy-ops-on-device", (replace(RUN, device="cpu"), ON_GPU), FAIL, "not on CPU"),
    ("training.loss-fell", (TRAINED,), PASS, "1.000"),
    ("training.loss-fell", (replace(TRAINED, history=EPOCHS[:1], epochs_asked=1),), PASS, "2.303 to 1.500"),
    ("training.loss-fell", (replace(TRAINED, history=EPOCHS[:2]),), FAIL, "2 of 3 epochs"),
    ("training.loss-fell", (replace(TRAINED, history=(SHORT,), epochs_asked=1),), SKIP, "16 steps"),
    (
        "training.loss-fell",
        (replace(TRAINED, history=(replace(SHORT, loss=None),), epochs_asked=1),),
        FAIL,
        "no number",
    ),
    ("training.loss-fell", (DIVERGED,), FAIL, "no number"),
    ("training.loss-fell", (replace(TRAINED, history=EPOCHS[::-1]),), FAIL, "1.000 to 1.500"),
    ("training.loss-fell", (replace(TRAINED, history=()),), UNKNOWN, "no epoch"),
    ("training.on-device", (RUN, TRAINED), PASS, "310 MiB"),
    ("training.on-device", (RUN, replace(TRAINED, gpu_memory_peak_bytes=())), FAIL, "saw no GPU"),
    ("training.on-device", (RUN, replace(TRAINED, gpu_memory_peak_bytes=(1024,))), FAIL, "490280"),
    ("training.on-device", (RUN, replace(TRAINED, gpu_memory_peak_bytes=None)), UNKNOWN, "does not tell"),
    ("training.on-device", (replace(RUN, device="cpu"), TRAINED), SKIP, "CPU"),
    ("training.accuracy-plausible", (TRAINED,), PASS, "0.630"),
    ("training.accuracy-plausible", (replace(TRAINED, test_accuracy=7.0),), FAIL, "7.0"),
    ("training.accuracy-plausible", (replace(TRAINED, test_accuracy=float("nan")),), FAIL, "nan"),
    ("training.accuracy-plausible", (GUESSING,), FAIL, "0.100"),
    ("training.accuracy-plausible", (replace(TRAINED, history=EPOCHS[:1]),), SKIP, "too few"),
    ("training.accuracy-plausible", (replace(TRAINED, history=()),), SKIP, "0 epochs"),
]


@pytest.mark.parametrize(("rule", "facts", "status", "says"), CASES)
def test_rule(judged: Callable[..., Finding], rule: str, facts: tuple[Any, ...], status: Status, says: str) -> None:
    finding = judged(rule, *facts)
    assert finding.status is status, finding.message
    assert says in finding.message


def test_no_placement_log_is_unknown_and_never_a_pass(judged: Callable[..., Finding]) -> None:
    for rule in ("placement.log-readable", "placement.strict-accepted", "placement.heavy-ops-on-device"):
        assert judged(rule, RUN).status is UNKNOWN
