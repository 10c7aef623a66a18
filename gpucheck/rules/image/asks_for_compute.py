"""An image can ask for less of the driver than CUDA needs: the toolkit gives it what NVIDIA_DRIVER_CAPABILITIES names.

Without "compute" there is no libcuda in the container, without "utility" no NVML and no nvidia-smi.
"""

from gpucheck.facts import Image
from gpucheck.model import Outcome, Remedy, Rule, bad, ok

# Of an image that does not say: NVIDIA/nvidia-container-toolkit, docs "Driver Capabilities" (default utility,compute).
NEEDED = ("compute", "utility")


def judge(image: Image) -> Outcome:
    asked = image.environment.get("NVIDIA_DRIVER_CAPABILITIES", "").strip()
    names = [name.strip() for name in asked.split(",")]
    if not asked:
        return ok("it does not say, so it gets compute and utility")
    missing = [] if "all" in names else [name for name in NEEDED if name not in names]
    if missing:
        return bad(f"NVIDIA_DRIVER_CAPABILITIES={asked} leaves out {' and '.join(missing)}")
    return ok(f"it asks for {asked}")


RULE = Rule(
    id="image.asks-for-compute",
    title="The image asks for what CUDA needs of the driver",
    judge=judge,
    remedy=Remedy(
        text="start it with `-e NVIDIA_DRIVER_CAPABILITIES=compute,utility`",
        url="https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html",
    ),
)
