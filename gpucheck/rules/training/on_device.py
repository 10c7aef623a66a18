"""The placement log is of a probe; the training after it is another process, and XLA hides its ops from any log.

What it held on the GPU tells whether it was there: a process that lost the GPU in between trains on the CPU, silently.
"""

from gpucheck.facts import Run, Training
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure

WEIGHTS = 122_570 * 4  # bytes of the CNN's parameters in float32: on the device, or it did not train there


def judge(run: Run, training: Training) -> Outcome:
    peaks = training.gpu_memory_peak_bytes
    if run.device != "gpu":
        return skip("the CPU was asked for, whose memory nobody counts")
    if peaks is None:
        return unsure("the allocator does not tell what the training held on the GPU")
    if not peaks:
        return bad("the training saw no GPU")
    if max(peaks) < WEIGHTS:
        return bad(f"the training held at most {max(peaks)} bytes on a GPU; its weights alone are {WEIGHTS}")
    return ok(f"the training held up to {max(peaks) / 2**20:.0f} MiB on a GPU (its weights are {WEIGHTS / 2**20:.1f})")


RULE = Rule(
    id="training.on-device",
    title="The training itself held its tensors on the GPU",
    after=("placement.heavy-ops-on-device",),
    judge=judge,
    remedy=Remedy(
        text="if the probe ran on the GPU and the training did not, the GPU went away in between: other users of it, "
        "exclusive compute mode, memory; `gpucheck verify --keep DIR` keeps what TensorFlow said, in DIR/train.err",
        impact="none",
        verify="gpucheck verify",
    ),
)
