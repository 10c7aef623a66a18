"""Hardware that is too hot, or short of power, halves a GPU's clocks or worse: "HW Slowdown: Active" in nvidia-smi -q.

Training goes on, several times slower. The power cap of every GPU is no fault; that is a rule of its own.
"""

from gpucheck.facts import Gpu, Nvml
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip, unsure
from gpucheck.rules.gpus import names, untold, which
from gpucheck.rules.scope import count

CAUSES = {  # the most telling first: hw_slowdown is set together with either of the two
    "hw_thermal_slowdown": "it is too hot",
    "hw_power_brake_slowdown": "its power supply called the brake",
    "sw_thermal_slowdown": "it is too hot",
    "hw_slowdown": "it is too hot, or short of power",
}


def judge(nvml: Nvml) -> Outcome:
    told = [gpu for gpu in nvml.gpus if gpu.throttle_reasons is not None]
    found = [gpu for gpu in told if _cause(gpu)]
    if found:
        first = found[0]
        cause = _cause(first) or ""
        at = f"{first.temperature_c} C, " if first.temperature_c is not None else ""
        clock = f"{first.sm_mhz} of {first.sm_max_mhz} MHz" if first.sm_max_mhz else "clocks unknown"
        return bad(f"{cause} ({CAUSES[cause]}): {which(found, told)}, {at}{clock}", affects=names(found))
    if reason := untold(nvml.gpus, "nvmlDeviceGetCurrentClocks"):
        return unsure(reason)
    return ok(f"no slowdown on {count(len(told), 'GPU')}") if told else skip("no GPU here tells why its clocks are low")


def _cause(gpu: Gpu) -> str | None:
    return next((cause for cause in CAUSES if cause in (gpu.throttle_reasons or ())), None)


RULE = Rule(
    id="nvml.not-slowed",
    title="No GPU is slowed down by heat or power",
    judge=judge,
    severity=Severity.WARNING,
    after=("nvml.answers",),
    remedy=Remedy(
        text="heat: fans, dust, airflow, the room. Power: the GPU's cables, the supply's limit, a laptop on battery",
        commands={"": ("nvidia-smi -q -d PERFORMANCE,TEMPERATURE,POWER",)},
    ),
)
