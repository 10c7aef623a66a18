"""Programs that hold a GPU's memory leave less for the next: "CUDA out of memory", RESOURCE_EXHAUSTED.

A notebook that was left open holds what it took; TensorFlow and JAX take nearly all of it at once.
"""

from gpucheck.facts import Gpu, GpuProcess, Nvml
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip, unsure
from gpucheck.rules.gpus import names, untold, which
from gpucheck.rules.scope import count

GIB = 2**30
MOST_NAMED = 8


def judge(nvml: Nvml) -> Outcome:
    told = [gpu for gpu in nvml.gpus if gpu.processes is not None]
    found = [gpu for gpu in told if _computing(gpu)]
    if found:
        first = max(found, key=lambda gpu: gpu.memory_used_bytes or 0)
        holders = sorted(_computing(first), key=lambda process: -(process.used_bytes or 0))
        pids = list(dict.fromkeys(str(process.pid) for process in holders))[:MOST_NAMED]
        used, total = first.memory_used_bytes, first.memory_total_bytes
        held = "" if used is None or not total else f" {used / GIB:.1f} of {total / GIB:.1f} GiB"
        return bad(
            f"{count(len(holders), 'process', 'es')} on {which(found, told)}; GPU {first.index}:{held}, "
            f"pid {', '.join(pids)}",
            affects=names(found),
            remedy=Remedy(
                text="if they are not meant to run, end them by their pid",
                commands={"": (f"ps -o pid,user,lstart,args -p {','.join(pids)}",)},
                impact="data",
            ),
        )
    if reason := untold(nvml.gpus, "nvmlDeviceGetComputeRunning", "nvmlDeviceGetGraphicsRunning"):
        return unsure(reason)
    return ok(f"no process computes on {count(len(told), 'GPU')}") if told else skip("no GPU here lists processes")


def _computing(gpu: Gpu) -> list[GpuProcess]:
    return [process for process in gpu.processes or () if process.kind == "compute"]


RULE = Rule(
    id="nvml.memory-unused",
    title="No program holds GPU memory",
    judge=judge,
    severity=Severity.NOTE,
    after=("nvml.answers",),
)
