"""ECC and MIG are switched now and take effect at the next reset of the GPU. Until then it is in the old mode."""

from gpucheck.facts import Gpu, Nvml
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip, unsure
from gpucheck.rules.gpus import RESET, names, untold, which
from gpucheck.rules.scope import count


def judge(nvml: Nvml) -> Outcome:
    told = [gpu for gpu in nvml.gpus if gpu.ecc_pending is not None or gpu.mig_pending is not None]
    found = [gpu for gpu in told if _pending(gpu)]
    if found:
        return bad(f"{_pending(found[0])} after the next reset: {which(found, told)}", affects=names(found))
    if reason := untold(nvml.gpus, "nvmlDeviceGetEccMode", "nvmlDeviceGetMigMode"):
        return unsure(reason)
    return ok(f"none on {count(len(told), 'GPU')}") if told else skip("no GPU here has ECC or MIG")


def _pending(gpu: Gpu) -> str | None:
    for mode, now, then in (("ECC", gpu.ecc, gpu.ecc_pending), ("MIG", gpu.mig, gpu.mig_pending)):
        if now is not None and then is not None and now is not then:
            return f"{mode} is {_word(now)} and will be {_word(then)}"
    return None


def _word(on: bool) -> str:
    return "on" if on else "off"


RULE = Rule(
    id="nvml.no-mode-pending",
    title="No change of ECC or MIG waits for a reset",
    judge=judge,
    severity=Severity.NOTE,
    after=("nvml.answers",),
    remedy=Remedy(
        text=f"when its work allows: {RESET}",
        commands={"": ("nvidia-smi -q",)},
        impact="data",
    ),
)
