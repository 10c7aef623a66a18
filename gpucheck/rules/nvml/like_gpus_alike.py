"""GPUs of one kind with different firmware can differ in clocks, power and faults, which shows as one slow rank."""

from collections import Counter, defaultdict

from gpucheck.facts import Gpu, Nvml
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip, unsure
from gpucheck.rules.gpus import names, untold, which


def judge(nvml: Nvml) -> Outcome:
    kinds: dict[tuple[str | None, str | None], list[Gpu]] = defaultdict(list)
    for gpu in nvml.gpus:
        if gpu.name and gpu.vbios:
            kinds[gpu.name, gpu.board_part].append(gpu)
    several = {kind: gpus for kind, gpus in kinds.items() if len(gpus) > 1}
    for (name, _), gpus in several.items():
        versions = Counter(gpu.vbios for gpu in gpus)
        if len(versions) > 1:
            usual = versions.most_common(1)[0][0]
            odd = [gpu for gpu in gpus if gpu.vbios != usual]
            return bad(
                f"VBIOS {odd[0].vbios} where its like have {usual}: {which(odd, gpus)} ({name})", affects=names(odd)
            )
    if reason := untold(nvml.gpus, "nvmlDeviceGetVbiosVersion", "nvmlDeviceGetName", "nvmlDeviceGetBoardPartNumber"):
        return unsure(reason)
    if not several:
        return skip("no two GPUs here are alike")
    return ok("one VBIOS for each kind: " + ", ".join(sorted({str(gpus[0].vbios) for gpus in several.values()})))


RULE = Rule(
    id="nvml.like-gpus-alike",
    title="GPUs of one kind have the same firmware",
    judge=judge,
    severity=Severity.NOTE,
    after=("nvml.answers",),
    remedy=Remedy(
        text="worth knowing when one GPU is slower than its like; firmware comes from the vendor of the card",
        commands={"": ("nvidia-smi --query-gpu=index,name,vbios_version --format=csv",)},
    ),
)
