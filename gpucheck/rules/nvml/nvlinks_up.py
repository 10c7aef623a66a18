"""On machines with NVSwitch every NVLink of a GPU is up. One that is down slows or stops work on several GPUs.

NCCL then says "unhandled system error", or hangs; the kernel log has Xid 74. GPUs that are bridged in pairs, or not at
all, have links that are down by design, and are not judged.
"""

from gpucheck.facts import Gpu, Nvml, Pci
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.gpus import RESET, names, untold, which


def judge(nvml: Nvml, pci: Pci | None) -> Outcome:
    fabric = bool(pci and pci.nvswitches) or any(gpu.fabric_state == "completed" for gpu in nvml.gpus)
    if not fabric:
        return skip("no NVSwitch here: which links a bridge joins is not known")
    told = [gpu for gpu in nvml.gpus if gpu.nvlinks]
    up = {gpu.index: sum(link.active for link in gpu.nvlinks) for gpu in told}
    linked = {gpu.name for gpu in told if up[gpu.index]}

    def broken(gpu: Gpu) -> bool:
        """All down is a partition of one GPU's own, or MIG; unless its like are linked."""
        return up[gpu.index] < len(gpu.nvlinks) if up[gpu.index] else gpu.name in linked and not gpu.mig

    found = [gpu for gpu in told if broken(gpu)]
    if found:
        first = found[0]
        down = ", ".join(str(link.link) for link in first.nvlinks if not link.active)
        return bad(
            f"{up[first.index]} of {len(first.nvlinks)} NVLinks are up (down: {down}) on {which(found, told)}",
            affects=names(found),
        )
    if reason := untold(nvml.gpus, "nvmlDeviceGetNvLinkState"):
        return unsure(reason)
    if not linked:
        return skip("no NVLink is in use here")
    return ok(f"{sum(up.values())} NVLinks up, none down")


RULE = Rule(
    id="nvml.nvlinks-up",
    title="Every NVLink is up",
    judge=judge,
    after=("nvml.answers", "nvml.all-gpus", "nvml.no-recovery-needed", "nvml.fabric-ready"),
    remedy=Remedy(
        text=f"{RESET}. A link that stays down is the board's or the switch's: ask the vendor. NCCL_P2P_DISABLE=1 "
        "works around it, slowly",
        commands={"": ("nvidia-smi nvlink --status", "nvidia-smi topo -m")},
        impact="data",
    ),
)
