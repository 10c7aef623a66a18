"""A GPU from Ampere on replaces a bad row of its memory at its next reset. Until then it leaves the page out.

nvidia-smi says "Pending: Yes" under Remapped Rows, the kernel log Xid 63. Work goes on, with a little less memory.
"""

from gpucheck.facts import Nvml
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.gpus import RESET, names, untold, which
from gpucheck.rules.scope import count


def judge(nvml: Nvml) -> Outcome:
    told = [gpu for gpu in nvml.gpus if gpu.remap_pending is not None]
    found = [gpu for gpu in told if gpu.remap_pending]
    if found:
        errors = found[0].ecc_volatile_uncorrected or 0
        return bad(
            f"a row remapping waits for a reset on {which(found, told)}; "
            f"{count(errors, 'uncorrected error')} there since the driver was loaded",
            affects=names(found),
        )
    if reason := untold(nvml.gpus, "nvmlDeviceGetRemappedRows"):
        return unsure(reason)
    return ok(f"none waits on {count(len(told), 'GPU')}") if told else skip("no GPU here remaps rows")


RULE = Rule(
    id="nvml.no-row-remap-pending",
    title="No row remapping of GPU memory waits for a reset",
    judge=judge,
    after=("nvml.answers", "nvml.memory-repairable", "nvml.no-recovery-needed"),
    remedy=Remedy(
        text=f"when its work allows: {RESET}",
        commands={"": ("nvidia-smi -q -d ROW_REMAPPER,ECC",)},
        impact="data",
        url="https://docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt/row-remapping.html",
    ),
)
