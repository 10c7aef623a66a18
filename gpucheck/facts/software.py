"""CUDA toolkits, cuDNN and frameworks."""

from __future__ import annotations

from gpucheck.facts.machine import Library
from gpucheck.facts.version import Version, fact


@fact
class CudaInstall:
    version: Version
    path: str


@fact
class Toolkit:
    cuda: Version | None  # the one that `nvcc` on PATH or /usr/local/cuda is
    nvcc: str | None  # the command that answered: "nvcc" is on PATH
    installs: tuple[CudaInstall, ...]


@fact
class Cudnn:
    libraries: tuple[Library, ...]  # on the host; a wheel's own cuDNN is in Frameworks


@fact
class Package:
    name: str
    version: Version
    path: str  # the site-packages folder it is in
    cuda: Version | None = None  # CUDA it was built for, as its own metadata says
    cpu_only: bool | None = None  # None = its metadata does not say


@fact
class Frameworks:
    python: str | None  # the interpreter asked, the one that python3 on PATH is; None = there is none
    packages: tuple[Package, ...]  # frameworks and NVIDIA's wheels
