"""NVIDIA_DRIVER_CAPABILITIES says which of the driver's libraries a container gets: CUDA's are of `compute`.

NVML and nvidia-smi are of `utility`. With "graphics" or "video" alone the GPU is there and libcuda.so.1 is not:
TensorFlow says "Could not find cuda drivers on your machine". With CDI the variable has no effect.
"""

from gpucheck.facts import Driver, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip

NEEDED = {"compute": "libcuda", "utility": "libnvidia-ml"}


def judge(system: System, driver: Driver) -> Outcome:
    value = system.environment.get("NVIDIA_DRIVER_CAPABILITIES")
    if system.container is None:
        return skip("this is no container")
    if not value:
        return ok("NVIDIA_DRIVER_CAPABILITIES is not set, which stands for compute,utility")
    asked = {name.strip() for name in value.split(",")}
    there = " ".join(library.path for library in driver.libraries)
    lacking = [name for name, library in NEEDED.items() if not asked & {name, "all"} and f"/{library}.so" not in there]
    if lacking:
        missing = " and no ".join(NEEDED[name] for name in lacking)
        return bad(f"NVIDIA_DRIVER_CAPABILITIES is '{value}', without {' and '.join(lacking)}: there is no {missing}")
    return ok(f"NVIDIA_DRIVER_CAPABILITIES is '{value}', and libcuda and libnvidia-ml came with it or with CDI")


RULE = Rule(
    id="system.driver-capabilities",
    title="The container asked for the driver's CUDA libraries",
    judge=judge,
    after=("system.container-given-gpus",),
    remedy=Remedy(
        text="only the host can put this right: start the container again with "
        "`-e NVIDIA_DRIVER_CAPABILITIES=compute,utility` (and graphics or video beside them where they are needed)",
        impact="service",
        url="https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/docker-specialized.html",
    ),
)
