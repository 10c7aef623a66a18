"""A GPU that uses fewer lanes than it and its slot have copies data at a fraction of the speed: a loose card, a riser.

What the card alone could do says nothing: many are wired to half of their lanes, as in a laptop. The slot tells.
"""

from gpucheck.facts import Gpu, Nvml, Pcie
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip, unsure
from gpucheck.rules.gpus import names, untold, which
from gpucheck.rules.scope import count

ASKED = "nvmlDeviceGetPciInfo", "nvmlDeviceGetCurrPcieLinkWidth", "nvmlDeviceGetMaxPcieLinkWidth"
PORTABLE = ("Laptop", "Mobile", "Max-Q")
PORTABLE_WIDTH = 8  # what laptops wire, also behind a port that has sixteen


def judge(nvml: Nvml, pcie: Pcie) -> Outcome:
    slots = {slot.gpu: slot.width_max for slot in pcie.slots if slot.width_max and not slot.virtual}
    needed = {gpu.index: _needed(gpu, slots[gpu.pci_address or ""]) for gpu in nvml.gpus if gpu.pci_address in slots}
    told = [gpu for gpu in nvml.gpus if gpu.pcie_width and gpu.pcie_width_max and gpu.index in needed]
    found = [gpu for gpu in told if (gpu.pcie_width or 0) < needed[gpu.index]]
    if found:
        first = found[0]
        return bad(
            f"PCIe x{first.pcie_width} where card and slot have x{needed[first.index]}: {which(found, told)}",
            affects=names(found),
        )
    if reason := untold(nvml.gpus, *ASKED):
        return unsure(reason)
    if not told:
        return skip("no slot of a GPU can be seen here, as in most virtual machines")
    widths = ", ".join(f"x{width}" for width in sorted({gpu.pcie_width or 0 for gpu in told}))
    return ok(f"PCIe {widths}, all that card and slot have, on {count(len(told), 'GPU')}")


def _needed(gpu: Gpu, slot: int) -> int:
    portable = any(word in (gpu.name or "") for word in PORTABLE)
    return min(gpu.pcie_width_max or slot, slot, PORTABLE_WIDTH if portable else slot)


RULE = Rule(
    id="pcie.full-width",
    title="Every GPU uses all the PCIe lanes it could",
    judge=judge,
    severity=Severity.WARNING,
    after=("nvml.answers",),
    remedy=Remedy(
        text="seat the card again, try it without a riser or in another slot; some boards share lanes between slots, "
        "their manual says which",
        commands={
            "": (
                "nvidia-smi --query-gpu=index,pci.bus_id,pcie.link.width.current,pcie.link.width.max --format=csv",
                "sudo lspci -vv | grep -E 'NVIDIA|LnkSta:'",
            )
        },
    ),
)
