"""A power limit below the GPU's default makes it slower at full work. Somebody set it, or the machine gives no more."""

from gpucheck.facts import Nvml
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip, unsure
from gpucheck.rules.gpus import names, untold, which
from gpucheck.rules.scope import count


def judge(nvml: Nvml) -> Outcome:
    limits = {
        g.index: (g.power_limit_mw, g.power_default_mw) for g in nvml.gpus if g.power_limit_mw and g.power_default_mw
    }
    told = [gpu for gpu in nvml.gpus if gpu.index in limits]
    found = [gpu for gpu in told if (gpu.power_limit_mw or 0) < (gpu.power_default_mw or 0)]
    if found:
        limit, default = (milliwatts // 1000 for milliwatts in limits[found[0].index])
        return bad(f"limit {limit} W, default {default} W: {which(found, told)}", affects=names(found))
    if reason := untold(nvml.gpus, "nvmlDeviceGetEnforcedPowerLimit", "nvmlDeviceGetPowerManagementDefaultLimit"):
        return unsure(reason)
    return ok(f"default or above on {count(len(told), 'GPU')}") if told else skip("no GPU here has a limit to set")


RULE = Rule(
    id="nvml.power-limit-default",
    title="No GPU has a lowered power limit",
    judge=judge,
    severity=Severity.NOTE,
    after=("nvml.answers",),
    remedy=Remedy(
        text="if it was not meant: `sudo nvidia-smi -pl WATTS` sets it until the driver is loaded anew",
        commands={"": ("nvidia-smi -q -d POWER",)},
    ),
)
