"""A recording without what is nobody else's business, so that it can be attached to a bug report.

What a probe reads may hold more than it looks for: /proc/mounts names file servers, `docker info` proxies and labels.
So of such sources only what probes look for is kept; names that may be anywhere are replaced everywhere. What Docker
complains of is kept without the names of machines and users in it; a file that cannot be parsed becomes one that
cannot be parsed either, and says so in other words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gpucheck import pseudonyms
from gpucheck.probes import (
    cloud,
    container_toolkit,
    dkms,
    docker,
    dockerd,
    driver,
    frameworks,
    image,
    kernel,
    kernel_log,
    linker,
    packages,
    pci_bridges,
    user,
)

DOCKER_KEYS = frozenset({
    "Client", "Server", "Version", "ApiVersion", "APIVersion", "Components", "Name", "Context", "Runtimes",
    "DefaultRuntime", "CDISpecDirs", "DiscoveredDevices", "Source", "ID", "CgroupDriver", "CgroupVersion", "Driver",
    "SecurityOptions", "Warnings", "ServerErrors", "host", "ociRuntime", "name", "cgroupManager", "security",
    "rootless", "store", "graphDriverName", "runtimes", "default-runtime", "features", "cdi", "path", "OperatingSystem",
    "KernelVersion", "DockerRootDir", "kernel", "cgroupVersion", "selinuxEnabled",
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
CONTAINERS = re.compile(r"docker|containerd|lxc|kubepods|libpod")


def redact(document: Mapping[str, Any], hostname: str = "", username: str = "") -> dict[str, Any]:
    """`document` is a Recording's. The result has the same questions, and answers that say the same to every probe."""
    runs = [_run(run) for run in document["runs"]]
    files = {path: _file(path, answer) for path, answer in document["files"].items()}
    kept = {"schema": document["schema"], "runs": runs, "files": files}
    redacted: dict[str, Any] = _everywhere(kept, pseudonyms.replacer(_texts(kept), hostname, username))
    return redacted


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from (*_texts(key), *_texts(item))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _run(run: dict[str, Any]) -> dict[str, Any]:
    argv = run["argv"]
    if "out" not in run:
        return run
    if argv[1:3] == ["image", "inspect"]:
        return {**run, "out": image.kept(run["out"]), "err": _said(run["err"])}
    if argv[0] in ("docker", "podman"):
        return {**run, "out": _docker(run["out"]), "err": _said(run["err"])}
    if argv[-1] == "gpucheck.probes.nvml":
        return {**run, "out": _serials(run["out"])}
    keep = next((keep for start, keep in RUNS.items() if tuple(argv[: len(start)]) == start), None)
    return {**run, "out": keep(run["out"])} if keep else run


def _serials(text: str) -> str:
    """Each GPU's serial number by a counted one."""
    seen: dict[str, str] = {}
    return re.sub(r'("serial": )"([^"]*)"', lambda m: f'{m[1]}"{seen.setdefault(m[2], str(len(seen) + 1))}"', text)


def _file(path: str, answer: dict[str, Any]) -> dict[str, Any]:
    text = answer.get("text")
    keep = next((keep for pattern, keep in FILES.items() if re.fullmatch(pattern, path)), None)
    if text is None or keep is None:
        return answer
    return {"text": keep(text)}


def _lines(keep: Callable[[str], Any]) -> Callable[[str], str]:
    return lambda text: "".join(f"{line}\n" for line in text.splitlines() if keep(line))


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
        if docker.STUB in text:
            return docker.STUB
        return "" if not text.strip() else "{torn"  # what cannot be parsed cannot be redacted
    if not isinstance(data, dict):
        return text
    kept = {key: value for key, value in data.items() if key not in DOCKER_OWN}
    if not str(kept.get("DockerRootDir", "")).startswith(docker.SNAP):
        kept.pop("DockerRootDir", None)
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


# Of a command, by its first words, and of a file, by its path: the function from what was read to what is kept of it.
RUNS: Mapping[tuple[str, ...], Callable[[str], str]] = {
    ("dmesg",): kernel_log.kept,
    ("journalctl",): kernel_log.kept,
    ("id",): user.kept,
    ("lspci",): pci_bridges.kept,
    ("mokutil",): kernel.kept_enrolled,
    ("/sbin/ldconfig",): linker.kept,
}
FILES: Mapping[str, Callable[[str], str]] = {
    r"/proc/mounts": _lines(lambda line: line.split(" ")[1:2] != [] and line.split(" ")[1] in MOUNTS),
    r"/proc/modules": _lines(kernel.parse_modules),
    r"/proc/cpuinfo": pci_bridges.kept_cpuinfo,
    r"/proc/1/cgroup": lambda text: "".join(CONTAINERS.findall(text)[:1]),
    r"/proc/\d+/cmdline": dockerd.kept,
    r"/proc/driver/nvidia/params": driver.kept_parameters,
    r"/run/user": dockerd.kept_users,
    r"/run/\.containerenv|/\.singularity\.d": lambda _: "",
    r"/usr/local": _lines(lambda line: line.startswith("cuda")),
    r"/dev": _lines(lambda line: line.startswith("nvidia") or line == "dxg"),
    r"/usr/lib/wsl/drivers": _lines(lambda line: line.startswith("nv")),
    r"/sys/class/dmi/id/chassis_asset_tag": cloud.kept,
    r"/var/lib/dkms/.+/make\.log": dkms.kept,
    packages.HISTORY: packages.kept_history,
    packages.INSTALLER: packages.kept_installer,
    packages.LOCKED: packages.kept_locked,
    packages.PACMAN: packages.kept_pacman,
    r".+\.dist-info/METADATA": frameworks.kept,
    rf"(?:{'|'.join(container_toolkit.CDI_FOLDERS)})/.+": _cdi,
    container_toolkit.CONFIG: container_toolkit.kept_config,
    r".+/daemon\.json": _docker,
}
