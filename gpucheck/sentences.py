"""What commands complain of, without the names of machines and users in it: of each complaint what a probe reads."""

from __future__ import annotations

import re
from collections.abc import Sequence

from gpucheck.probes import docker

LONGEST = 500  # characters of what a command says: more is none of its sentences
# Names of machines and users in what commands say. A file's name (docker.sock) is not one.
SAID = tuple((re.compile(pattern), instead) for pattern, instead in (
    (r"\b(tcp|ssh|https?)://[^\s\"'\]]*[^\s\"'\].,:;?]", r"\1://host"),
    (r"[\w.+-]+@[\w.-]*\w", "user@host"),
    (r"(\s-(?:l|-login))[ =]\S+", r"\1 user"),
    (r"( -- )\S+", r"\1host"),
    (r"\b(lookup|resolve hostname|connect to host) [\w.-]*\w", r"\1 host"),
    (r"\b(context|user) \"[^\"]*\"", r'\1 "\1"'),
    (r"\b\d{10,}\b", "number"),  # a serial, perhaps
    (r"\[?(?<![\w:])[0-9a-f]*(?::[0-9a-f]*){2,}\b\]?|\b\d+(?:\.\d+){3}\b", "host"),
    (r"(?<![\w/.%-])(?:[\w-]+\.)+(?!sock\b|socket\b|service\b|json\b|so\b)[a-zA-Z][\w-]+(?!\w)", "host"),
))  # fmt: skip


def kept(argv: Sequence[str], err: str) -> str:
    """The first line and the last, and those that tell of what was asked; of Docker the last alone."""
    if argv[0] in ("docker", "podman"):
        return last(err)
    said = [line[:LONGEST] for line in err.splitlines() if line.strip()]
    asked, found = frozenset(argv[1:]), []
    for number, line in enumerate(said):
        word = _word(line)
        if word in asked:
            before, _, after = line.partition(word)
            found.append(f"{masked(before)}{word}{masked(after)}")
        elif number in (0, len(said) - 1):
            found.append(masked(line))
    return "".join(f"{line}\n" for line in found)


def _word(line: str) -> str:
    """The file or package that stat and dpkg-query tell of."""
    quoted = re.search(r"'([^']{1,400})'", line)
    return quoted[1] if quoted else line.rpartition(" ")[2]


def last(text: str) -> str:
    """The one line that the probe reads: before it may be the greeting of an SSH server."""
    return masked(docker.last_line(text) or "")


def masked(line: str) -> str:
    line = line[:LONGEST]
    for pattern, instead in SAID:
        line = pattern.sub(instead, line)
    return line
