"""Who runs gpucheck: what decides whether a device node, or a socket, may be opened."""

from __future__ import annotations

import re

from gpucheck.facts import User
from gpucheck.host import CannotLook, Host

COMMAND = ("id",)
NAMED = re.compile(r"(\d{1,10})\(([^()\s,]{1,64})\)")


def probe(host: Host) -> User:
    return parse(host.run(COMMAND).out)


def parse(text: str) -> User:
    """id(1): "uid=1000(ann) gid=1000(ann) groups=1000(ann),27(sudo)"; a group without a name is its number."""
    uid = re.match(r"uid=(\d{1,10})\b", text)
    if uid is None:
        raise CannotLook("the id command does not tell who this is")
    groups = re.search(r"\bgroups=(\S*)", text)
    named = [re.sub(r"^\d+\((.*)\)$", r"\1", group) for group in groups[1].split(",")] if groups else []
    return User(uid=int(uid[1]), groups=tuple(name for name in named if name))


def kept(text: str) -> str:
    """Without the user's name, and the group of that name."""
    own = re.match(r"uid=\d{1,10}\(([^()\s,]{1,64})\)", text)
    return NAMED.sub(lambda m: f"{m[1]}(user)" if own and m[2] == own[1] != "root" else m[0], text)
