"""After some faults a GPU refuses work, or has less capacity, until it is reset: the driver says what it needs.

It is "GPU Recovery Action" of nvidia-smi -q, from driver 570 on, and Xid 154 in the kernel log when it changes.
"""

from gpucheck.facts import Nvml
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.gpus import RESET, names, untold, which
from gpucheck.rules.scope import count

REBOOT = Remedy(
    text="restart the machine when its work allows: the driver says that a reset of the GPU is not enough",
    commands={"": ("nvidia-smi -q",)},
    impact="reboot",
)


def judge(nvml: Nvml) -> Outcome:
    told = [gpu for gpu in nvml.gpus if gpu.recovery_action is not None]
    found = [gpu for gpu in told if gpu.recovery_action != "none"]
    if found:
        action = found[0].recovery_action or ""
        why = ", for a row remapping that is pending" if found[0].remap_pending else ""
        return bad(
            f"the driver asks for '{action}'{why}: {which(found, told)}",
            affects=names(found),
            remedy=REBOOT if action.endswith("reboot") else None,
        )
    if reason := untold(nvml.gpus, "nvmlDeviceGetFieldValues", "NVML_FI_DEV_GET_GPU_RECOVERY_ACTION"):
        return unsure(reason)
    return ok(f"nothing asked for {count(len(told), 'GPU')}") if told else skip("this driver does not tell; 570 does")


RULE = Rule(
    id="nvml.no-recovery-needed",
    title="No GPU waits for a reset",
    judge=judge,
    after=("nvml.answers", "kernel_log.no-hardware-xid", "kernel_log.no-recovery-asked", "nvml.memory-repairable"),
    remedy=Remedy(text=RESET, commands={"": ("nvidia-smi -q",)}, impact="data"),
)
