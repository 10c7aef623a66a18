"""The rules of a run: how it ended, which image it was, where the ops went, whether it trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpucheck import compat
from gpucheck.facts import (
    Control,
    DeviceKernels,
    DeviceNode,
    Driver,
    Epoch,
    GpuSamples,
    GpuUse,
    Kernels,
    KernelTime,
    Part,
    Pci,
    PciDevice,
    PlacedOp,
    Placement,
    Process,
    Run,
    Share,
    Timing,
    Training,
    Version,
)
from gpucheck.model import Finding, Status

PASS, FAIL, SKIP, UNKNOWN = Status
SHOWN = compat.load().shown_ops(["tensorflow"])
HEAVY = tuple(dict.fromkeys(op for op, _ in SHOWN))

RUN = Run(
    frameworks=("tensorflow",), framework_version="2.21.0", device="gpu", devices_asked=1, where="container",
    where_why=None, image_asked="sha256:aa", image_ran="sha256:aa",
    recipe_asked="tensorflow-cuda12", recipe_ran="tensorflow-cuda12", exit_code=0, signal=None,
    oom_killed=False, last_line="train: testing",
    parts=(
        Part(name="probe-strict", exit_code=0, signal=None, seconds=6.0),
        Part(name="train", exit_code=0, signal=None, seconds=20.0),
    ),
    devices_seen=("CPU:0", "GPU:0"),
)  # fmt: skip
CPU_RUN = replace(RUN, device="cpu")
PROCESS = Process(
    pid=7, argv=("python", "a.py"), frameworks=("tensorflow 2.21.0",), devices_seen=("CPU:0", "GPU:0", "GPU:1"),
    hidden_by=None, ended=True, problems=(),
)  # fmt: skip
COMMAND = replace(RUN, command=("python", "a.py"), processes=(PROCESS,), parts=())
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
TORCH_ON_CPU = replace(ON_CPU, ops=placed("CPU:0", "aten::mm"), gpu_kernels=())
COMPILED = replace(ON_GPU, ops=placed("GPU:0", "StatefulPartitionedCall") + LIGHT)
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
    history=EPOCHS, recipe="tutorial", precision="float32", epochs_asked=3, batch_size=32, samples=50_000, seed=0,
    deterministic=None, data="CIFAR-10", real=True, test_accuracy=0.62, gpu_memory_peak_bytes=(325_000_000,),
    weights_bytes=490_280, shares=(Share(device="GPU:0", samples=150_000),),
)  # fmt: skip
DIVERGED = replace(TRAINED, history=(*EPOCHS[:2], replace(EPOCHS[2], loss=None)))
SHORT = replace(EPOCHS[0], loss=2.308, steps=16)
GUESSING = replace(TRAINED, history=(*EPOCHS[:2], replace(EPOCHS[2], val_accuracy=0.1)), test_accuracy=0.1)

TWO = replace(RUN, devices_asked=2, devices_seen=("CPU:0", "GPU:0", "GPU:1"))
HALVES = replace(TRAINED, shares=tuple(Share(device=f"GPU:{n}", samples=75_000) for n in (0, 1)))

CONV = KernelTime(name="sm90_xmma_fprop_implicit_gemm_bf16", count=400, seconds=0.4)
CAST = KernelTime(name="Cast_UINT8_FLOAT", count=12, seconds=0.0001)
ON_GPU_0 = DeviceKernels(device="GPU:0", kernels=900, seconds=0.6, longest=(CONV, CAST))
RAN = Kernels(
    source="XPlane", windows=1, seconds=1.0, devices=(ON_GPU_0,), host_ops=500, host_longest=(), blind=None, errors=(),
)  # fmt: skip
RAN_ON_CPU = replace(RAN, devices=())
RAN_PIPELINE = replace(RAN, devices=(replace(ON_GPU_0, kernels=12, seconds=0.0001, longest=(CAST,)),))
DEAF = replace(RAN, devices=(), blind="libcupti.so.12 cannot be loaded")
BOTH_RAN = replace(RAN, devices=(ON_GPU_0, replace(ON_GPU_0, device="GPU:1", seconds=0.4)))

SAMPLES = GpuSamples(
    index=0, uuid="GPU-aa", name="NVIDIA H100", ours_peak_bytes=2**30, others=False, utilization_before=0.0,
    utilization_during=64.0, power_before_mw=70_000.0, power_during_mw=310_000.0, energy_during_mj=2e6,
    sm_mhz_before=345.0, sm_mhz_during=1980.0,
)  # fmt: skip
USED = GpuUse(samples=120, seconds=12.0, processes_told=True, by="cgroup", gpus=(SAMPLES,))
NOT_OURS = replace(USED, gpus=(replace(SAMPLES, ours_peak_bytes=None, others=True),))
IDLE = replace(USED, gpus=(replace(SAMPLES, utilization_during=0.0, power_during_mw=70_500.0),))
UNMEASURED = replace(USED, gpus=(replace(SAMPLES, utilization_during=None, power_during_mw=None),))
BRIEFLY = replace(IDLE, gpus=(replace(IDLE.gpus[0], utilization_during=0.2, utilization_most=31),))
PARTED = replace(IDLE, gpus=(replace(IDLE.gpus[0], utilization_during=None, power_during_mw=71_000.0),))
LOST = replace(IDLE, gpus=(replace(IDLE.gpus[0], error="GPU_IS_LOST"),))
NOBODY_NAMED = replace(NOT_OURS, processes_told=False)

CONTROL = Control(
    hidden_by="CUDA_VISIBLE_DEVICES=-1", devices_seen=("CPU:0",), ops=placed("CPU:0", *HEAVY), kernels=(),
    step_seconds=0.05,
)  # fmt: skip
FOOLED = replace(CONTROL, ops=placed("GPU:0", *HEAVY))
TIMED = Timing(batch_size=32, step_seconds=0.002, images_per_second=16_000.0, control_step_seconds=0.05)
NO_MEMORY = replace(TRAINED, gpu_memory_peak_bytes=None)
AGREE = "verdict.witnesses-agree"

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
    ("run.image-as-asked", (replace(RUN, recipe_asked=None),), PASS, "sha256:aa"),
    ("run.image-as-asked", (replace(RUN, image_ran=None),), UNKNOWN, "did not say"),
    ("run.image-as-asked", (replace(RUN, where="host", where_why="as asked"),), SKIP, "as asked"),
    ("placement.log-readable", (RUN, ON_GPU), PASS, "22 placed in graphs, 22 dispatched"),
    ("placement.log-readable", (RUN, replace(ON_GPU, lines=0, ops=())), UNKNOWN, "nothing was observed"),
    ("placement.log-readable", (RUN, replace(ON_GPU, unread=3)), UNKNOWN, "3 of 25"),
    ("placement.log-readable", (COMMAND, replace(ON_GPU, lines=0, ops=())), SKIP, "no framework"),
    ("placement.strict-accepted", (RUN, ON_GPU), PASS, "GPU"),
    ("placement.strict-accepted", (RUN, ON_CPU), FAIL, "no GPU:0 here"),
    ("placement.strict-accepted", (RUN, replace(ON_GPU, strict=False)), UNKNOWN, "not tried"),
    ("placement.strict-accepted", (RUN, replace(ON_GPU, strict=None)), SKIP, "no strict placement"),
    (
        "placement.heavy-ops-on-device",
        (RUN, ON_GPU, PCI, DRIVER),
        PASS,
        "36 heavy ops of 9 kinds on GPU:0 under strict placement",
    ),
    (AGREE, (RUN, ON_CPU, NO_GPU, UNLOADED), FAIL, "because this machine has no NVIDIA GPU"),
    (AGREE, (RUN, ON_CPU, PCI, UNLOADED), FAIL, "because the NVIDIA driver is not loaded"),
    (
        AGREE,
        (RUN, replace(ON_CPU, gpu_kernels=None), PCI, DRIVER),
        FAIL,
        "without GPU kernels",
    ),
    (
        AGREE,
        (RUN, replace(ON_CPU, reasons=("cuInit: 999",)), PCI, DRIVER),
        FAIL,
        "cuInit: 999",
    ),
    (AGREE, (RUN, ON_CPU), FAIL, "did not say why"),
    (
        AGREE,
        (RUN, replace(ON_CPU, reasons=("x",)), NO_GPU, replace(UNLOADED, devices=(DXG,))),
        FAIL,
        "said why: x",
    ),
    ("placement.heavy-ops-on-device", (RUN, ON_CPU), FAIL, "kinds on CPU:0, none on GPU:0"),
    ("placement.heavy-ops-on-device", (RUN, ONE_ON_CPU), FAIL, "Conv2D 2 ran on CPU:0, not on GPU:0"),
    ("placement.heavy-ops-on-device", (RUN, replace(ON_GPU, ops=placed("GPU:0", *HEAVY[1:]))), UNKNOWN, HEAVY[0]),
    ("placement.heavy-ops-on-device", (RUN, replace(ON_GPU, ops=ON_GPU.ops[:9])), UNKNOWN, "Conv2D (eager)"),
    ("placement.heavy-ops-on-device", (RUN, replace(ON_GPU, ops=ON_GPU.ops[9:])), UNKNOWN, "Conv2D (graph)"),
    (
        "placement.heavy-ops-on-device",
        (RUN, replace(ON_GPU, ops=placed("GPU:1", *HEAVY))),
        FAIL,
        "on GPU:1 under strict placement, none on GPU:0",
    ),
    ("placement.heavy-ops-on-device", (replace(RUN, devices_seen=("CPU:0",)), ON_GPU), UNKNOWN, "saw only CPU:0"),
    ("placement.heavy-ops-on-device", (RUN, replace(ON_GPU, gpu_kernels=None)), UNKNOWN, "no GPU kernels"),
    ("placement.heavy-ops-on-device", (RUN, replace(ON_GPU, ops=LIGHT)), UNKNOWN, "no heavy op in 22 lines"),
    ("placement.heavy-ops-on-device", (replace(RUN, device="cpu"), ON_CPU), PASS, "on CPU:0"),
    ("placement.heavy-ops-on-device", (replace(RUN, device="cpu"), ON_GPU), FAIL, "none on CPU:0"),
    ("placement.heavy-ops-on-device", (RUN, COMPILED), UNKNOWN, "4 calls of compiled functions"),
    ("placement.heavy-ops-on-device", (COMMAND, COMPILED), SKIP, "4 calls of compiled functions"),
    ("placement.heavy-ops-on-device", (COMMAND, replace(ON_GPU, ops=placed("GPU:1", "MatMul"))), PASS, "GPU:1"),
    ("placement.heavy-ops-on-device", (COMMAND, ONE_ON_CPU), FAIL, "Conv2D 2 ran on CPU:0"),
    (AGREE, (replace(RUN, hidden_by="X=-1"), ON_CPU, PCI), FAIL, "because X=-1 hides"),
    (AGREE, (replace(RUN, forced="K=cpu"), ON_CPU, PCI), FAIL, "because K=cpu forces"),
    (AGREE, (replace(RUN, muted="L=3"), ON_CPU, PCI), FAIL, "did not say why, muted by L=3"),
    (
        AGREE,
        (replace(RUN, missing_libraries=("libnvidia-ml.so.1",)), ON_CPU, PCI, DRIVER),
        FAIL,
        "libnvidia-ml.so.1 cannot be loaded",
    ),
    ("placement.rest-is-known", (RUN, ON_GPU), PASS, "input pipeline 4"),
    (
        "placement.rest-is-known",
        (RUN, replace(ON_GPU, ops=placed("CPU:0", "Svd"), gpu_kernels=("Svd",))),
        FAIL,
        "Svd 4",
    ),
    (
        "placement.rest-is-known",
        (RUN, replace(ON_GPU, ops=placed("CPU:0", "Svd"), host_memory=("Svd",))),
        PASS,
        "host memory 4",
    ),
    ("placement.rest-is-known", (RUN, replace(ON_GPU, ops=placed("CPU:0", "Svd"))), PASS, "no GPU kernel exists 4"),
    ("placement.rest-is-known", (CPU_RUN, ON_CPU), SKIP, "CPU"),
    ("kernels.on-device", (RUN, RAN), PASS, "900 kernels"),
    ("kernels.on-device", (RUN, RAN_ON_CPU), FAIL, "no kernel on any GPU"),
    ("kernels.on-device", (RUN, RAN_PIPELINE), UNKNOWN, "none of which convolves"),
    ("kernels.on-device", (RUN, DEAF), UNKNOWN, "libcupti"),
    ("kernels.on-device", (RUN, replace(RAN_ON_CPU, host_ops=0)), UNKNOWN, "nothing at all"),
    ("kernels.on-device", (CPU_RUN, RAN_ON_CPU), PASS, "500 events on the host"),
    ("kernels.on-device", (CPU_RUN, RAN), FAIL, "900 kernels"),
    ("kernels.no-gpu-idle", (RUN, RAN), SKIP, "1 GPU"),
    ("kernels.no-gpu-idle", (COMMAND, BOTH_RAN), PASS, "GPU:0 60%, GPU:1 40%"),
    ("kernels.no-gpu-idle", (COMMAND, RAN), FAIL, "GPU:1 ran no kernel"),
    ("kernels.no-gpu-idle", (COMMAND, DEAF), SKIP, "no kernel on any GPU"),
    ("kernels.no-gpu-idle", (replace(TWO, devices_asked=1), RAN), SKIP, "1 GPU to be used"),
    ("gpu-use.seen-from-outside", (RUN, USED), PASS, "1024 MiB on GPU 0, GPU 0 up to 64 % busy"),
    ("gpu-use.seen-from-outside", (RUN, NOT_OURS), FAIL, "somebody else's were"),
    ("gpu-use.seen-from-outside", (RUN, IDLE), FAIL, "stayed idle"),
    ("gpu-use.seen-from-outside", (RUN, replace(IDLE, samples=3)), UNKNOWN, "too few"),
    ("gpu-use.seen-from-outside", (RUN, replace(IDLE, samples=20, seconds=2.0)), UNKNOWN, "20 samples in 2.0 s"),
    ("gpu-use.seen-from-outside", (RUN, replace(NOT_OURS, samples=3)), UNKNOWN, "3 samples are too few"),
    ("gpu-use.seen-from-outside", (RUN, BRIEFLY), PASS, "GPU 0 up to 31 % busy"),
    ("gpu-use.seen-from-outside", (RUN, PARTED), UNKNOWN, "does not tell"),
    ("gpu-use.seen-from-outside", (RUN, NOBODY_NAMED), UNKNOWN, "names no processes"),
    ("gpu-use.seen-from-outside", (RUN, replace(NOBODY_NAMED, untold="no lists here")), UNKNOWN, "no lists here"),
    (  # in MIG mode the power is a neighbour's too
        "gpu-use.seen-from-outside",
        (RUN, replace(USED, gpus=(replace(SAMPLES, utilization_during=None, utilization_most=None),))),
        UNKNOWN,
        "does not tell",
    ),
    ("gpu-use.seen-from-outside", (RUN, UNMEASURED), UNKNOWN, "does not tell"),
    ("gpu-use.seen-from-outside", (RUN, replace(IDLE, ended="it hangs")), UNKNOWN, "it hangs"),
    ("gpu-use.seen-from-outside", (RUN, LOST), UNKNOWN, "GPU 0: GPU_IS_LOST"),
    ("gpu-use.seen-from-outside", (RUN,), UNKNOWN, "could not be asked"),
    ("gpu-use.seen-from-outside", (CPU_RUN,), SKIP, "CPU"),
    ("gpu-use.seen-from-outside", (CPU_RUN, NOT_OURS), SKIP, "CPU"),
    ("gpu-use.seen-from-outside", (CPU_RUN, USED), FAIL, "1024 MiB"),
    ("control.told-apart", (RUN, CONTROL), PASS, "on CPU:0"),
    ("control.told-apart", (RUN, FOOLED), UNKNOWN, "the proof is void"),
    ("control.told-apart", (RUN, replace(CONTROL, kernels=(ON_GPU_0,))), UNKNOWN, "the proof is void"),
    ("control.told-apart", (RUN, replace(CONTROL, devices_seen=("CPU:0", "GPU:0"))), UNKNOWN, "still sees GPU:0"),
    ("control.told-apart", (RUN, replace(CONTROL, ops=LIGHT)), UNKNOWN, "no control"),
    ("control.told-apart", (RUN,), UNKNOWN, "no control run"),
    ("control.told-apart", (CPU_RUN,), SKIP, "CPU"),
    ("timing.faster-than-control", (RUN, TIMED), PASS, "25.0 times"),
    ("timing.faster-than-control", (RUN, replace(TIMED, control_step_seconds=0.002)), FAIL, "no gain"),
    ("timing.faster-than-control", (CPU_RUN, TIMED), SKIP, "2 ms a step"),
    ("training.every-device-worked", (RUN, TRAINED), SKIP, "one device"),
    ("training.every-device-worked", (TWO, HALVES, BOTH_RAN), PASS, "GPU:0 50%, GPU:1 50%"),
    ("training.every-device-worked", (TWO, TRAINED, BOTH_RAN), FAIL, "GPU:1 trained on too few"),
    ("training.every-device-worked", (TWO, HALVES, RAN), FAIL, "GPU:1 executed no kernel"),
    ("training.every-device-worked", (TWO, HALVES), UNKNOWN, "no profiler"),
    ("training.every-device-worked", (TWO, HALVES, DEAF), UNKNOWN, "no profiler"),
    ("training.every-device-worked", (TWO, replace(TRAINED, shares=())), UNKNOWN, "did not tell"),
    (AGREE, (RUN, ON_GPU, RAN, USED, TRAINED, CONTROL), PASS, "the control run was told apart"),
    (AGREE, (RUN, ON_GPU, RAN, TRAINED, CONTROL), PASS, "not there: NVML"),
    (AGREE, (RUN, ON_GPU, USED, CONTROL), PASS, "not there: the profiler"),
    (AGREE, (RUN, ON_GPU, RAN, USED, TRAINED), PASS, "not there: a control run"),
    (AGREE, (RUN, ON_GPU, DEAF, USED, CONTROL), PASS, "the profiler does not decide: could not see a GPU"),
    (AGREE, (RUN, RAN, USED), UNKNOWN, "nothing tells where each op was placed"),
    (AGREE, (RUN, ON_GPU, TRAINED), UNKNOWN, "that is not enough"),
    (AGREE, (RUN, ON_GPU), UNKNOWN, "that is not enough"),
    (AGREE, (COMMAND, RAN), UNKNOWN, "that is not enough"),
    (AGREE, (RUN, ON_GPU, RAN, USED, TRAINED, FOOLED), UNKNOWN, "the proof is void"),
    (AGREE, (RUN, ON_GPU, RAN_ON_CPU, TRAINED), FAIL, "contradict"),
    (AGREE, (RUN, ON_GPU, RAN, NOT_OURS), FAIL, "NVML says CPU"),
    (AGREE, (RUN, ON_GPU, DEAF, IDLE), FAIL, "contradict"),
    (AGREE, (RUN, ON_CPU, USED), FAIL, "contradict"),
    (AGREE, (RUN, ON_GPU, RAN, replace(TRAINED, gpu_memory_peak_bytes=())), FAIL, "contradict"),
    (AGREE, (RUN, ONE_ON_CPU, RAN, USED), FAIL, "only a part"),
    (AGREE, (COMMAND, ON_CPU, RAN_ON_CPU, NO_GPU), FAIL, "0 of its heavy ops ran on a GPU, because this machine has"),
    (
        AGREE,
        (replace(RUN, frameworks=("torch",), missing_libraries=("libnvidia-ml.so.1",)), TORCH_ON_CPU, PCI, DRIVER),
        FAIL,
        "did not say why",
    ),
    (AGREE, (COMMAND, replace(ON_CPU, reasons=("cuInit: 303",)), NO_GPU), FAIL, "tensorflow said: cuInit: 303"),
    (AGREE, (RUN, ON_CPU, RAN_ON_CPU, NO_GPU), FAIL, "every op ran on the CPU, because this machine has no NVIDIA GPU"),
    (AGREE, (RUN, ON_CPU, RAN_PIPELINE, NOT_OURS, PCI, DRIVER), FAIL, "every op ran on the CPU"),
    (AGREE, (RUN, replace(ON_GPU, ops=LIGHT), DEAF), UNKNOWN, "no witness saw"),
    (AGREE, (RUN,), UNKNOWN, "no witness saw"),
    (AGREE, (replace(COMMAND, frameworks=()),), UNKNOWN, "no framework was seen"),
    (AGREE, (COMMAND, COMPILED, RAN, USED), PASS, "does not decide: names no heavy op"),
    (AGREE, (COMMAND, ON_GPU, RAN, USED), PASS, "every heavy op that was seen ran on the GPU"),
    (AGREE, (replace(COMMAND, device="cpu"), ON_CPU), PASS, "every heavy op that was seen ran on the CPU"),
    (AGREE, (COMMAND, RAN, USED), PASS, "of single ops nothing is known"),
    (AGREE, (CPU_RUN, ON_CPU, RAN_ON_CPU, TRAINED), FAIL, "the training's own memory says GPU"),
    (AGREE, (CPU_RUN, ON_CPU, RAN_ON_CPU, NO_MEMORY), PASS, "every heavy op ran on the CPU"),
    (AGREE, (CPU_RUN, ON_GPU, NO_MEMORY), FAIL, "the CPU was asked for"),
    (AGREE, (CPU_RUN, replace(ON_CPU, ops=LIGHT)), UNKNOWN, "no witness saw"),
    ("run.finished", (COMMAND,), PASS, "1 Python process followed"),
    ("run.finished", (replace(COMMAND, overhead=0.25),), PASS, "observing cost it 0.25 s"),
    ("run.finished", (replace(COMMAND, exit_code=3),), FAIL, "exit code 3"),
    ("run.finished", (replace(COMMAND, exit_code=None, signal=15),), FAIL, "signal 15"),
    ("run.finished", (replace(COMMAND, processes=(replace(PROCESS, ended=False),)),), PASS, "before they had told"),
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
    ("training.accuracy-plausible", (RUN, TRAINED), PASS, "0.630"),
    ("training.accuracy-plausible", (RUN, replace(TRAINED, test_accuracy=7.0)), FAIL, "7.0"),
    ("training.accuracy-plausible", (RUN, replace(TRAINED, test_accuracy=float("nan"))), FAIL, "nan"),
    ("training.accuracy-plausible", (RUN, GUESSING), FAIL, "0.100"),
    ("training.accuracy-plausible", (RUN, replace(TRAINED, history=EPOCHS[:1])), SKIP, "too few"),
    ("training.accuracy-plausible", (RUN, replace(TRAINED, history=())), SKIP, "0 epochs"),
]


@pytest.mark.parametrize(("rule", "facts", "status", "says"), CASES)
def test_rule(judged: Callable[..., Finding], rule: str, facts: tuple[Any, ...], status: Status, says: str) -> None:
    finding = judged(rule, *facts)
    assert finding.status is status, finding.message
    assert says in finding.message


def test_no_placement_log_is_unknown_and_never_a_pass(judged: Callable[..., Finding]) -> None:
    for rule in ("placement.log-readable", "placement.strict-accepted", "placement.heavy-ops-on-device"):
        assert judged(rule, RUN).status is UNKNOWN
