"""A variable that was left in an image hides every GPU from what runs in it, and frameworks then use the CPU.

CUDA_VISIBLE_DEVICES empty or -1; NVIDIA_VISIBLE_DEVICES=void or none, where the nvidia runtime obeys it.
"""

from gpucheck.facts import Image
from gpucheck.model import Outcome, Remedy, Rule, bad, ok


def judge(image: Image) -> Outcome:
    cuda = image.environment.get("CUDA_VISIBLE_DEVICES")
    nvidia = image.environment.get("NVIDIA_VISIBLE_DEVICES")
    if cuda is not None and cuda.strip() in ("", "-1"):
        return bad(f"the image sets CUDA_VISIBLE_DEVICES={cuda}")
    if nvidia is not None and nvidia.strip() in ("void", "none"):
        return bad(f"the image sets NVIDIA_VISIBLE_DEVICES={nvidia}")
    seen = [f"{n}={v}" for n, v in (("CUDA_VISIBLE_DEVICES", cuda), ("NVIDIA_VISIBLE_DEVICES", nvidia)) if v]
    return ok(f"it sets {' and '.join(seen)}" if seen else "no variable in it hides them")


RULE = Rule(
    id="image.gpus-not-hidden",
    title="The image hides no GPU",
    judge=judge,
    remedy=Remedy(text="start it with the variable of its own: `-e CUDA_VISIBLE_DEVICES=0`, and with `--gpus all`"),
)
