"""The Docker client and the engine it talks to, which may be Podman under the same name."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from gpucheck.facts import Docker, Version
from gpucheck.host import NO_SUCH_COMMAND, CannotLook, Host

VERSION = ("docker", "version", "--format", "{{json .}}")
INFO = ("docker", "info", "--format", "{{json .}}")
PODMAN_VERSION = ("podman", "version", "--format", "{{json .}}")
PODMAN_INFO = ("podman", "info", "--format", "{{json .}}")
STUB = "activate the WSL integration in Docker Desktop"  # the command that Docker Desktop leaves in other distributions
SNAP = "/var/snap/"  # where the snap docker keeps its images
CDI = "CDI:"  # of the engine's warnings, those about CDI specs
NO_INTEGRATION = "Docker Desktop's WSL integration is off for this distribution"


def probe(host: Host) -> Docker:
    """Raises CannotLook where an engine answers and does not tell of itself: a proxy may allow /version alone."""
    try:
        return _probe(host)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CannotLook("what the docker command prints has not the shape of Docker's API") from error


def _probe(host: Host) -> Docker:
    version = host.run(VERSION)
    if version.code == NO_SUCH_COMMAND:
        found = _podman(host)
        return found or parse({}, {}, None)
    known = parse_json(version.out)
    if not known:
        said = NO_INTEGRATION if STUB in version.out else last_line(version.err)
        return _beside(host, {}, said or f"docker version failed (exit code {version.code})")
    if known.get("Server") is None and not _is_shim(known):
        return _beside(host, known, last_line(version.err) or "no engine answered")
    info = host.run(INFO)
    told = parse_json(info.out)
    refusals = "\n".join(told.get("ServerErrors") or ())
    if info.code != 0 or refusals or not told:
        said = last_line(refusals) or last_line(info.err) or "it said nothing"
        raise CannotLook(f"docker info failed (exit code {info.code}): {said}")
    return parse(known, told, None)


def _beside(host: Host, client: Mapping[str, Any], error: str) -> Docker:
    """Docker's client without its engine, and Podman beside it."""
    podman = _podman(host)
    return replace(parse(client, {}, error), podman=podman.client if podman else None)


def _podman(host: Host) -> Docker | None:
    """Podman's own command; None where there is none that works: one that hangs is no engine to choose."""
    try:
        known = parse_json(host.run(PODMAN_VERSION).out)
        info = host.run(PODMAN_INFO) if _is_shim(known) else None
    except CannotLook:
        return None
    if info is None or info.code != 0:
        return None
    found = parse(known, parse_json(info.out), None)
    return replace(found, podman=found.client)


def parse_json(text: str) -> dict[str, Any]:
    """The object that a --format '{{json .}}' printed; empty where it is none."""
    try:
        data = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def parse(version: Mapping[str, Any], info: Mapping[str, Any], error: str | None) -> Docker:
    """`version` and `info` as the engine's API has them, from 1.41 (Engine 20.10) on, or as Podman's client does."""
    client, server = version.get("Client") or {}, version.get("Server") or {}
    shim = _is_shim(version)
    if shim:  # Podman is its own engine
        server = {"Version": client["Version"], "ApiVersion": client["APIVersion"]}
        info = _podman_info(info)
    podman = shim or any(part.get("Name") == "Podman Engine" for part in server.get("Components") or ())
    options = _texts(info.get("SecurityOptions"))
    return Docker(
        client=_version(client.get("Version")),
        server=_version(server.get("Version")),
        product="podman" if podman else "docker" if client else None,
        api=_version(server.get("ApiVersion")),
        error=error,
        context=_text(client.get("Context")),
        runtimes=tuple(sorted(_texts(info.get("Runtimes")))),
        default_runtime=_text(info.get("DefaultRuntime")),
        cdi_spec_dirs=_texts(info.get("CDISpecDirs")),  # since Engine 25
        cdi_devices=tuple(  # since Engine 28.2
            str(device["ID"]) for device in info.get("DiscoveredDevices") or () if device.get("Source") == "cdi"
        ),
        cgroup_driver=_text(info.get("CgroupDriver")),
        storage_driver=_text(info.get("Driver")),
        rootless=any("name=rootless" in option for option in options),
        warnings=tuple(text for text in _texts(info.get("Warnings")) if text.startswith(CDI)),
        system=_text(info.get("OperatingSystem")),
        kernel=_text(info.get("KernelVersion")),
        snap=(_text(info.get("DockerRootDir")) or "").startswith(SNAP),
        cgroups={"1": 1, "2": 2}.get(str(info.get("CgroupVersion") or "").removeprefix("v")),
        selinux=any("name=selinux" in option for option in options),
    )


def _is_shim(version: Mapping[str, Any]) -> bool:
    """`docker` is Podman's client (package podman-docker): it writes APIVersion where Docker writes ApiVersion."""
    return "APIVersion" in (version.get("Client") or {})


def _podman_info(info: Mapping[str, Any]) -> dict[str, Any]:
    """`podman info` in the words of Docker's API."""
    host, store = info.get("host") or {}, info.get("store") or {}
    runtime = (host.get("ociRuntime") or {}).get("name")
    security = host.get("security") or {}
    return {
        "Runtimes": [runtime] if runtime else [],
        "DefaultRuntime": runtime,
        "CgroupDriver": host.get("cgroupManager"),
        "Driver": store.get("graphDriverName"),
        "SecurityOptions": [
            f"name={name}"
            for name, on in (("rootless", security.get("rootless")), ("selinux", security.get("selinuxEnabled")))
            if on
        ],
        "KernelVersion": host.get("kernel"),
        "CgroupVersion": host.get("cgroupVersion"),
    }


def _version(text: object) -> Version | None:
    return Version(text) if isinstance(text, str) and text[:1].isdigit() else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _texts(value: Any) -> tuple[str, ...]:
    return tuple(item for item in value or () if isinstance(item, str))


def last_line(text: str) -> str | None:
    """Of what Docker said. Proxies say it in HTML."""
    lines = [line.strip() for line in re.sub(r"</?\w[^<>]*>", " ", text).splitlines() if line.strip()]
    return lines[-1].rstrip(".") if lines else None
