"""Ansible: a playbook that asks every host and brings each report home; Ansible runs it, not gpucheck."""

from __future__ import annotations

import math
import re

from gpucheck.fleets.rendered import GRACE, command, filled, options, written
from gpucheck.fleets.runs import Asked, printable
from gpucheck.model import Failure

OPTIONS: dict[str, tuple[str, str]] = {}
FILE = "gpucheck.yaml"
PATTERN = re.compile(r"[\w.,:&!~*?\[\]@^$()|+-]+")  # of hosts, as Ansible has them
PATIENCE = 60  # seconds that Ansible has for its own part of the task


def render(asked: Asked) -> str:
    """The playbook. Raises Failure."""
    options(asked, OPTIONS)
    for pattern in asked.nodes:
        if not PATTERN.fullmatch(pattern):
            raise Failure(f"{printable(pattern)!r} is no pattern of Ansible's", "--nodes 'gpu:!gpu-7'; without it, all")
    seconds = math.ceil(asked.deadline)
    words = command(asked)
    for word in words:
        if re.search(r"\{[{%#]", word):
            raise Failure(f"Ansible would take {printable(word)!r} for a template of its own", "leave its braces out")
    return filled(
        "ansible.yaml", hosts=written(list(asked.nodes) or "all"), asked=asked.command[0],
        seconds=str(seconds),
        argv=written(["timeout", "-k", str(GRACE), str(seconds), *words]), patience=str(seconds + GRACE + PATIENCE),
    )  # fmt: skip
