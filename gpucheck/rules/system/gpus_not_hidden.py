"""CUDA_VISIBLE_DEVICES hides GPUs from CUDA, not from nvidia-smi: empty, -1 or an unknown first entry hides all.

In a container NVIDIA_VISIBLE_DEVICES=none or void does it earlier. Nothing says so: frameworks just use the CPU.
"""

from gpucheck.facts import Nvml, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok
from gpucheck.rules.scope import START_WITH_GPUS, count

NONE = ("", "none", "void")


def judge(system: System, nvml: Nvml | None) -> Outcome:
    given = system.environment.get("NVIDIA_VISIBLE_DEVICES")
    value = system.environment.get("CUDA_VISIBLE_DEVICES")
    if system.container and given in NONE and not (nvml and nvml.gpus):
        return bad(f"NVIDIA_VISIBLE_DEVICES is '{given}', so this container was given no GPU", remedy=START_WITH_GPUS)
    if value is None:
        return ok("CUDA_VISIBLE_DEVICES is not set")
    entries = [entry.strip() for entry in value.split(",")]
    if not _exists(entries[0], nvml):
        return bad(f"CUDA_VISIBLE_DEVICES is '{value}', which hides every GPU")
    shown = next((i for i, entry in enumerate(entries) if not _exists(entry, nvml)), len(entries))
    return ok(f"CUDA_VISIBLE_DEVICES is '{value}': shows {count(shown, 'device')}")


def _exists(entry: str, nvml: Nvml | None) -> bool:
    """Whether CUDA would take it: an index, or the start of a GPU's or a MIG instance's UUID."""
    gpus = nvml.gpus if nvml else ()
    if entry.isdigit():
        return not gpus or int(entry) < len(gpus)
    uuids = [uuid for gpu in gpus for uuid in (gpu.uuid, *(mig.uuid for mig in gpu.mig_devices)) if uuid]
    return entry.startswith(("GPU-", "MIG-")) and (not uuids or any(uuid.startswith(entry) for uuid in uuids))


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
