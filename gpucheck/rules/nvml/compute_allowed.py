"""A GPU can be set to refuse CUDA: in compute mode "prohibited" nvidia-smi shows it and no program can use it.

CUDA says "all CUDA-capable devices are busy or unavailable" (46). "exclusive" modes admit one process at a time.
"""

from gpucheck.facts import Nvml
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.gpus import untold
from gpucheck.rules.scope import count


def judge(nvml: Nvml) -> Outcome:
    modes = {gpu.uuid or f"GPU {gpu.index}": gpu.compute_mode for gpu in nvml.gpus if gpu.compute_mode}
    if not modes:
        return skip("no GPU here tells its compute mode")
    closed = tuple(gpu for gpu, mode in modes.items() if mode == "prohibited")
    if closed:
        return bad(
            f"compute mode 'prohibited' on {len(closed)} of {len(modes)} GPUs; 'default' is needed", affects=closed
        )
    if reason := untold(nvml.gpus, "nvmlDeviceGetComputeMode"):
        return unsure(reason)
    return ok(
        f"compute mode {', '.join(sorted({mode for mode in modes.values() if mode}))} on {count(len(modes), 'GPU')}"
    )


RULE = Rule(
    id="nvml.compute-allowed",
    title="Every GPU accepts compute work",
    judge=judge,
    after=("nvml.answers",),
    remedy=Remedy(
        text="set it back to default",
        commands={"": ("sudo nvidia-smi --compute-mode=DEFAULT",)},
        verify="gpucheck doctor --only nvml",
    ),
)
