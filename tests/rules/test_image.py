"""An image against this host, before it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpucheck.facts import Gpu, Image, Nvml, Version
from gpucheck.model import Finding, Status
from tests.rules.literals import DRIVER, NO_DRIVER, SYSTEM

PASS, FAIL, SKIP, UNKNOWN = Status

# The beginning of nvidia/cuda:12.6's own (docker history).
REQUIRED = (
    "cuda>=12.6 brand=unknown,driver>=470,driver<471 brand=tesla,driver>=470,driver<471 "
    "brand=geforce,driver>=470,driver<471 brand=tesla,driver>=550,driver<551"
)
IMAGE = Image(
    name="nvidia/cuda:12.6.3-cudnn-runtime-ubuntu24.04", id="sha256:1", arch="amd64", cuda=Version("12.6.3"),
    cudnn=Version("9.5.1.17"), framework=None, framework_version=None, min_driver=None, requirements=(REQUIRED,),
    requirements_off=False, architectures=(), ptx=None,
    environment={"NVIDIA_VISIBLE_DEVICES": "all", "NVIDIA_DRIVER_CAPABILITIES": "compute,utility"},
)  # fmt: skip
T4 = Gpu(index=0, name="Tesla T4", brand="Tesla", compute_capability=Version("7.5"))
GTX1080 = Gpu(index=0, name="NVIDIA GeForce GTX 1080", brand="GeForce", compute_capability=Version("6.1"))
RTX5090 = Gpu(index=0, name="NVIDIA GeForce RTX 5090", brand="GeForce RTX", compute_capability=Version("12.0"))
A100 = Gpu(index=1, name="NVIDIA A100-SXM4-40GB", brand="NVIDIA", compute_capability=Version("8.0"))


def nvml(driver: str, cuda: str, *gpus: Gpu) -> Nvml:
    return Nvml(driver_version=Version(driver), cuda_version=Version(cuda), gpus=gpus)


def loaded(version: str) -> Any:
    return replace(DRIVER, version=Version(version))


def image(**fields: Any) -> Image:
    return replace(IMAGE, **fields)


def ours(framework: str, version: str, cuda: str, **fields: Any) -> Image:
    return image(framework=framework, framework_version=Version(version), cuda=Version(cuda), **fields)


NEW, OLD_TESLA = nvml("570.124.06", "12.8", T4), nvml("550.54.15", "12.4", T4)
OLD_GEFORCE = nvml("550.54.15", "12.4", GTX1080)

CASES: list[tuple[str, tuple[Any, ...], Status, str]] = [
    ("image.for-this-architecture", (IMAGE, SYSTEM), PASS, "amd64"),
    ("image.for-this-architecture", (image(arch="arm64"), SYSTEM), FAIL, "arm64"),
    ("image.for-this-architecture", (IMAGE, replace(SYSTEM, arch="aarch64")), FAIL, "arm64"),
    ("image.for-this-architecture", (image(arch=""), SYSTEM), UNKNOWN, "nothing"),
    ("image.requirements-met", (IMAGE, loaded("570.124.06"), NEW), PASS, "570.124.06"),
    # An alternative for old drivers of data centers.
    ("image.requirements-met", (IMAGE, loaded("550.54.15"), OLD_TESLA), PASS, "550.54.15"),
    ("image.requirements-met", (IMAGE, loaded("550.54.15"), OLD_GEFORCE), FAIL, "12.4"),
    ("image.requirements-met", (IMAGE, loaded("470.82"), nvml("470.82", "11.4", GTX1080)), PASS, "470.82"),
    ("image.requirements-met", (image(requirements_off=True), loaded("550.54.15"), OLD_GEFORCE), FAIL, "DISABLE"),
    ("image.requirements-met", (image(requirements=()), DRIVER, NEW), SKIP, "nothing"),
    ("image.requirements-met", (IMAGE, NO_DRIVER, Nvml()), UNKNOWN, "version"),
    ("image.requirements-met", (image(requirements=("cuda>=12.6",)), DRIVER, Nvml()), UNKNOWN, "cuda>=12.6"),
    ("image.requirements-met", (image(requirements=("jetpack>=5 ",)), DRIVER, NEW), PASS, "jetpack"),
    ("image.requirements-met", (image(requirements=("arch>=8.0",)), DRIVER, NEW), FAIL, "arch>=8.0"),
    ("image.requirements-met", (image(requirements=("cuda>=12.0", "driver>=580")), DRIVER, NEW), FAIL, "driver>=580"),
    ("image.requirements-met", (image(requirements=("brand!=tesla",)), DRIVER, NEW), FAIL, "brand!=tesla"),
    ("image.driver-runs-cuda", (IMAGE, DRIVER), PASS, "570.124.06"),
    ("image.driver-runs-cuda", (image(cuda=Version("13.0")), DRIVER), FAIL, "580"),
    ("image.driver-runs-cuda", (image(cuda=None), DRIVER), SKIP, "which CUDA"),
    ("image.driver-runs-cuda", (image(cuda=Version("99.0")), DRIVER), UNKNOWN, "99.0"),
    ("image.driver-runs-cuda", (image(cuda=Version("13.0")), NO_DRIVER, nvml("581.57", "13.0", T4)), PASS, "13.0"),
    ("image.driver-runs-cuda", (image(cuda=Version("13.0")), NO_DRIVER, NEW), FAIL, "12.8"),
    ("image.driver-runs-cuda", (image(cuda=Version("13.0")), NO_DRIVER), UNKNOWN, "not known"),
    (
        "image.driver-runs-cuda",
        (image(cuda=Version("13.0"), environment={"NV_CUDA_COMPAT_PACKAGE": "cuda-compat-13-0"}), DRIVER, NEW),
        UNKNOWN,
        "compatibility",
    ),
    ("image.has-code-for-gpu", (ours("tensorflow", "2.21.0", "12.5"), NEW), PASS, "7.5"),
    ("image.has-code-for-gpu", (ours("torch", "2.15.0", "13.2"), nvml("580.65.06", "13.0", GTX1080)), FAIL, "6.1"),
    ("image.has-code-for-gpu", (ours("torch", "9.0", "13.0"), NEW), UNKNOWN, "table"),
    ("image.has-code-for-gpu", (IMAGE, NEW), SKIP, "does not say"),
    (
        "image.has-code-for-gpu",
        (image(architectures=(Version("7.5"), Version("8.0"), Version("9.0"))), nvml("580.65.06", "13.0", T4, RTX5090)),
        FAIL,
        "12.0",
    ),
    (
        "image.has-code-for-gpu",
        (image(architectures=(Version("7.5"), Version("8.0")), ptx=Version("8.0")), nvml("1.0", "13.0", T4, RTX5090)),
        PASS,
        "7.5, 12.0",
    ),
    ("image.has-code-for-gpu", (image(architectures=(Version("7.5"),)), Nvml()), UNKNOWN, "table"),
    ("image.cudnn-serves-gpu", (IMAGE, NEW), PASS, "7.5"),
    ("image.cudnn-serves-gpu", (image(cudnn=Version("9.12.0")), nvml("570.124.06", "12.8", GTX1080)), FAIL, "6.1"),
    ("image.cudnn-serves-gpu", (image(cudnn=None), NEW), SKIP, "which cuDNN"),
    ("image.asks-for-compute", (IMAGE,), PASS, "compute,utility"),
    ("image.asks-for-compute", (image(environment={}),), PASS, "does not say"),
    ("image.asks-for-compute", (image(environment={"NVIDIA_DRIVER_CAPABILITIES": "all"}),), PASS, "all"),
    (
        "image.asks-for-compute",
        (image(environment={"NVIDIA_DRIVER_CAPABILITIES": "graphics,utility"}),),
        FAIL,
        "compute",
    ),
    ("image.gpus-not-hidden", (IMAGE,), PASS, "all"),
    ("image.gpus-not-hidden", (image(environment={}),), PASS, "no variable"),
    ("image.gpus-not-hidden", (image(environment={"CUDA_VISIBLE_DEVICES": ""}),), FAIL, "CUDA_VISIBLE_DEVICES="),
    ("image.gpus-not-hidden", (image(environment={"NVIDIA_VISIBLE_DEVICES": "void"}),), FAIL, "void"),
    ("image.own-libcuda-fits", (IMAGE, NEW), PASS, "no folder"),
    (
        "image.own-libcuda-fits",
        (image(environment={"LD_LIBRARY_PATH": "/usr/local/cuda/compat/lib:/usr/lib"}), OLD_GEFORCE),
        FAIL,
        "GTX 1080",
    ),
    ("image.own-libcuda-fits", (image(environment={"LD_LIBRARY_PATH": "/usr/local/cuda/compat"}), NEW), SKIP, "data"),
    ("image.own-libcuda-fits", (image(environment={"LD_LIBRARY_PATH": "/x/cuda/lib64/stubs"}), NEW), FAIL, "stub"),
    ("image.own-libcuda-fits", (image(environment={"LD_LIBRARY_PATH": "/usr/local/cuda/compat"}),), UNKNOWN, "known"),
]


@pytest.mark.parametrize(("rule", "facts", "status", "says"), CASES)
def test_rule(judged: Callable[..., Finding], rule: str, facts: tuple[Any, ...], status: Status, says: str) -> None:
    finding = judged(rule, *facts)
    assert finding.status is status, finding.message
    assert says in finding.message


def test_every_gpu_must_meet_what_is_required(judged: Callable[..., Finding]) -> None:
    """The A100 has an alternative for its old driver, the GeForce beside it has none."""
    both = nvml("550.54.15", "12.4", replace(T4, index=1), GTX1080)
    finding = judged("image.requirements-met", IMAGE, loaded("550.54.15"), both)
    assert finding.status is FAIL
    assert finding.affects == ("NVIDIA GeForce GTX 1080",)
