"""CUDA_VISIBLE_DEVICES hides GPUs from CUDA, not from nvidia-smi: empty, -1 or an unknown first entry hides all.

Nothing says so: frameworks just use the CPU. An entry is an index, or the beginning of a GPU's or MIG instance's UUID;
the UUIDs of another machine, in a job script that moved, are unknown ones here.
"""

import re

from gpucheck.facts import Nvml, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, unsure
from gpucheck.rules.scope import count


def judge(system: System, nvml: Nvml | None) -> Outcome:
    value = system.environment.get("CUDA_VISIBLE_DEVICES")
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
    if re.fullmatch(r"[0-9]{1,9}", entry):
        return int(entry) < len(gpus) if gpus else None
    uuids = [uuid for gpu in gpus for uuid in (gpu.uuid, *(mig.uuid for mig in gpu.mig_devices)) if uuid]
    if not entry.startswith(("GPU-", "MIG-")):
        return False
    return any(uuid.startswith(entry) for uuid in uuids) if uuids else None


RULE = Rule(
    id="system.gpus-not-hidden",
    title="No environment variable hides the GPUs",
    judge=judge,
    after=("pci.gpu-present", "system.container-given-gpus"),
    remedy=Remedy(
        text="unset it in this shell and where it comes from (shell profile, job script, image)",
        commands={"": ("unset CUDA_VISIBLE_DEVICES",)},
        verify="gpucheck doctor --only system",
    ),
)
