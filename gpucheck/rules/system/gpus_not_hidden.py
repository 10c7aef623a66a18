"""CUDA_VISIBLE_DEVICES hides GPUs from CUDA, not from nvidia-smi: empty, -1 or an unknown first entry hides all.

In a container NVIDIA_VISIBLE_DEVICES=none or void does it earlier, but CDI sets void too, and gives GPUs. Nothing says
so: frameworks just use the CPU.
"""

import re

from gpucheck.facts import Driver, Nvml, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, unsure
from gpucheck.rules.scope import START_WITH_GPUS, count

NONE = ("", "none", "void")


def judge(system: System, driver: Driver | None, nvml: Nvml | None) -> Outcome:
    given = system.environment.get("NVIDIA_VISIBLE_DEVICES")
    value = system.environment.get("CUDA_VISIBLE_DEVICES")
    nodes = [node for node in driver.devices if re.fullmatch(r"/dev/nvidia\d+", node.path)] if driver else None
    if system.container and given in NONE and not nodes and not (nvml and nvml.gpus):
        if nodes is None:
            return unsure(
                f"NVIDIA_VISIBLE_DEVICES is '{given}'; whether this container has GPUs all the same is not known"
            )
        return bad(f"NVIDIA_VISIBLE_DEVICES is '{given}', so this container was given no GPU", remedy=START_WITH_GPUS)
    if value is None:
        return ok("CUDA_VISIBLE_DEVICES is not set")
    entries = [entry.strip() for entry in value.split(",")]
    if _exists(entries[0], nvml) is False:
        return bad(f"CUDA_VISIBLE_DEVICES is '{value}', which hides every GPU")
    if _exists(entries[0], nvml) is None:
        return unsure(f"CUDA_VISIBLE_DEVICES is '{value}'; which GPUs there are is not known")
    shown = next((i for i, entry in enumerate(entries) if not _exists(entry, nvml)), len(entries))
    return ok(f"CUDA_VISIBLE_DEVICES is '{value}': shows {count(shown, 'device')}")


def _exists(entry: str, nvml: Nvml | None) -> bool | None:
    """Whether CUDA would take it: an index, or the start of a GPU's or a MIG instance's UUID. None = not known here."""
    gpus = nvml.gpus if nvml else ()
    if entry.isdigit():
        return int(entry) < len(gpus) if gpus else None
    uuids = [uuid for gpu in gpus for uuid in (gpu.uuid, *(mig.uuid for mig in gpu.mig_devices)) if uuid]
    if not entry.startswith(("GPU-", "MIG-")):
        return False
    return any(uuid.startswith(entry) for uuid in uuids) if uuids else None


RULE = Rule(
    id="system.gpus-not-hidden",
    title="No environment variable hides the GPUs",
    judge=judge,
    after=("pci.gpu-present",),
    remedy=Remedy(
        text="unset it in this shell and where it comes from (shell profile, job script, image)",
        commands={"": ("unset CUDA_VISIBLE_DEVICES",)},
    ),
)
