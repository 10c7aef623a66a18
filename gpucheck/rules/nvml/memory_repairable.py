"""A GPU repairs its memory with spare rows, or leaves bad pages out, until it cannot: then it is to be replaced.

nvidia-smi says "Remapping Failure Occurred: Yes", or "SRAM Threshold Exceeded: Yes"; the kernel log has Xid 64. Older
GPUs keep a list of 64 retired pages. Work on such a GPU ends with uncorrectable errors sooner or later.
"""

from gpucheck.facts import Nvml
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.gpus import names, untold, which
from gpucheck.rules.scope import count

MOST_RETIRED = 63  # DCGM_LIMIT_MAX_RETIRED_PAGES, github.com/NVIDIA/DCGM


def judge(nvml: Nvml) -> Outcome:
    retired = {gpu.index: (gpu.retired_single_bit or 0) + (gpu.retired_double_bit or 0) for gpu in nvml.gpus}
    signs = {
        "a row remapping has failed": [gpu for gpu in nvml.gpus if gpu.remap_failed],
        "too many errors in one place of the caches": [gpu for gpu in nvml.gpus if gpu.sram_threshold_exceeded],
        f"{MOST_RETIRED} or more pages are retired": [g for g in nvml.gpus if retired[g.index] >= MOST_RETIRED],
    }
    told = [gpu for gpu in nvml.gpus if (gpu.remap_failed, gpu.retired_double_bit) != (None, None)]
    for sign, found in signs.items():
        if found:
            return bad(f"{sign}: {which(found, told)}", affects=names(found))
    if reason := untold(nvml.gpus, "nvmlDeviceGetRemappedRows", "nvmlDeviceGetRetiredPages", "nvmlDeviceGetSramEcc"):
        return unsure(reason)
    if not told:
        return skip("no GPU here tells of repairs to its memory")
    most = max(retired.values())
    return ok(f"no repair has failed on {count(len(told), 'GPU')}" + (f"; {most} pages retired at most" * bool(most)))


RULE = Rule(
    id="nvml.memory-repairable",
    title="Every GPU can still repair its memory",
    judge=judge,
    after=("nvml.answers",),
    remedy=Remedy(
        text="take this GPU out of use (CUDA_VISIBLE_DEVICES) and ask its vendor for another: NVIDIA's field "
        "diagnostic decides; on a cloud machine, stop it and start another",
        commands={"": ("nvidia-smi -q -d ECC,ROW_REMAPPER,PAGE_RETIREMENT",)},
        url="https://docs.nvidia.com/deploy/a100-gpu-mem-error-mgmt/rma-policy-thresholds-for-row-remapping.html",
    ),
)
