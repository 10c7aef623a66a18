"""NVLinks count what they had to send again, and how often a link was trained anew, since the driver was loaded.

A count says nothing of when. One that grows while work runs is a bad link; an old one is history.
"""

from gpucheck.facts import Gpu, Nvml
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip, unsure
from gpucheck.rules.gpus import names, untold, which


def judge(nvml: Nvml) -> Outcome:
    told = [gpu for gpu in nvml.gpus if any(link.replay_errors is not None for link in gpu.nvlinks)]
    found = [gpu for gpu in told if _worst(gpu)]
    if found:
        link, recoveries, replays = max(map(_worst, found), key=lambda worst: worst[1:] if worst else (0, 0)) or (
            0,
            0,
            0,
        )
        return bad(
            f"link {link} was trained anew {recoveries} times and sent again {replays} times since the driver was "
            f"loaded: {which(found, told)}",
            affects=names(found),
        )
    if reason := untold(nvml.gpus, "nvmlDeviceGetNvLink"):
        return unsure(reason)
    if not told:
        return skip("no NVLink here counts errors")
    return ok(f"0 recoveries, 0 replays on {sum(len(gpu.nvlinks) for gpu in told)} NVLinks")


def _worst(gpu: Gpu) -> tuple[int, int, int] | None:
    """Link, recoveries, replays. Checksum errors alone are mended by a replay."""
    counts = [(link.link, link.recovery_errors or 0, link.replay_errors or 0) for link in gpu.nvlinks]
    return max((count for count in counts if any(count[1:])), key=lambda count: count[1:], default=None)


RULE = Rule(
    id="nvml.nvlinks-clean",
    title="No NVLink has had errors",
    judge=judge,
    severity=Severity.NOTE,
    after=("nvml.answers", "nvml.nvlinks-up"),
    remedy=Remedy(
        text="look again while work runs: if the counts grow, the link is bad",
        commands={"": ("nvidia-smi nvlink --errorcounters",)},
    ),
)
