"""A GPU at full work is held at its power limit: "SW Power Cap: Active". That is how it is built, and worth knowing.

Clocks, and so the time of a step, then depend on the limit, not on the program.
"""

from gpucheck.facts import Nvml
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip, unsure
from gpucheck.rules.gpus import names, untold, which
from gpucheck.rules.scope import count


def judge(nvml: Nvml) -> Outcome:
    told = [gpu for gpu in nvml.gpus if gpu.throttle_reasons is not None]
    found = [gpu for gpu in told if "sw_power_cap" in (gpu.throttle_reasons or ())]
    if found:
        first = found[0]
        draw = "" if first.power_mw is None else f"{first.power_mw // 1000} W"
        limit = "" if first.power_limit_mw is None else f" of {first.power_limit_mw // 1000} W"
        return bad(f"held at the power limit: {which(found, told)}, {draw}{limit}".rstrip(", "), affects=names(found))
    if reason := untold(nvml.gpus, "nvmlDeviceGetCurrentClocks"):
        return unsure(reason)
    return ok(f"none held back on {count(len(told), 'GPU')}") if told else skip("no GPU here tells")


RULE = Rule(
    id="nvml.power-uncapped",
    title="No GPU is at its power limit",
    judge=judge,
    severity=Severity.NOTE,
    after=("nvml.answers",),
    remedy=Remedy(text="nothing to do: a busy GPU is at its limit", commands={"": ("nvidia-smi -q -d POWER",)}),
)
