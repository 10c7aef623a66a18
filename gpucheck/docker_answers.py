"""What Docker and Podman say of themselves, with what a probe reads of it and nothing that somebody wrote into it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from gpucheck import sentences
from gpucheck.probes import docker

KEYS = frozenset({
    "Client", "Server", "Version", "ApiVersion", "APIVersion", "Components", "Name", "Context", "Runtimes",
    "DefaultRuntime", "CDISpecDirs", "DiscoveredDevices", "Source", "ID", "CgroupDriver", "CgroupVersion", "Driver",
    "SecurityOptions", "Warnings", "ServerErrors", "host", "ociRuntime", "name", "cgroupManager", "security",
    "rootless", "store", "graphDriverName", "runtimes", "default-runtime", "features", "cdi", "OperatingSystem",
    "KernelVersion", "DockerRootDir", "kernel", "cgroupVersion", "selinuxEnabled",
})  # fmt: skip
OWN = ("Name", "ID")  # of `docker info` itself: the host's name, the engine's id
CONTEXTS = ("default", "desktop-linux", "desktop-windows", "rootless")  # of Docker's own making
PARTS = ("Engine", "containerd", "runc", "docker-init", "Podman Engine", "Conmon", "OCI Runtime (crun)",
         "OCI Runtime (runc)")  # fmt: skip
OPTIONS = re.compile(r"name=(?:rootless|selinux|apparmor|seccomp|cgroupns|userns)")
TORN = "{torn"  # what cannot be parsed cannot be redacted


def kept(text: str) -> str:
    """What a probe reads of a JSON object that Docker or Podman printed, or of daemon.json."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        if docker.STUB in text:
            return docker.STUB
        return "" if not text.strip() else TORN
    if not isinstance(data, dict):
        return "[]\n"
    return json.dumps(_only({key: value for key, value in data.items() if key not in OWN})) + "\n"


def _only(value: Any, inside: str = "") -> Any:
    if inside in FREE:
        return FREE[inside](value)
    if isinstance(value, dict):
        return {key: _only(item, key) for key, item in value.items() if key in KEYS}
    return [_only(item, inside) for item in value] if isinstance(value, list) else value


def _runtimes(named: Any) -> Any:
    """Their names alone."""
    return {name: {} for name in named} if isinstance(named, dict) else named


def _parts(parts: Any) -> Any:
    """Podman's engine is told by its name."""
    if not isinstance(parts, list):
        return parts and "torn"
    return [
        {"Name": part.get("Name") if part.get("Name") in PARTS else ""} if isinstance(part, dict) else ""
        for part in parts
    ]


def _errors(errors: Any) -> list[str]:
    return [sentences.last(str(error)) for error in errors] if isinstance(errors, list) else ["torn"] * bool(errors)


def _each(value: Any, keep: Callable[[str], Any]) -> list[str]:
    texts = [keep(item) for item in value if isinstance(item, str)] if isinstance(value, list | dict) else []
    return [text for text in texts if text]


# Of Docker's answers what somebody could have written something into.
FREE: Mapping[str, Callable[[Any], Any]] = {
    "Context": lambda name: name if not name or name in CONTEXTS else "context",
    "Components": _parts,
    "Runtimes": _runtimes,
    "runtimes": _runtimes,
    "DockerRootDir": lambda path: docker.SNAP if str(path).startswith(docker.SNAP) else "",
    "ServerErrors": _errors,
    "Warnings": lambda texts: _each(texts, lambda text: text.startswith(docker.CDI) and sentences.masked(text)),
    "SecurityOptions": lambda texts: [name for text in _each(texts, str) for name in OPTIONS.findall(text)],
}
