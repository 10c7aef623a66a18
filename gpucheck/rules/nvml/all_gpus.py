"""A GPU can be on the bus and lost to the driver: "GPU is lost", Xid 79, "Unable to determine the device handle".

Power, heat, a riser or the card itself; frameworks then count one GPU fewer, and nobody says so.
"""

from gpucheck.facts import CallError, Gpu, Nvml, Pci, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.gpus import which
from gpucheck.rules.scope import count

GONE = frozenset({15, 16})  # GPU_IS_LOST, RESET_REQUIRED


def judge(system: System, nvml: Nvml, pci: Pci | None) -> Outcome:
    if nvml.error:
        return skip("NVML does not answer")
    gone = [(gpu, error) for gpu in nvml.gpus if (error := _gone(gpu))]
    if gone:
        error, lost = gone[0][1], [gpu for gpu, _ in gone]
        verb = "does" if len(lost) == 1 else "do"
        return bad(
            f"{which(lost, nvml.gpus)} {verb} not answer: {error.call} gives {error.code} ({error.name}); "
            f"{count(len(nvml.gpus) - len(lost), 'other')} answered",
            affects=tuple(gpu.pci_address or f"GPU {gpu.index}" for gpu in lost),
        )
    if error := next((error for error in nvml.errors if error.call == "nvmlDeviceGetCount"), None):
        return unsure(f"NVML cannot count the GPUs: {error.call} gives {error.code} ({error.name})")
    if not nvml.gpus:
        return bad("NVML answers, but sees no GPU")
    if system.wsl or system.container or pci is None:
        return ok(f"{count(len(nvml.gpus), 'GPU')} given to this system, none lost")
    here = [gpu.address for gpu in pci.gpus if gpu.driver in ("nvidia", None)]
    if len(nvml.gpus) < len(here):
        seen = {gpu.pci_address for gpu in nvml.gpus}
        return bad(
            f"NVML sees {len(nvml.gpus)} of {len(here)} GPUs on the bus",
            affects=tuple(a for a in here if a not in seen),
        )
    return ok(f"{count(len(nvml.gpus), 'GPU')} on the bus, none lost")


def _gone(gpu: Gpu) -> CallError | None:
    return next((e for e in gpu.errors if e.code in GONE or e.call.startswith("nvmlDeviceGetHandle")), None)


RULE = Rule(
    id="nvml.all-gpus",
    title="Every GPU answers",
    judge=judge,
    after=(
        "nvml.answers",
        "kernel_log.power-connected",
        "kernel_log.no-gpu-off-the-bus",
        "kernel_log.no-gsp-failure",
        "kernel_log.adapter-initialises",
    ),
    remedy=Remedy(
        text="look for Xid 79 or 'fallen off the bus' in the kernel log; a cold start brings a GPU back if its power "
        "and seat are good; until then use the others, by CUDA_VISIBLE_DEVICES",
        commands={"": ("sudo dmesg | grep -iE 'nvrm|xid|fallen off' | tail",)},
        impact="reboot",
        verify="gpucheck doctor --only nvml",
    ),
)
