"""A GPU in MIG mode is used through its instances. Switched on and not divided, it has nothing that CUDA could use.

nvidia-smi shows the GPU; torch.cuda.device_count() is 0 and TensorFlow lists no GPU.
"""

from gpucheck.facts import Nvml
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.scope import count


def judge(nvml: Nvml) -> Outcome:
    for gpu in nvml.gpus:
        error = next((error for error in gpu.errors if "Mig" in error.call), None)
        if error and gpu.mig is not False and not gpu.mig_devices:
            return unsure(f"GPU {gpu.index}: {error.call} gives {error.code} ({error.name}); `nvidia-smi -L` tells")
    divided = [gpu for gpu in nvml.gpus if gpu.mig]
    if not divided:
        return skip("no GPU here is in MIG mode")
    empty = tuple(gpu.uuid or f"GPU {gpu.index}" for gpu in divided if not gpu.mig_devices)
    if empty:
        return bad(f"{len(empty)} of {len(divided)} GPUs in MIG mode have 0 instances", affects=empty)
    return ok(f"{sum(len(gpu.mig_devices) for gpu in divided)} MIG instances on {count(len(divided), 'GPU')}")


RULE = Rule(
    id="nvml.mig-has-instances",
    title="Every GPU in MIG mode has instances",
    judge=judge,
    after=("nvml.answers",),
    remedy=Remedy(
        text="choose a profile from the list and run `sudo nvidia-smi mig -cgi PROFILE -C`, or switch MIG off",
        commands={"": ("nvidia-smi mig -lgip",)},
        impact="none",
        verify="gpucheck doctor --only nvml",
        url="https://docs.nvidia.com/datacenter/tesla/mig-user-guide/index.html",
    ),
)
