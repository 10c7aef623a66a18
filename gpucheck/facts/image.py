"""An image, as its own configuration tells of it: nothing of it was run."""

from __future__ import annotations

from collections.abc import Mapping

from gpucheck.facts.version import Version, fact


@fact
class Image:
    name: str  # as asked
    id: str
    arch: str  # in Go's words: amd64, arm64
    cuda: Version | None  # it was built for; None = it does not say
    cudnn: Version | None
    framework: str | None  # the name of the wheel in our tables: tensorflow, torch, jax-cuda12-plugin
    framework_version: Version | None
    min_driver: Version | None  # as the image's builder says
    requirements: tuple[str, ...]  # NVIDIA_REQUIRE_*, as the container toolkit reads them: each must hold
    requirements_off: bool  # NVIDIA_DISABLE_REQUIRE: the toolkit does not ask
    architectures: tuple[Version, ...]  # compute capabilities that its variables say it was compiled for
    ptx: Version | None  # and the one whose PTX is in it
    environment: Mapping[str, str]  # only the variables that steer CUDA and the container toolkit
