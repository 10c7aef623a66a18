"""cuDNN installed on this machine; one that came in a wheel is among the packages of Frameworks."""

from __future__ import annotations

import re
from dataclasses import replace

from gpucheck.facts import Cudnn, Version
from gpucheck.host import Host
from gpucheck.probes.files import LIBRARY_FOLDERS, libraries

FOLDERS = (*LIBRARY_FOLDERS, "/usr/local/cuda/lib64")
HEADERS = ("/usr/include/cudnn_version.h", "/usr/local/cuda/include/cudnn_version.h")


def probe(host: Host) -> Cudnn:
    found = libraries(host, ("libcudnn.so.9", "libcudnn.so.8"), FOLDERS)
    if any(library.version is None for library in found):
        headers = (parse_header(host.read(path) or "") for path in HEADERS)
        header = next((version for version in headers if version), None)
        # A header tells of a library only where it is of the same major version.
        found = tuple(
            replace(library, version=header)
            if library.version is None and header and library.path.endswith(f".so.{header.major}")
            else library
            for library in found
        )
    return Cudnn(libraries=found)


def parse_header(text: str) -> Version | None:
    numbers = dict(re.findall(r"^#define CUDNN_(MAJOR|MINOR|PATCHLEVEL)\s+(\d+)", text, re.MULTILINE))
    if len(numbers) != 3:
        return None
    return Version(f"{numbers['MAJOR']}.{numbers['MINOR']}.{numbers['PATCHLEVEL']}")
