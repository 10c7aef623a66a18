"""The first thing that a program asks of a GPU is a CUDA context. nvidia-smi needs none, and is no proof of one.

Where it fails frameworks say the same number: 802 system not yet initialized, 999 unknown error, 46 all CUDA-capable
devices are busy or unavailable, 100 no CUDA-capable device is detected, 803 driver / library mismatch.
"""

from gpucheck.facts import Compute, Nvml
from gpucheck.model import Outcome, Remedy, Rule, ok, unsure
from gpucheck.rules.deep import DEVICE_UNAVAILABLE, OUT_OF_MEMORY, not_come_to, said
from gpucheck.rules.scope import count

UNTRIED = frozenset({OUT_OF_MEMORY, 500})


def judge(compute: Compute, nvml: Nvml | None) -> Outcome:
    outcome = not_come_to(compute, "context", UNTRIED)
    if outcome is None:
        return ok(f"{count(len(compute.gpus), 'GPU')} took a context")
    exclusive = {gpu.uuid for gpu in nvml.gpus if (gpu.compute_mode or "").startswith("exclusive")} if nvml else set()
    refused = [gpu.errors["context"] for gpu in compute.gpus if gpu.uuid in outcome.affects]
    if refused and exclusive >= set(outcome.affects) and {error.code for error in refused} == {DEVICE_UNAVAILABLE}:
        return unsure(f"{outcome.affects[0]} admits one process at a time, and may have one: {said(refused[0])}")
    return outcome


RULE = Rule(
    id="compute.context-made",
    title="Every GPU takes a CUDA context",
    judge=judge,
    after=(
        "nvml.answers",
        "nvml.all-gpus",
        "nvml.fabric-ready",
        "nvml.confidential-ready",
        "nvml.compute-allowed",
        "nvml.mig-has-instances",
        "linker.no-stub",
        "linker.compat-allowed",
        "linker.finds-drivers-libcuda",
    ),
    remedy=Remedy(
        text="`gpucheck explain` has the number above; the kernel log says what the driver made of it. For 999 load "
        "nvidia-uvm, for 802 start the fabric manager",
        commands={
            "": (
                "ls -l /dev/nvidia*",
                "systemctl status nvidia-fabricmanager --no-pager",
                "sudo dmesg | grep -iE 'nvrm|xid' | tail",
            )
        },
        verify="gpucheck doctor --deep",
    ),
)
