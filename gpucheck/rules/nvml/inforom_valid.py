"""A GPU keeps its history and settings in a small flash, the infoROM: "WARNING: infoROM is corrupted at gpu ...".

The GPU computes as before, but ECC counts, retired pages and its serial number can no longer be trusted.
"""

from gpucheck.facts import Nvml
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip, unsure
from gpucheck.rules.gpus import names, untold, which
from gpucheck.rules.scope import count


def judge(nvml: Nvml) -> Outcome:
    told = [gpu for gpu in nvml.gpus if gpu.inforom_valid is not None]
    found = [gpu for gpu in told if not gpu.inforom_valid]
    if found:
        return bad(f"the infoROM is corrupted on {which(found, told)}", affects=names(found))
    if reason := untold(nvml.gpus, "nvmlDeviceValidateInforom"):
        return unsure(reason)
    return ok(f"checksums fit on {count(len(told), 'GPU')}") if told else skip("no GPU here checks its infoROM")


RULE = Rule(
    id="nvml.inforom-valid",
    title="Every GPU's infoROM is sound",
    judge=judge,
    severity=Severity.WARNING,
    after=("nvml.answers",),
    remedy=Remedy(
        text="ask the GPU's vendor: the infoROM is written anew with their tools, or the card is replaced",
        commands={"": ("nvidia-smi -q",)},
    ),
)
