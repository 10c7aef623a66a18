"""A GPU can be on the bus and lost to the driver: "GPU is lost", Xid 79, "Unable to determine the device handle".

Power, heat, a riser or the card itself; frameworks then count one GPU fewer, and nobody says so. A job of a scheduler
sees its own share alone, and a card too old for the driver is not counted.
"""

from gpucheck.compat import Compat
from gpucheck.facts import CallError, Driver, Gpu, Nvml, Pci, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.gpus import HANDLE, expected, scheduler, which, withheld
from gpucheck.rules.scope import count

GONE = frozenset({15, 16})  # GPU_IS_LOST, RESET_REQUIRED


def judge(system: System, nvml: Nvml, pci: Pci | None, driver: Driver | None, compat: Compat) -> Outcome:
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
    own = [gpu for gpu in nvml.gpus if not withheld(gpu)]
    if not own:
        refused = f"; it refuses this user {count(len(nvml.gpus), 'GPU')}" if nvml.gpus else ""
        return bad(f"NVML answers, but sees no GPU{refused}")
    if len(own) < len(nvml.gpus):
        return skip(f"{len(own)} of {len(nvml.gpus)} GPUs answered; NVML refuses this user the others (NO_PERMISSION)")
    if system.wsl or system.container or pci is None:
        return ok(f"{count(len(own), 'GPU')} given to this system, none lost")
    here = expected(nvml, pci, driver, compat)
    without = tuple(gpu.address for gpu in pci.gpus if gpu.driver is None and gpu.address not in here)
    if len(own) < len(here):
        seen, job = {gpu.pci_address for gpu in own}, scheduler(system)
        if job:
            return skip(f"{len(own)} of {len(here)} GPUs answered; {job} may keep the others from this job")
        return bad(
            f"NVML sees {len(own)} of {len(here)} GPUs on the bus", affects=tuple(a for a in here if a not in seen)
        )
    odd = f"; {', '.join(without)} has no driver, and this one is not known to drive it" if without else ""
    return ok(f"{count(len(own), 'GPU')} on the bus, none lost{odd}")


def _gone(gpu: Gpu) -> CallError | None:
    return next((e for e in gpu.errors if e.code in GONE or (e.call.startswith(HANDLE) and not withheld(gpu))), None)


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
