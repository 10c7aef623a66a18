"""With confidential computing on, GPUs take no work until somebody has checked them and set them ready.

nvidia-smi shows them, and CUDA says "system not yet initialized".
"""

from gpucheck.facts import Nvml
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.scope import count


def judge(nvml: Nvml) -> Outcome:
    error = next((error for error in nvml.errors if "ConfCompute" in error.call), None)
    if error:
        return unsure(f"{error.call} gives {error.code} ({error.name})")
    if not nvml.confidential_computing:
        return skip("confidential computing is not on")
    if nvml.confidential_ready is None:
        return unsure("confidential computing is on; whether its GPUs are ready, this driver does not tell")
    if not nvml.confidential_ready:
        return bad(f"confidential computing is on, and {count(len(nvml.gpus), 'GPU')} not set ready for work")
    return ok(f"{count(len(nvml.gpus), 'GPU')} ready for confidential work")


RULE = Rule(
    id="nvml.confidential-ready",
    title="GPUs in confidential computing accept work",
    judge=judge,
    after=("nvml.answers",),
    remedy=Remedy(
        text="attest the GPUs first (NVIDIA's nvtrust), then set them ready",
        commands={"": ("sudo nvidia-smi conf-compute -srs 1",)},
        precondition="the GPUs were attested",
        url="https://docs.nvidia.com/confidential-computing/index.html",
    ),
)
