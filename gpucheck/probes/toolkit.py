"""CUDA toolkits on this machine. A framework from a wheel or in an image brings its own and needs none of these."""

from __future__ import annotations

import json
import re

from gpucheck.facts import CudaInstall, Toolkit, Version
from gpucheck.host import NO_SUCH_COMMAND, Host

FOLDER = "/usr/local"


def probe(host: Host) -> Toolkit:
    names = [name for name in (host.read(FOLDER) or "").split() if re.fullmatch(r"cuda(-\d+(\.\d+)*)?", name)]
    installs = tuple(install for name in names if (install := _install(host, f"{FOLDER}/{name}")))
    nvcc, cuda = None, None
    for command in ("nvcc", f"{FOLDER}/cuda/bin/nvcc"):
        result = host.run((command, "--version"))
        if result.code != NO_SUCH_COMMAND:
            nvcc, cuda = command, parse_nvcc(result.out)
            break
    default = next((install.version for install in installs if install.path == f"{FOLDER}/cuda"), None)
    return Toolkit(cuda=cuda or default, nvcc=nvcc, installs=installs)


def _install(host: Host, path: str) -> CudaInstall | None:
    version = parse_version_json(host.read(f"{path}/version.json") or "")
    version = version or parse_release(host.read(f"{path}/version.txt") or "")  # before CUDA 11.1
    version = version or parse_release(path)
    return CudaInstall(version=version, path=path) if version else None


def parse_nvcc(text: str) -> Version | None:
    release = re.search(r"release (\d+\.\d+)", text)
    return Version(release[1]) if release else None


def parse_version_json(text: str) -> Version | None:
    """CUDA's major and minor number. The third is a date in some releases ("12.2.20230823")."""
    try:
        version = json.loads(text)["cuda"]["version"]
    except (ValueError, KeyError, TypeError):
        return None
    return parse_release(str(version))


def parse_release(text: str) -> Version | None:
    """Of "CUDA Version 10.2.89", "/usr/local/cuda-12.4" or "12.4.1"."""
    release = re.search(r"(\d+\.\d+)", text)
    return Version(release[1]) if release else None
