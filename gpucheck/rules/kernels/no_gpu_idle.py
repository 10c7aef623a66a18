"""A command that sees several GPUs and uses one pays for the others. Each GPU's share of the kernels is shown."""

from gpucheck.facts import Kernels, Run
from gpucheck.model import Outcome, Rule, Severity, bad, ok, skip
from gpucheck.rules.scope import count


def judge(run: Run, kernels: Kernels) -> Outcome:
    seen = {d for process in run.processes for d in process.devices_seen} | set(run.devices_seen)
    gpus = sorted(d for d in seen if d.startswith("GPU:"))
    if run.command is None:
        gpus = gpus[: run.devices_asked]
    if run.device != "gpu" or len(gpus) < 2:
        return skip(f"{count(len(gpus), 'GPU')} to be used")
    seconds = {device.device: device.seconds for device in kernels.devices if device.kernels}
    whole = sum(seconds.values()) or 1.0
    shares = ", ".join(f"{gpu} {seconds.get(gpu, 0) / whole:.0%}" for gpu in gpus)
    idle = tuple(gpu for gpu in gpus if gpu not in seconds)
    if kernels.blind or not kernels.devices:
        return skip("the profiler saw no kernel on any GPU")
    if idle:
        return bad(f"{', '.join(idle)} ran no kernel ({shares})", affects=idle)
    return ok(f"each GPU's share of the kernels' time: {shares}")


RULE = Rule(
    id="kernels.no-gpu-idle",
    title="No GPU stood idle",
    severity=Severity.WARNING,
    after=("kernels.on-device",),
    judge=judge,
)
