"""gpucheck's images and their locks are for x86_64. On Arm machines with NVIDIA GPUs (GH200, GB200, DGX Spark) doctor
and prove work, build and verify do not: an image for another processor ends with "exec format error".
"""

from gpucheck.facts import System
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, unsure

OURS = ("x86_64", "amd64")


def judge(system: System) -> Outcome:
    if not system.arch:
        return unsure("which processor this is could not be looked at")
    if system.arch not in OURS:
        return bad(f"this is {system.arch}; `gpucheck build` makes images for x86_64")
    return ok(f"this is {system.arch}, as gpucheck's images are")


RULE = Rule(
    id="system.images-for-processor",
    title="The images that gpucheck builds are for this processor",
    severity=Severity.NOTE,
    judge=judge,
    after=("pci.gpu-present",),
    remedy=Remedy(
        text="use NVIDIA's own images, which are made for both processors, and let `gpucheck prove` look at what runs",
        url="https://catalog.ngc.nvidia.com/containers",
    ),
)
