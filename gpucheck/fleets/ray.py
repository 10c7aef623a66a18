"""Ray: a script that asks every node by a task bound to it; `ray job submit` runs it, not gpucheck."""

from __future__ import annotations

import re

from gpucheck.fleets.rendered import command, filled, options
from gpucheck.fleets.runs import Asked, printable
from gpucheck.model import Failure

OPTIONS = {
    "gpus": (r"all|\d{1,4}", "all that a node has (the default), a number, 0: looks on beside the jobs that run")
}
FILE = "gpucheck_ray.py"
NAME = re.compile(r"[\w.:-]{1,255}")


def render(asked: Asked) -> str:
    """The script. Raises Failure."""
    told = options(asked, OPTIONS)
    nodes = [name.strip() for names in asked.nodes for name in names.split(",")]
    for name in nodes:
        if not NAME.fullmatch(name):
            raise Failure(f"{printable(name)!r} is no name of a node", "host names or addresses: --nodes n1,10.0.0.2")
    gpus = told.get("gpus", "all")
    return filled(
        "ray.txt", command=repr(list(command(asked))), seconds=repr(float(asked.deadline)), nodes=repr(nodes),
        gpus="None" if gpus == "all" else str(int(gpus)),
    )  # fmt: skip
