"""A lock of images/locks: what it pins, and which of that pip installs on a platform."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from gpucheck import extras
from gpucheck.model import Failure

PIN = re.compile(r"([\w.-]+)(?:\[[^\]]*\])?==([^\s;\\]+)(?:\s*;\s*([^\\]+?))?\s*\\?$")
HASH = re.compile(r"\s+--hash=sha256:([0-9a-f]{64})\s*\\?$")
VIA = re.compile(r"\s+#\s+(?:via\s*)?(.*)$")  # uv's "# via keras", or "# via" and a line each
LATEST = 99  # a patch release that will not be


@dataclass(frozen=True, kw_only=True, slots=True)
class Pin:
    name: str  # as normalized() has it
    version: str
    marker: str | None  # where it is installed; None: everywhere
    hashes: tuple[str, ...]  # sha256 of each file that pip may take
    via: tuple[str, ...]  # what needs it: packages, and files of wishes


def normalized(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def read(lock: str) -> tuple[Pin, ...]:
    """Raises ValueError where a line is no pin, no hash and no comment."""
    found: list[tuple[str, str, str | None, list[str], list[str]]] = []
    for line in lock.splitlines():
        if pin := PIN.match(line):
            found.append((normalized(pin[1]), pin[2], pin[3], [], []))
        elif found and (digest := HASH.match(line)):
            found[-1][3].append(digest[1])
        elif found and (via := VIA.match(line)):
            found[-1][4].extend([via[1]] if via[1] else [])
        elif line.strip() and not line.startswith("#"):
            raise ValueError(f"a lock has no such line: {line.strip()!r}")
    return tuple(
        Pin(name=name, version=version, marker=marker, hashes=tuple(sorted(hashes)), via=tuple(via))
        for name, version, marker, hashes, via in found
    )


def installs(pins: Iterable[Pin], environment: Mapping[str, str]) -> dict[str, Pin]:
    """What pip installs where the markers' variables (PEP 508) are these, by name and sorted.

    Raises ValueError where that is two versions of one package, Failure without the package `packaging`.
    """
    try:
        from packaging.markers import Marker
    except ImportError as error:
        raise Failure("the package packaging is not installed", extras.tip("verify")) from error
    found: dict[str, Pin] = {}
    for pin in pins:
        if pin.marker is None or Marker(pin.marker).evaluate(dict(environment)):
            if pin.name in found:
                raise ValueError(f"a lock installs {pin.name} twice: {found[pin.name].version} and {pin.version}")
            found[pin.name] = pin
    return dict(sorted(found.items()))


def installs_on_linux(pins: Iterable[Pin], python: str) -> dict[str, Pin]:
    """What pip installs on Linux x86_64 with CPython "3.12". Raises ValueError where its patch release matters."""
    every = tuple(pins)
    first, last = (installs(every, _linux(python, patch)) for patch in (0, LATEST))
    if first != last:
        names = sorted(dict(first.items() ^ last.items()))
        raise ValueError(f"with Python {python} it is the patch release that decides on {', '.join(names)}")
    return first


def _linux(python: str, patch: int) -> dict[str, str]:
    whole = f"{python}.{patch}"
    return {
        "implementation_name": "cpython", "implementation_version": whole, "os_name": "posix",
        "platform_machine": "x86_64", "platform_python_implementation": "CPython", "platform_release": "",
        "platform_system": "Linux", "platform_version": "", "python_full_version": whole, "python_version": python,
        "sys_platform": "linux",
    }  # fmt: skip
