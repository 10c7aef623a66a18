"""In an exclusive compute mode a GPU takes one process at a time, and the next one is refused, not queued.

It gets CUDA error 46, all CUDA-capable devices are busy or unavailable. Through MPS, whose server is that one process,
many share it: so this is worth knowing, and no fault.
"""

from gpucheck.facts import Nvml
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip, unsure
from gpucheck.rules.gpus import names, untold, which
from gpucheck.rules.scope import count


def judge(nvml: Nvml) -> Outcome:
    if reason := untold(nvml.gpus, "nvmlDeviceGetComputeMode"):
        return unsure(reason)
    exclusive = [gpu for gpu in nvml.gpus if (gpu.compute_mode or "").startswith("exclusive")]
    if not exclusive:
        return skip("no GPU here is in an exclusive compute mode")
    taken = [gpu for gpu in exclusive if any(process.kind == "compute" for process in gpu.processes or ())]
    if taken:
        return bad(f"{which(taken, exclusive)} has its one process; another gets error 46", affects=names(taken))
    if untellable := [gpu for gpu in exclusive if gpu.processes is None]:
        return unsure(
            untold(untellable, "nvmlDeviceGetCompute") or f"{which(untellable, exclusive)} lists no processes"
        )
    return ok(f"no process on {count(len(exclusive), 'GPU')}")


RULE = Rule(
    id="nvml.exclusive-free",
    title="No GPU that takes one process at a time has one",
    judge=judge,
    severity=Severity.NOTE,
    after=("nvml.answers", "nvml.compute-allowed"),
    remedy=Remedy(
        text="share it through MPS (nvidia-cuda-mps-control), wait for the process, or set the mode back",
        commands={
            "": (
                "nvidia-smi --query-compute-apps=gpu_uuid,pid,name --format=csv",
                "sudo nvidia-smi --compute-mode=DEFAULT",
            )
        },
        verify="gpucheck doctor --only nvml",
        url="https://docs.nvidia.com/deploy/mps/index.html",
    ),
)
