"""The NVIDIA Container Toolkit, and what it left for container engines: daemon.json and CDI specs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from operator import index
from typing import Any

from gpucheck.facts import CdiSpec, ContainerToolkit, DeviceNode, Version
from gpucheck.host import CannotLook, Host
from gpucheck.probes.files import library_version, present

DAEMON_JSON = "/etc/docker/daemon.json"
MOST_SPECS = 256  # a machine has a handful
CDI_FOLDERS = ("/etc/cdi", "/var/run/cdi")  # the CDI specification's own default
CONFIG = "/etc/nvidia-container-runtime/config.toml"
DEEPEST = 50  # levels in a CDI spec, which has seven
HOOK = ("sh", "-c", "command -v nvidia-container-runtime-hook")


def probe(host: Host) -> ContainerToolkit:
    """Raises CannotLook where a CDI spec may not be read: the engine, which is root, reads it all the same."""
    runtimes, error = _daemon_json(host)
    specs = {path: _spec(host, path) for path in _spec_paths(host)}
    there = present(host, (path for spec in specs.values() if isinstance(spec, dict) for path in host_paths(spec)))
    return ContainerToolkit(
        version=parse_version(host.run(("nvidia-ctk", "--version")).out),
        hook=host.run(HOOK).code == 0,
        daemon_json=runtimes,
        daemon_json_error=error,
        cdi_specs=tuple(judge_spec(path, spec, frozenset(there)) for path, spec in specs.items()),
        no_cgroups=_no_cgroups(host),
    )


def parse_version(text: str) -> Version | None:
    """Of `nvidia-ctk --version`: "NVIDIA Container Toolkit CLI version 1.17.8"."""
    number = re.search(r"version (\d{1,6}\.\d{1,6}\.\d{1,6})\b", text)
    return Version(number[1]) if number else None


def _daemon_json(host: Host) -> tuple[tuple[str, ...], str | None]:
    try:
        text = host.read(DAEMON_JSON)
        return ((), None) if text is None or not text.strip() else (parse_daemon_json(text), None)
    except (ValueError, CannotLook) as error:
        return (), str(error)


def parse_daemon_json(text: str) -> tuple[str, ...]:
    """The names of its runtimes. Raises ValueError, as dockerd would refuse to start."""
    try:
        data = json.loads(text)
        return tuple(sorted(data.get("runtimes") or {}))
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} (line {error.lineno})") from error
    except (AttributeError, TypeError, RecursionError) as error:
        raise ValueError("not an object with runtimes in it") from error


def _no_cgroups(host: Host) -> bool | None:
    try:
        return parse_config(host.read(CONFIG) or "")
    except CannotLook:
        return None


def parse_config(text: str) -> bool | None:
    """nvidia-container-cli.no-cgroups of the toolkit's config.toml: false unless set; None where the file is torn."""
    import tomllib  # here, because few machines need it

    try:
        section = tomllib.loads(text).get("nvidia-container-cli", {})
    except (tomllib.TOMLDecodeError, RecursionError):
        return None
    value = section.get("no-cgroups", False) if isinstance(section, dict) else None
    return value if isinstance(value, bool) else None


def kept_config(text: str) -> str:
    """The config.toml with what parse_config() reads of it, and nothing else."""
    value = parse_config(text)
    if value is None:
        return "torn\n"
    return f"[nvidia-container-cli]\nno-cgroups = {str(value).lower()}\n" if value else ""


def _spec_paths(host: Host) -> list[str]:
    names = [(folder, name) for folder in CDI_FOLDERS for name in (host.read(folder) or "").splitlines()]
    paths = [f"{folder}/{name}" for folder, name in names if name.endswith((".json", ".yaml"))]
    if len(paths) > MOST_SPECS:
        raise CannotLook(f"there are {len(paths)} CDI specs, more than {MOST_SPECS} are not read")
    return paths


def _spec(host: Host, path: str) -> dict[str, Any] | str:
    """The spec, or what is wrong with it."""
    try:
        return parse_spec(host.read(path) or "")
    except ValueError as error:
        return str(error)


def parse_spec(text: str) -> dict[str, Any]:
    """A CDI spec, JSON or YAML. Raises ValueError in one sentence."""
    try:
        data = json.loads(text) if text.lstrip().startswith("{") else _yaml(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error.msg} (line {error.lineno})") from error
    except RecursionError as error:
        raise ValueError("not a CDI spec: it is nested too deep") from error
    if not isinstance(data, dict) or not isinstance(data.get("devices"), list) or "kind" not in data:
        raise ValueError("not a CDI spec: it names no kind or no devices")
    try:
        judge_spec("", data, frozenset())
    except KeyError as error:
        raise ValueError(f"not a CDI spec: an entry has no {error.args[0]}") from error
    except (AttributeError, TypeError, ValueError) as error:
        raise ValueError("not a CDI spec: an entry is not what the specification says it is") from error
    return data


def _yaml(text: str) -> object:
    import yaml  # here, because few machines need it

    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        depth = 0
        for event in yaml.parse(
            text, loader
        ):  # the loader in C goes as deep as the text does, and the stack ends first
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > DEEPEST:
                raise ValueError("not a CDI spec: it is nested too deep")
        return yaml.load(text, loader)  # noqa: S506 - both are safe
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" (line {mark.line + 1})" if mark else ""
        raise ValueError(f"not YAML: {getattr(error, 'problem', None) or 'it cannot be read'}{line}") from error


def _edits(spec: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    for owner in (spec, *spec["devices"]):
        yield owner.get("containerEdits") or {}


def host_paths(spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Every path that must be on the host: mounts, device nodes, the programs of hooks."""
    paths: dict[str, None] = {}
    for edits in _edits(spec):
        for node in edits.get("deviceNodes") or ():
            paths[node.get("hostPath") or node["path"]] = None
        for mount in edits.get("mounts") or ():
            paths[mount["hostPath"]] = None
        for hook in edits.get("hooks") or ():
            paths[hook["path"]] = None
    if not all(isinstance(path, str) for path in paths):
        raise TypeError("a path that is no text")
    return tuple(paths)


def judge_spec(path: str, spec: dict[str, Any] | str, there: frozenset[str]) -> CdiSpec:
    """`there`: those of its host paths that exist."""
    if isinstance(spec, str):
        return CdiSpec(path=path, error=spec, version=None, kind=None, devices=(), missing_paths=(),
                       driver_version=None, device_nodes=())  # fmt: skip
    paths = host_paths(spec)
    drivers = (library_version(p) for p in paths if re.search(r"/lib(cuda|nvidia-ml)\.so\.", p))
    return CdiSpec(
        path=path,
        error=None,
        version=str(spec["cdiVersion"]) if spec.get("cdiVersion") else None,
        kind=str(spec["kind"]),
        devices=tuple(str(device["name"]) for device in spec["devices"]),
        missing_paths=tuple(p for p in paths if p not in there),
        driver_version=next((version for version in drivers if version), None),
        device_nodes=tuple(_nodes(spec)),
    )


def _nodes(spec: Mapping[str, Any]) -> Iterator[DeviceNode]:
    seen = set()
    for node in (node for edits in _edits(spec) for node in edits.get("deviceNodes") or ()):
        path = node.get("hostPath") or node["path"]
        if "major" in node and "minor" in node and path not in seen:
            seen.add(path)
            mode, group = node.get("fileMode"), node.get("gid")
            yield DeviceNode(path=path, major=index(node["major"]), minor=index(node["minor"]),
                             mode="" if mode is None else f"{mode:o}", group="" if group is None else str(group),
            )  # fmt: skip
