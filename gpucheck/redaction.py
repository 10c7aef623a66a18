"""A recording without what is nobody else's business, so that it can be attached to a bug report.

What a probe reads may hold more than it looks for: /proc/mounts names file servers, `docker info` proxies and labels.
So of such sources only what probes look for is kept; names that may be anywhere are replaced everywhere. What Docker
complains of is kept without the names of machines and users in it; a file that cannot be parsed becomes one that
cannot be parsed either, and says so in other words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from gpucheck.probes import container_toolkit, docker

DOCKER_KEYS = frozenset({
    "Client", "Server", "Version", "ApiVersion", "APIVersion", "Components", "Name", "Context", "Runtimes",
    "DefaultRuntime", "CDISpecDirs", "DiscoveredDevices", "Source", "ID", "CgroupDriver", "CgroupVersion", "Driver",
    "SecurityOptions", "Warnings", "ServerErrors", "host", "ociRuntime", "name", "cgroupManager", "security",
    "rootless", "store", "graphDriverName", "runtimes", "default-runtime", "features", "cdi", "path",
})  # fmt: skip
DOCKER_OWN = ("Name", "ID")  # of `docker info` itself: the host's name, the engine's id
CDI_KEYS = frozenset({
    "cdiVersion", "kind", "devices", "name", "containerEdits", "deviceNodes", "mounts", "hooks", "path", "hostPath",
    "major", "minor", "fileMode", "gid",
})  # fmt: skip
# Names of machines and users in what Docker says. A file's name (docker.sock) is not one.
SAID = tuple((re.compile(pattern), masked) for pattern, masked in (
    (r"\b(tcp|ssh|https?)://[^\s\"'\]]*[^\s\"'\].,:;?]", r"\1://host"),
    (r"[\w.+-]+@[\w.-]*\w", "user@host"),
    (r"(\s-(?:l|-login))[ =]\S+", r"\1 user"),
    (r"( -- )\S+", r"\1host"),
    (r"\b(lookup|resolve hostname|connect to host) [\w.-]*\w", r"\1 host"),
    (r"\b(context|user) \"[^\"]*\"", r'\1 "\1"'),
    (r"\[?(?<![\w:])[0-9a-f]*(?::[0-9a-f]*){2,}\b\]?|\b\d+(?:\.\d+){3}\b", "host"),
    (r"(?<![\w/.%-])(?:[\w-]+\.)+(?!sock\b|socket\b|service\b|json\b|so\b)[a-zA-Z][\w-]+(?!\w)", "host"),
))  # fmt: skip
MOUNTS = ("/dev/shm", "/etc/hosts", "/dev/termination-log")  # noqa: S108


def redact(document: Mapping[str, Any], hostname: str = "") -> dict[str, Any]:
    """`document` is a Recording's. The result has the same questions, and answers that say the same to every probe."""
    runs = [_run(run) for run in document["runs"]]
    files = {path: _file(path, answer) for path, answer in document["files"].items()}
    redacted: dict[str, Any] = _everywhere(
        {"schema": document["schema"], "runs": runs, "files": files}, _replacer(hostname)
    )
    return redacted


def _run(run: dict[str, Any]) -> dict[str, Any]:
    if run["argv"][0] == "docker" and "out" in run:
        return {**run, "out": _docker(run["out"]), "err": _said(run["err"])}
    if run["argv"][-1] == "gpucheck.probes.nvml" and "out" in run:
        return {**run, "out": re.sub(r'("serial": )"[^"]*"', r'\1"0"', run["out"])}
    return run


def _file(path: str, answer: dict[str, Any]) -> dict[str, Any]:
    text = answer.get("text")
    keep: Callable[[str], bool] | None = {
        "/proc/mounts": lambda line: line.split(" ")[1:2] != [] and line.split(" ")[1] in MOUNTS,
        "/usr/local": lambda line: line.startswith("cuda"),
        "/dev": lambda line: line.startswith("nvidia") or line == "dxg",
        "/usr/lib/wsl/drivers": lambda line: line.startswith("nv"),
    }.get(path)
    if text is None:
        return answer
    if keep:
        return {"text": "".join(line for line in text.splitlines(keepends=True) if keep(line.rstrip("\n")))}
    if path.startswith(tuple(f"{folder}/" for folder in container_toolkit.CDI_FOLDERS)):
        return {"text": _cdi(text)}
    return {"text": _docker(text)} if path == "/etc/docker/daemon.json" else answer


def _said(text: str) -> str:
    """The one line that the probe reads: before it may be the greeting of an SSH server."""
    line = docker.last_line(text) or ""
    for pattern, masked in SAID:
        line = pattern.sub(masked, line)
    return line


def _cdi(text: str) -> str:
    """A CDI spec, of whatever vendor, in JSON."""
    try:
        spec = container_toolkit.parse_spec(text)
    except ValueError:
        return "{torn"
    return json.dumps(_only(spec, CDI_KEYS), default=str) + "\n"


def _docker(text: str) -> str:
    try:
        data = json.loads(text)
    except ValueError:
        return "" if not text.strip() else "{torn"  # what cannot be parsed cannot be redacted
    if not isinstance(data, dict):
        return text
    kept = {key: value for key, value in data.items() if key not in DOCKER_OWN}
    if isinstance(kept.get("ServerErrors"), list):
        kept["ServerErrors"] = [_said(str(error)) for error in kept["ServerErrors"]]
    return json.dumps(_only(kept, DOCKER_KEYS)) + "\n"


def _only(value: Any, keys: frozenset[str], inside: str = "") -> Any:
    """`value` with these keys alone; the keys of Runtimes are names, and each is kept."""
    if isinstance(value, dict):
        named = inside.lower() == "runtimes"
        return {key: _only(item, keys, key) for key, item in value.items() if named or key in keys}
    return [_only(item, keys, inside) for item in value] if isinstance(value, list) else value


def _everywhere(value: Any, replace: Callable[[str], str]) -> Any:
    if isinstance(value, dict):
        return {replace(key): _everywhere(item, replace) for key, item in value.items()}
    if isinstance(value, list):
        return [_everywhere(item, replace) for item in value]
    return replace(value) if isinstance(value, str) else value


def _replacer(hostname: str) -> Callable[[str], str]:
    """UUIDs of GPUs by counted ones, home folders by /home/user, the host's name by `host`."""
    uuids: dict[str, str] = {}

    def counted(match: re.Match[str]) -> str:
        return uuids.setdefault(match[0], f"{match[1]}-00000000-0000-0000-0000-{len(uuids):012d}")

    def replace(text: str) -> str:
        text = re.sub(r"(GPU|MIG)-[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}", counted, text)
        text = re.sub(r"(?<![\w.])/(?:home/[^/\s\"'\\:;,]+|root)(?![\w.-])", "/home/user", text)
        if len(hostname) > 3:  # "vm" or "pc" is no secret, and is part of other words' places
            text = re.sub(rf"(?<![\w.-]){re.escape(hostname)}(?![\w-])", "host", text)
        return text

    return replace
