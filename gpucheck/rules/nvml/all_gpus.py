"""A GPU can be on the bus and lost to the driver: "GPU is lost", Xid 79, "Unable to determine the device handle".

Power, heat, a riser or the card itself; frameworks then count one GPU fewer, and nobody says so.
"""

from gpucheck.facts import Nvml, Pci, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.scope import count

GONE = frozenset({15, 16})  # GPU_IS_LOST, RESET_REQUIRED


def judge(system: System, nvml: Nvml, pci: Pci | None) -> Outcome:
    if nvml.error:
        return skip("NVML does not answer")
    for gpu in nvml.gpus:
        error = next((e for e in gpu.errors if e.code in GONE or e.call.startswith("nvmlDeviceGetHandle")), None)
        if error:
            return bad(
                f"GPU {gpu.index} does not answer: {error.call} gives {error.code} ({error.name})",
                affects=(_name(gpu.index, gpu.pci_address),),
            )
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


def _name(index: int, address: str | None) -> str:
    return address or f"GPU {index}"


RULE = Rule(
    id="nvml.all-gpus",
    title="Every GPU answers",
    judge=judge,
    after=("nvml.answers",),
    remedy=Remedy(
        text="look for Xid 79 or 'fallen off the bus' in the kernel log; a cold start brings a GPU back if its power "
        "and seat are good; until then use the others, by CUDA_VISIBLE_DEVICES",
        commands={"": ("sudo dmesg | grep -iE 'nvrm|xid|fallen off' | tail",)},
        impact="none",
    ),
)
