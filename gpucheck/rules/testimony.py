"""What each witness of a run says: GPU, CPU, both, or nothing. Every rule of a verdict reads them from here."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from gpucheck.compat import Compat
from gpucheck.facts import DeviceKernels, GpuSamples, GpuUse, Kernels, PlacedOp, Placement, Run, Training
from gpucheck.rules.scope import count

Says = Literal["GPU", "CPU", "both"] | None
ENOUGH_SAMPLES = 10
LONG_ENOUGH = 5.0  # seconds: NVML tells of work up to a second late, and a fall to the CPU takes longer than this
BUSY_PERCENT = 1.0
MEMORY = "the training's own memory"
RISE = 1.05  # of the power, during against before
LOGS = {
    "tensorflow": "the placement log", "torch": "the execution trace", "jax": "the compiled programs",
    "xgboost": "the booster's configuration",
}  # fmt: skip


class Testimony(NamedTuple):
    witness: str
    says: Says  # None: it saw nothing that decides
    words: str


def placed(ops: Sequence[PlacedOp], frameworks: Sequence[str], compat: Compat, *, strict: bool = False) -> Testimony:
    """What the framework itself says, by its heavy ops."""
    witness = " and ".join(LOGS[name] for name in frameworks if name in LOGS) or "the placement log"
    heavy = [op for op in ops if op.op in compat.heavy_ops(frameworks)]
    if not heavy:
        return Testimony(witness, None, "names no heavy op")
    devices = sorted({op.device for op in heavy})
    kinds = {op.device.split(":")[0] for op in heavy}
    says: Says = "GPU" if kinds == {"GPU"} else "both" if "GPU" in kinds else "CPU"
    number, different = sum(op.count for op in heavy), len({op.op for op in heavy})
    soft = " under strict placement" if strict else ""
    kinds_seen = count(different, "kind")
    return Testimony(witness, says, f"{number} heavy ops of {kinds_seen} on {', '.join(devices)}{soft}")


def executed(kernels: Kernels, compat: Compat) -> Testimony:
    """What the profiler saw run. A few small kernels may be no more than the input pipeline's."""
    found = ran(kernels.devices, compat)
    if found.says or kernels.devices:
        return found
    if kernels.blind or kernels.errors:
        return found._replace(words=f"could not see a GPU: {kernels.blind or kernels.errors[0]}")
    if not kernels.host_ops:
        return found._replace(words="recorded nothing at all")
    return found._replace(says="CPU", words=f"{kernels.host_ops} events on the host and no kernel on any GPU")


def ran(devices: Sequence[DeviceKernels], compat: Compat) -> Testimony:
    heavy = [device for device in devices if any(compat.is_heavy_kernel(k.name) for k in device.longest)]
    if heavy:
        told = [f"{d.kernels} kernels, {d.seconds:.2g} s on {d.device}" for d in heavy]
        return Testimony("the profiler", "GPU", "; ".join(told))
    number = sum(device.kernels for device in devices)
    return Testimony("the profiler", None, f"{number} kernels, none of which convolves or multiplies matrices")


def sampled(use: GpuUse) -> Testimony:
    """What NVML saw from outside: a process of the run with memory on a GPU, and that GPU at work."""
    witness = "NVML"
    ours = [gpu for gpu in use.gpus if gpu.ours_peak_bytes is not None]
    if not ours and not use.processes_told:
        return Testimony(witness, None, use.untold or "names no processes on this machine")
    few = use.samples < ENOUGH_SAMPLES
    if not ours and few:
        return Testimony(witness, None, f"{use.samples} samples are too few to see a process of the run on a GPU")
    if not ours:
        beside = " (somebody else's were)" if any(gpu.others for gpu in use.gpus) else ""
        return Testimony(witness, "CPU", f"no process of the run was on any GPU in {use.samples} samples{beside}")
    busy = [gpu for gpu in ours if _most_busy(gpu) >= BUSY_PERCENT]
    told = [gpu for gpu in ours if gpu.utilization_during is not None]  # in MIG mode it is not, and power is of all
    warmer = [
        g for g in told if g.power_during_mw and g.power_before_mw and g.power_during_mw > RISE * g.power_before_mw
    ]
    held = ", ".join(f"{(gpu.ours_peak_bytes or 0) / 2**20:.0f} MiB on GPU {gpu.index}" for gpu in ours)
    if busy or warmer:
        at = [f"GPU {gpu.index} up to {_most_busy(gpu):.0f} % busy" for gpu in busy]
        return Testimony(witness, "GPU", f"the run held {held}{''.join(f', {text}' for text in at)}")
    lost = [f"GPU {gpu.index}: {gpu.error}" for gpu in ours if gpu.error]
    if lost or use.ended:
        return Testimony(
            witness, None, f"the run held {held}, and then it could not look: {lost[0] if lost else use.ended}"
        )
    if len(told) < len(ours):
        return Testimony(witness, None, f"the run held {held}; how busy that GPU was it does not tell")
    if few or use.seconds < LONG_ENOUGH:
        seen = f"{use.samples} samples in {use.seconds:.1f} s are too few to see it work"
        return Testimony(witness, None, f"the run held {held}; {seen}")
    return Testimony(witness, "CPU", f"the run held {held}, and that GPU stayed idle")


def _most_busy(gpu: GpuSamples) -> float:
    """Percent. The mean alone hides a second of work behind a minute of compiling."""
    return max(gpu.utilization_during or 0.0, gpu.utilization_most or 0)


def remembered(training: Training) -> Testimony:
    """What the framework's allocator says the training held on each GPU at most."""
    witness, peaks = MEMORY, training.gpu_memory_peak_bytes
    if peaks is None:
        return Testimony(witness, None, "the allocator does not tell")
    if not peaks:
        return Testimony(witness, "CPU", "the training saw no GPU")
    if max(peaks) < training.weights_bytes:
        return Testimony(
            witness, "CPU", f"{max(peaks)} bytes on a GPU, and the weights alone are {training.weights_bytes}"
        )
    return Testimony(witness, "GPU", f"up to {max(peaks) / 2**20:.0f} MiB on a GPU")


def of_run(
    run: Run, compat: Compat, placement: Placement | None, kernels: Kernels | None, use: GpuUse | None,
    training: Training | None,
) -> list[Testimony]:  # fmt: skip
    """Every witness that was there, in the order of how much it proves."""
    found = []
    if placement:
        found.append(placed(placement.ops, run.frameworks, compat, strict=bool(placement.strict)))
    if kernels:
        found.append(executed(kernels, compat))
    if use:
        found.append(sampled(use))
    if training and training.gpu_memory_peak_bytes is not None:
        found.append(remembered(training))
    return found
