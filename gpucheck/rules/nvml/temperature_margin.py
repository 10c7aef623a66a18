"""A GPU slows itself down at a temperature of its own, and turns itself off some degrees above.

Close to it at work, it is one warm day away.
"""

from gpucheck.facts import Gpu, Nvml
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip, unsure
from gpucheck.rules.gpus import names, untold, which
from gpucheck.rules.scope import count

LEAST = 3  # degrees


def judge(nvml: Nvml) -> Outcome:
    margins = {gpu.index: margin for gpu in nvml.gpus if (margin := _margin(gpu)) is not None}
    told = [gpu for gpu in nvml.gpus if gpu.index in margins]
    found = [gpu for gpu in told if margins[gpu.index] <= LEAST]
    if found:
        first = min(found, key=lambda gpu: margins[gpu.index])
        return bad(
            f"{margins[first.index]} C below its slowdown, more than {LEAST} are healthy: {which(found, told)}",
            affects=names(found),
        )
    if reason := untold(nvml.gpus, "nvmlDeviceGetTemperature", "nvmlDeviceGetMarginTemperature"):
        return unsure(reason)
    if not told:
        return skip("no GPU here tells its temperature and its limit")
    return ok(f"{min(margins.values())} C or more below slowdown on {count(len(told), 'GPU')}")


def _margin(gpu: Gpu) -> int | None:
    """As the GPU says; else by its limit. 0 is no temperature limit of any GPU."""
    if gpu.margin_c is not None:
        return gpu.margin_c
    return gpu.slowdown_c - gpu.temperature_c if gpu.slowdown_c and gpu.temperature_c is not None else None


RULE = Rule(
    id="nvml.temperature-margin",
    title="Every GPU is cool enough",
    judge=judge,
    severity=Severity.WARNING,
    after=("nvml.answers", "nvml.not-slowed"),
    remedy=Remedy(
        text="fans, dust, airflow, the room; a lower power limit (`sudo nvidia-smi -pl WATTS`) helps at once",
        commands={"": ("nvidia-smi -q -d TEMPERATURE,POWER",)},
    ),
)
