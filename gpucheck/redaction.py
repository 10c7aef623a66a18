"""A recording without what is nobody else's business, so that it can be attached to a bug report.

What a probe reads may hold more than it looks for: /proc/mounts names file servers, `docker info` proxies and labels.
So of such sources only what probes look for is kept; names that may be anywhere are replaced everywhere. What commands
complain of is kept without the names of machines and users in it; a file that cannot be parsed becomes one that
cannot be parsed either, and says so in other words.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from gpucheck import docker_answers, extracts, pseudonyms, sentences
from gpucheck.docker_answers import TORN
from gpucheck.probes import compute, container_toolkit, files, nvml, user

CDI_KEYS = frozenset({
    "cdiVersion", "kind", "devices", "name", "containerEdits", "deviceNodes", "mounts", "hooks", "path", "hostPath",
    "major", "minor", "fileMode", "gid",
})  # fmt: skip
# Groups that distributions make, and Docker and VirtualGL; the others have names of somebody's choice.
GROUPS = frozenset("""
    root docker podman video render vglusers nvidia sudo wheel admin adm users user staff systemd-journal nobody
    plugdev audio netdev input kvm libvirt lxd dialout cdrom floppy dip lpadmin sambashare tty disk games lp sys
    nogroup everyone
""".split())  # fmt: skip
STAT = re.compile(r"^([0-9a-f]+ [0-9a-f]+ [0-9a-f]+ \d+ )([^/\n]+?)(?= /)", re.MULTILINE)  # files.STAT_FORMAT's group


def redact(document: Mapping[str, Any], hostname: str = "", *users: str) -> dict[str, Any]:
    """`document` is a Recording's. The result has the same questions, and answers that say the same to every probe."""
    own = next((user.own_name(run.get("out", "")) for run in document["runs"] if run["argv"] == ["id"]), "")
    rename = partial(_group, own, {})
    runs = [_run(run, rename) for run in document["runs"]]
    read = {path: _file(path, answer) for path, answer in document["files"].items()}
    replace = pseudonyms.replacer(_texts([runs, read]), hostname, (*users, own))
    return {
        "schema": document["schema"],
        "runs": [_replaced({**run, "argv": list(map(_question(replace), run["argv"]))}, replace) for run in runs],
        "files": {_question(replace)(path): _replaced(answer, replace) for path, answer in read.items()},
    }


def _group(own: str, names: dict[str, str], name: str) -> str:
    if name in GROUPS:
        return name
    return "user" if name == own else names.setdefault(name, f"group{len(names) + 1}")


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from (*_texts(key), *_texts(item))
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, str):
        yield value


def _run(run: dict[str, Any], rename: Callable[[str], str]) -> dict[str, Any]:
    if "out" not in run:
        return run
    argv, out = run["argv"], run["out"]
    return {**run, "out": _out(argv, out, rename), "err": sentences.kept(argv, run["err"])}


def _out(argv: Sequence[str], out: str, rename: Callable[[str], str]) -> str:
    if argv[1:3] == ["image", "inspect"]:
        return extracts.IMAGE(out)
    if argv[0] in ("docker", "podman"):
        return docker_answers.kept(out)
    if tuple(argv[:3]) in (nvml.COMMAND, compute.COMMAND):
        return _serials(out if _is_json(out) else "".join(f"{x if _is_json(x) else TORN}\n" for x in out.splitlines()))
    if argv[0] == "id":
        return user.kept(out, rename)
    if files.STAT_FORMAT in argv:
        return STAT.sub(lambda match: match[1] + rename(match[2]), extracts.known(rf"{STAT.pattern} /.*", out))
    keep = next((keep for start, keep in extracts.RUNS.items() if tuple(argv[: len(start)]) == start), None)
    return keep(out) if keep else out


def _is_json(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _serials(text: str) -> str:
    """Each GPU's serial number by a counted one."""
    seen: dict[str, str] = {}
    return re.sub(r'("serial": )"([^"]*)"', lambda m: f'{m[1]}"{seen.setdefault(m[2], str(len(seen) + 1))}"', text)


def _file(path: str, answer: dict[str, Any]) -> dict[str, Any]:
    text = answer.get("text")
    keep = next((keep for pattern, keep in FILES.items() if re.fullmatch(pattern, path)), None)
    return answer if text is None or keep is None else {"text": keep(text)}


def _cdi(text: str) -> str:
    """A CDI spec, of whatever vendor, in JSON."""
    try:
        spec = container_toolkit.parse_spec(text)
    except ValueError:
        return TORN
    return json.dumps(_only(spec), default=str) + "\n"


def _only(value: Any) -> Any:
    """`value` with CDI_KEYS alone."""
    if isinstance(value, dict):
        return {key: _only(item) for key, item in value.items() if key in CDI_KEYS}
    return [_only(item) for item in value] if isinstance(value, list) else value


FILES: Mapping[str, Callable[[str], str]] = {
    **extracts.FILES,
    rf"(?:{'|'.join(container_toolkit.CDI_FOLDERS)})/.+": _cdi,
    r".+/daemon\.json": docker_answers.kept,
}


def _question(replace: Callable[[str], str]) -> Callable[[str], str]:
    """Names are in a path that somebody chose and in a GPU's: not in a script, nor in the kernel's own files."""
    own = re.compile(r"/(?!sys/|proc/)|GPU-|MIG-")
    return lambda word: replace(word) if own.match(word) else word


def _replaced(answer: dict[str, Any], replace: Callable[[str], str]) -> dict[str, Any]:
    return {key: _text(value, replace) if isinstance(value, str) else value for key, value in answer.items()}


def _text(text: str, replace: Callable[[str], str]) -> str:
    """In JSON the keys are a probe's words, whatever a machine or a user is called."""
    if text[:1] in ("{", "["):
        try:
            return json.dumps(_values(json.loads(text), replace)) + "\n"
        except (ValueError, RecursionError):
            lines = text.splitlines()
            return "".join(_text(line, replace).rstrip("\n") + "\n" for line in lines) if lines[1:] else replace(text)
    return replace(text)


def _values(value: Any, replace: Callable[[str], str], inside: str = "") -> Any:
    if isinstance(value, dict):
        named = inside.lower() == "runtimes"
        return {replace(key) if named else key: _values(item, replace, key) for key, item in value.items()}
    if isinstance(value, list):
        return [_values(item, replace, inside) for item in value]
    return replace(value) if isinstance(value, str) else value
