"""What the rules of the active probe say alike: which GPUs were not come to, and what CUDA's errors mean."""

from __future__ import annotations

from gpucheck.facts import CallError, Compute, ComputeGpu
from gpucheck.model import Outcome, bad, unsure
from gpucheck.rules.scope import count

OUT_OF_MEMORY, DEVICE_UNAVAILABLE = 2, 46
# That the test could not be made, and no more: no memory left by others, no compiler or no function in this driver.
UNTRIED = frozenset({OUT_OF_MEMORY, 209, 218, 221, 222, 223, 500, 801})
# The numbers and what they mean: cuda.h, enum CUresult.
MEANINGS = {
    -1: "libcuda.so.1 cannot be loaded",
    2: "too little of its memory is free",
    34: "the libcuda.so.1 that was found is a stub, for linking only",
    46: "it is busy, or somebody else's alone",
    100: "CUDA finds no GPU: hidden, or without its device nodes",
    101: "CUDA does not accept this GPU",
    214: "its memory has an error that ECC could not correct",
    220: "an NVLink has an error that could not be corrected",
    221: "the driver's compiler, libnvidia-ptxjitcompiler.so.1, is not here",
    222: "the driver's compiler is too old for the test's code",
    304: "the operating system refused a call",
    700: "a correct program read or wrote where it did not",
    702: "a short kernel took too long",
    719: "a correct kernel failed",
    801: "this GPU or driver does not have it",
    802: "the system is not ready: on NVSwitch machines the fabric manager has to run",
    803: "libcuda and the kernel module are of different versions",
    804: "a libcuda for data centers' forward compatibility was found, which this GPU does not take",
    805: "the MPS server cannot be reached",
    999: "the driver gave no reason",
}


def said(error: CallError) -> str:
    """ "cuInit gives 802 (SYSTEM_NOT_READY): the system is ..." """
    meaning = error.detail or MEANINGS.get(error.code)
    return f"{error.call} gives {error.code} ({error.name})" + (f": {meaning}" if meaning else "")


def label(gpu: ComputeGpu) -> str:
    return gpu.pci_address if gpu.pci_address and gpu.uuid.startswith("GPU-") else gpu.uuid


def found(compute: Compute, gpus: list[ComputeGpu], what: str) -> Outcome:
    """A failure: the first of those GPUs, which it is, and how many there are of them."""
    more = f" ({len(gpus)} of {len(compute.gpus)} GPUs)" if len(compute.gpus) > 1 else ""
    return bad(f"{label(gpus[0])}: {what}{more}", affects=tuple(gpu.uuid for gpu in gpus))


def not_come_to(compute: Compute, stage: str, untried: frozenset[int] = UNTRIED) -> Outcome | None:
    """The outcome where not every GPU has a result of this stage, or None where all have.

    `untried` are the errors of the test's own.
    """
    refused = [gpu for gpu in compute.gpus if stage in gpu.errors and gpu.errors[stage].code not in untried]
    if refused:
        return found(compute, refused, said(refused[0].errors[stage]))
    missing = [gpu for gpu in compute.gpus if not has(gpu, stage)]
    if missing:
        first = missing[0]
        own = first.errors.get(stage) or (None if first.stuck else next(iter(first.errors.values()), None))
        why = said(own) if own else first.stuck or "its test did not come to this"
        more = f" ({len(missing)} of {len(compute.gpus)} GPUs)" if len(compute.gpus) > 1 else ""
        return unsure(f"{label(first)} was not tried: {why}{more}")
    if compute.errors:
        return unsure(
            f"{count(len(compute.gpus), 'GPU')} tried, but not all could be listed: {said(compute.errors[0])}"
        )
    return None if compute.gpus else unsure("no GPU could be listed")


def has(gpu: ComputeGpu, stage: str) -> bool:
    """Its result is here, and is of something."""
    done = {
        "context": gpu.context,
        "copies": gpu.copies and gpu.copies.bytes * gpu.copies.times > 0,
        "kernel": gpu.kernel and gpu.kernel.threads * gpu.kernel.rounds * gpu.kernel.launches > 0,
        "memory": gpu.memory and gpu.memory.bytes * gpu.memory.patterns > 0,
    }
    return bool(done[stage]) and stage not in gpu.errors
