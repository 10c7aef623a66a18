"""An image is for one processor architecture. On another it does not start, or an emulator runs it without any GPU.

"exec format error"; "The requested image's platform (linux/arm64) does not match the detected host platform".
"""

from gpucheck.facts import Image, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, unsure

GO = {"x86_64": "amd64", "aarch64": "arm64"}  # `uname -m` in the words of images


def judge(image: Image, system: System) -> Outcome:
    here = GO.get(system.arch, system.arch)
    if not image.arch or not here:
        return unsure(f"the image says {image.arch or 'nothing'}, this machine {here or 'nothing'}")
    return ok(f"both are {here}") if image.arch == here else bad(f"the image is {image.arch}, this machine {here}")


RULE = Rule(
    id="image.for-this-architecture",
    title="The image is for this processor",
    judge=judge,
    remedy=Remedy(text="pull it again with `--platform linux/` and this machine's own, or take another image"),
)
