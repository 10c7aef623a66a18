"""A GPU at work uses the fastest PCIe generation that it and its slot have; an idle one saves power at the first.

So the generation is judged only under load. A slower one then is a riser, a cable, or a setting of the firmware.
"""

from gpucheck.facts import Gpu, Nvml, Pcie
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip, unsure
from gpucheck.rules.gpus import names, untold, which
from gpucheck.rules.scope import count

BUSY = 50  # percent
ASKED = (
    "nvmlDeviceGetPciInfo", "nvmlDeviceGetCurrPcieLinkGeneration", "nvmlDeviceGetMaxPcieLinkGeneration",
    "nvmlDeviceGetUtilizationRates", "nvmlDeviceGetPerformanceState",
)  # fmt: skip


def judge(nvml: Nvml, pcie: Pcie) -> Outcome:
    slots = {slot.gpu: slot.gen_max for slot in pcie.slots if slot.gen_max and not slot.virtual}
    seen = [gpu for gpu in nvml.gpus if gpu.pcie_gen and gpu.pcie_gen_max and gpu.pci_address in slots]
    needed = {gpu.index: min(gpu.pcie_gen_max or 0, slots[gpu.pci_address or ""] or 0) for gpu in seen}
    told = [gpu for gpu in seen if _works(gpu)]
    found = [gpu for gpu in told if (gpu.pcie_gen or 0) < needed[gpu.index]]
    if found:
        first = found[0]
        return bad(
            f"PCIe generation {first.pcie_gen} at work where card and slot have {needed[first.index]}: "
            f"{which(found, told)}",
            affects=names(found),
        )
    if reason := untold(nvml.gpus, *ASKED):
        return unsure(reason)
    if not seen:
        return skip("no slot of a GPU can be seen here, as in most virtual machines")
    if not told:
        return skip("no GPU is at work: an idle link is slow by design")
    return ok(f"PCIe generation {max(needed.values())} on {count(len(told), 'GPU')} at work")


def _works(gpu: Gpu) -> bool:
    """Busy, or in its fastest state with clocks to show for it: servers' GPUs idle in that state too."""
    fast = gpu.pstate == 0 and (gpu.sm_mhz or 0) * 2 > (gpu.sm_max_mhz or 0) > 0
    return fast or (gpu.utilization_percent or 0) >= BUSY


RULE = Rule(
    id="pcie.full-speed",
    title="Every GPU at work uses the fastest PCIe generation it could",
    judge=judge,
    severity=Severity.WARNING,
    after=("nvml.answers",),
    remedy=Remedy(
        text="try without a riser or cable; look for the slot's speed in the firmware's setup (Auto is right)",
        commands={"": ("nvidia-smi --query-gpu=index,pcie.link.gen.current,pcie.link.gen.max --format=csv",)},
    ),
)
