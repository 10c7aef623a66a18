"""A GPU older than Ampere leaves a bad page of its memory out only when its driver is loaded anew.

Until then the page can be given to a program, which then ends with "uncorrectable ECC error encountered" (Xid 48).
nvidia-smi says "Pending Page Blacklist: Yes".
"""

from gpucheck.facts import Nvml
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.gpus import RESET, names, untold, which
from gpucheck.rules.scope import count


def judge(nvml: Nvml) -> Outcome:
    told = [gpu for gpu in nvml.gpus if gpu.retire_pending is not None]
    found = [gpu for gpu in told if gpu.retire_pending]
    if found:
        pages = (found[0].retired_single_bit or 0) + (found[0].retired_double_bit or 0)
        return bad(
            f"a bad page is still in use on {which(found, told)}, {pages} retired in all; 0 may wait for a reset",
            affects=names(found),
        )
    if reason := untold(nvml.gpus, "nvmlDeviceGetRetiredPagesPendingStatus"):
        return unsure(reason)
    return ok(f"none waits on {count(len(told), 'GPU')}") if told else skip("no GPU here retires pages")


RULE = Rule(
    id="nvml.no-page-retirement-pending",
    title="No bad page of GPU memory is still in use",
    judge=judge,
    after=("nvml.answers", "nvml.memory-repairable", "nvml.no-recovery-needed"),
    remedy=Remedy(
        text=RESET,
        commands={"": ("nvidia-smi -q -d PAGE_RETIREMENT,ECC",)},
        impact="data",
        url="https://docs.nvidia.com/deploy/dynamic-page-retirement/index.html",
    ),
)
