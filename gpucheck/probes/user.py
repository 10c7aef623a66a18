"""Who runs gpucheck: what decides whether a device node, or a socket, may be opened."""

from __future__ import annotations

import re
from collections.abc import Callable

from gpucheck.facts import User
from gpucheck.host import CannotLook, Host

COMMAND = ("id",)
GROUPS = re.compile(r"\bgroups=(.*?)(?: context=.*)?$", re.MULTILINE)  # SELinux' context is the last
GROUP = re.compile(r"(\d{1,10})(?:\(([^()]{1,256})\))?(?:,|$)")  # a directory's may hold spaces: "domain users"


def probe(host: Host) -> User:
    return parse(host.run(COMMAND).out)


def parse(text: str) -> User:
    """id(1): "uid=1000(ann) gid=1000(ann) groups=1000(ann),27(sudo)"; a group without a name is its number."""
    uid = re.match(r"uid=(\d{1,10})\b", text)
    if uid is None:
        raise CannotLook("the id command does not tell who this is")
    return User(uid=int(uid[1]), groups=tuple(name or number for number, name in _groups(text)))


def _groups(text: str) -> list[tuple[str, str]]:
    told = GROUPS.search(text)
    return GROUP.findall(told[1]) if told else []


def own_name(text: str) -> str:
    name = re.match(r"uid=\d{1,10}\(([^()]{1,256})\)", text)
    return name[1] if name else ""


def kept(text: str, rename: Callable[[str], str] = str) -> str:
    """What parse() reads, its groups under other names."""
    uid = re.match(r"uid=\d{1,10}\b", text)
    groups = ",".join(f"{number}({rename(name)})" if name else number for number, name in _groups(text))
    return f"{uid[0]}{' groups=' * bool(groups)}{groups}\n" if uid else ""
