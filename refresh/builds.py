"""What a wheel says that it was built for: its METADATA, and the build information inside it. Nothing of it is run."""

from __future__ import annotations

import ast
import re
import zipfile
import zlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from email import message_from_bytes

from packaging.requirements import Requirement
from packaging.version import Version

from gpucheck.model import Failure
from refresh.device_code import DeviceCode, capabilities, search

ARCH_FLAGS = re.compile(rb"(?:sm|compute)_\d+[a-z]?(?: (?:sm|compute)_\d+[a-z]?)+")


@dataclass(frozen=True, kw_only=True, slots=True)
class Build:
    """A row of frameworks.toml, but for what the index says. None where the wheel does not tell."""

    cuda: str | None
    cudnn: str | None = None
    sass: tuple[str, ...] | None = None
    ptx: str | None = None
    how: str


def read(name: str, wheel: zipfile.ZipFile) -> Build:
    """Raises Failure for a project that has no reader here, and where a wheel is not as its reader knows it."""
    if name not in READERS:
        raise Failure(f"what {name}'s wheels were built for is not read here", f"those of {', '.join(READERS)} are")
    try:
        return READERS[name](wheel, requirements(wheel))
    except (LookupError, StopIteration, SyntaxError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise Failure(f"a wheel of {name} is not laid out as known: {error}", "look at it by hand", 1) from error


def requirements(wheel: zipfile.ZipFile) -> list[Requirement]:
    metadata = next(name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
    return [Requirement(line) for line in message_from_bytes(wheel.read(metadata)).get_all("Requires-Dist") or ()]


def oldest(requires: Sequence[Requirement], pattern: str) -> str | None:
    """The lower end of a requirement: the pin, or what it must be at least."""
    ends = [
        Version(part.version)
        for requirement in requires if re.fullmatch(pattern, requirement.name)
        for part in requirement.specifier if part.operator in ("==", ">=", "~=")
    ]  # fmt: skip
    return str(min(ends)) if ends else None


def cudnn(requires: Sequence[Requirement]) -> str | None:
    """Its version without the build: 9.10.2.21 is cuDNN 9.10.2."""
    found = oldest(requires, r"nvidia-cudnn-cu\d+")
    return ".".join(found.split(".")[:3]) if found else None


def newest(numbers: Iterable[int]) -> str | None:
    return next(reversed(capabilities(numbers)), None)


def tensorflow(wheel: zipfile.ZipFile, requires: Sequence[Requirement]) -> Build:
    tree = ast.parse(wheel.read("tensorflow/python/platform/build_info.py"))
    call = next(node.value for node in tree.body if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call))
    info = dict(ast.literal_eval(call.args[0]))
    archs = [arch.split("_") for arch in info.get("cuda_compute_capabilities", ())]
    return Build(
        cuda=info.get("cuda_version"),
        cudnn=cudnn(requires),
        sass=capabilities(int(number) for _, number in archs) or None,  # here compute_80 is machine code and PTX
        ptx=newest(int(number) for kind, number in archs if kind == "compute"),
        how="METADATA and build_info.py",
    )


def torch(wheel: zipfile.ZipFile, requires: Sequence[Requirement]) -> Build:
    told = re.search(r"^cuda\b.*= '([\d.]+)'", wheel.read("torch/version.py").decode(), re.MULTILINE)
    cuda = told[1] if told else None
    toolkit = oldest(requires, "cuda-toolkit")
    if cuda and toolkit and toolkit.startswith(f"{cuda}."):
        cuda = toolkit  # to the patch release
    with wheel.open("torch/lib/libtorch_python.so") as library:
        flags = search(library, ARCH_FLAGS)
    archs = re.findall(r"(sm|compute)_(\d+)", flags.decode()) if flags else []
    return Build(
        cuda=cuda,
        cudnn=cudnn(requires),
        sass=capabilities(int(number) for kind, number in archs if kind == "sm") or None,
        ptx=newest(int(number) for kind, number in archs if kind == "compute"),
        how="METADATA, torch/version.py and what torch._C._cuda_getArchFlags() returns",
    )


def compiled(wheel: zipfile.ZipFile, requires: Sequence[Requirement]) -> Build:
    """A wheel that tells in no text what it was built for: the device code in its libraries does."""
    code = DeviceCode()
    for member in wheel.infolist():
        if ".so" in member.filename:
            with wheel.open(member) as library:
                code.add(library)
    runtime = oldest(requires, r"nvidia-cuda-runtime(-cu12)?")
    made_by = max(code.made_by, key=Version, default=None)
    return Build(
        cuda=made_by or (".".join(runtime.split(".")[:2]) if runtime else None),
        cudnn=cudnn(requires),
        sass=capabilities(code.sass) or None,
        ptx=newest(code.ptx),
        how="METADATA and the device code in its libraries"
        + ("" if made_by else "; CUDA: the oldest that METADATA allows"),
    )


READERS: dict[str, Callable[[zipfile.ZipFile, Sequence[Requirement]], Build]] = {
    "tensorflow": tensorflow,
    "torch": torch,
    "jax-cuda12-plugin": compiled,
    "jax-cuda13-plugin": compiled,
    "xgboost": compiled,
}
