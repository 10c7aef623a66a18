"""CUDA toolkits, cuDNN and frameworks."""

from __future__ import annotations

import re

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
class Linker:
    """What the dynamic linker gives a program that asks for CUDA by name. A wheel's own libraries are not here."""

    path: tuple[str, ...]  # LD_LIBRARY_PATH, which it looks through first
    libcuda: tuple[Library, ...]  # every libcuda.so.1 that it knows, real files: the first is the one that is loaded
    cuda: tuple[str, ...]  # CUDA's libraries in its reach: "libcudnn.so.9"
    cache_error: str | None = None  # why the list of what it knows beside LD_LIBRARY_PATH could not be read
    cache: bool = True  # False = it could not, because there is no such list


@fact
class Wanted:
    name: str  # nvidia-cudnn-cu12
    versions: str  # "<10.0,>=9.3.0.75", as the metadata has it; "" = any

    def allows(self, version: Version) -> bool:
        """By the numbers alone. A clause that is not understood forbids nothing."""
        clauses = re.findall(r"(~=|[=!<>]=?=?)\s*(\d+(?:\.\d+)*(?:\.\*)?)", self.versions)
        return all(_holds(operator, text, version) for operator, text in clauses)

    @property
    def oldest(self) -> Version | None:
        """The version that it was built with: the one it is pinned to, or the lowest that it takes."""
        floors = re.findall(r"(?:~=|==|>=)\s*(\d[\d.]*)", self.versions)
        return max(map(Version, floors), default=None)


def _holds(operator: str, text: str, version: Version) -> bool:
    stem = text.removesuffix(".*")
    bound = Version(stem)
    if text.endswith(".*"):
        same = f"{version}.".startswith(f"{stem}.")
        return same if operator == "==" else not same
    if operator == "~=":
        return version >= bound and f"{version}.".startswith(f"{stem.rpartition('.')[0]}.")
    return {
        "==": version == bound, "===": version == bound, "!=": version != bound, ">=": version >= bound,
        "<=": version <= bound, ">": version > bound, "<": version < bound,
    }.get(operator, True)  # fmt: skip


@fact
class Package:
    name: str
    version: Version
    path: str  # the site-packages folder it is in
    cuda: Version | None = None  # CUDA it was built for, as its own metadata says
    cpu_only: bool | None = None  # None = its metadata does not say
    wants: tuple[Wanted, ...] = ()  # NVIDIA's wheels that its metadata names, those of its extras too
    wheel: bool = True  # pip or its like put it here; False = conda, or a distribution: a build of their own


@fact
class Frameworks:
    python: str | None  # the interpreter asked, the one that python3 on PATH is; None = there is none
    packages: tuple[Package, ...]  # frameworks and NVIDIA's wheels
