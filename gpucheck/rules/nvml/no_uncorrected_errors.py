"""An uncorrected ECC error is lost data: the program that held it ended with "uncorrectable ECC error" (Xid 48).

Counted since the driver was loaded. What a GPU had in the years before is history, and no fault of today's.
"""

from gpucheck.facts import Nvml
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.gpus import RESET, names, untold, which
from gpucheck.rules.scope import count


def judge(nvml: Nvml) -> Outcome:
    errors = {gpu.index: gpu.ecc_volatile_uncorrected or 0 for gpu in nvml.gpus}
    told = [gpu for gpu in nvml.gpus if gpu.ecc_volatile_uncorrected is not None]
    found = [gpu for gpu in told if errors[gpu.index]]
    if found:
        worst = max(errors.values())
        return bad(
            f"{count(worst, 'uncorrected memory error')} since the driver was loaded on {which(found, told)}; "
            "what ran there then is not to be trusted",
            affects=names(found),
        )
    if reason := untold(nvml.gpus, "nvmlDeviceGetTotalEccErrors"):
        return unsure(reason)
    if not told:
        return skip("no GPU here counts memory errors (no ECC, or it is off)")
    life = sum(gpu.ecc_aggregate_uncorrected or 0 for gpu in told)
    before = f"; {life} in their lifetime" if life else ""
    return ok(f"none since the driver was loaded on {count(len(told), 'GPU')}{before}")


RULE = Rule(
    id="nvml.no-uncorrected-errors",
    title="GPU memory has had no uncorrected error",
    judge=judge,
    after=(
        "nvml.answers",
        "nvml.memory-repairable",
        "nvml.no-recovery-needed",
        "nvml.no-page-retirement-pending",
        "nvml.no-row-remap-pending",
    ),
    remedy=Remedy(
        text=f"repeat what ran at that time; if errors come again, replace the GPU. To count anew: {RESET}",
        commands={"": ("nvidia-smi -q -d ECC",)},
        impact="data",
        url="https://docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt/index.html",
    ),
)
