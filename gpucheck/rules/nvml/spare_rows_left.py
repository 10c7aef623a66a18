"""Each bank of a GPU's memory has a few spare rows. A bank that has used them all fails at its next bad row.

nvidia-smi -q shows it as "Bank Remap Availability Histogram": banks under "None" have no spare row left.
"""

from gpucheck.facts import Nvml
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip, unsure
from gpucheck.rules.gpus import names, untold, which
from gpucheck.rules.scope import count

LOW, NONE = 3, 4  # places in Gpu.remap_banks


def judge(nvml: Nvml) -> Outcome:
    banks = {gpu.index: gpu.remap_banks for gpu in nvml.gpus if gpu.remap_banks is not None}
    told = [gpu for gpu in nvml.gpus if gpu.index in banks]
    found = [gpu for gpu in told if banks[gpu.index][NONE]]
    if found:
        worst = max(banks[gpu.index][NONE] for gpu in found)
        return bad(f"{count(worst, 'memory bank')} without a spare row on {which(found, told)}", affects=names(found))
    if reason := untold(nvml.gpus, "nvmlDeviceGetRowRemapperHistogram"):
        return unsure(reason)
    if not told:
        return skip("no GPU here tells of spare rows")
    low = sum(histogram[LOW] for histogram in banks.values())
    few = f"; few are left in {count(low, 'bank')}" if low else ""
    return ok(f"every memory bank of {count(len(told), 'GPU')} has spare rows{few}")


RULE = Rule(
    id="nvml.spare-rows-left",
    title="Every bank of GPU memory has spare rows",
    judge=judge,
    severity=Severity.WARNING,
    after=("nvml.answers", "nvml.memory-repairable"),
    remedy=Remedy(
        text="nothing is wrong yet; plan to replace this GPU, and keep long runs off it",
        commands={"": ("nvidia-smi -q -d ROW_REMAPPER",)},
        url="https://docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt/row-remapping.html",
    ),
)
