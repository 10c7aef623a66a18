"""SkyPilot: a task for all nodes of a cluster; `sky launch` runs it, not gpucheck, and rsync brings reports home."""

from __future__ import annotations

import math
import shlex

from gpucheck.fleets.rendered import command, filled, options, written
from gpucheck.fleets.runs import Asked
from gpucheck.model import Failure

OPTIONS = {
    "num_nodes": (r"[1-9]\d{0,3}", "-O num_nodes=4: how many nodes the cluster has"),
    "cluster": (r"[a-z]([a-z0-9-]{0,48}[a-z0-9])?", "-O cluster=NAME: small letters, digits, -"),
    "accelerators": (r"[\w.-]+(:[\d.]+)?", "-O accelerators=H100:8, of each node"),
    "infra": (r"[\w.*-]+(/[\w.*-]+){0,2}", "-O infra=aws/us-east-1, kubernetes, ssh/POOL"),
    "package": (r"[ -~]+", "-O package='gpucheck @ https://…': what pip is asked for; without it, gpucheck is there"),
}
FILE = "gpucheck.yaml"
SETUP = """\
  export PATH="$HOME/.local/bin:$PATH"
  [ -d "$HOME/gpucheck" ] || uv venv --python 3.12 "$HOME/gpucheck"
  uv pip install --python "$HOME/gpucheck/bin/python" {package}
"""  # SkyPilot brings uv, which brings a Python that is new enough


def render(asked: Asked) -> str:
    """The task. Raises Failure."""
    told = options(asked, OPTIONS)
    if asked.nodes:
        raise Failure("SkyPilot names its nodes itself", OPTIONS["num_nodes"][1])
    if "num_nodes" not in told:
        raise Failure("how many nodes there are was not told", OPTIONS["num_nodes"][1])
    cluster, number = told.get("cluster", "gpucheck"), int(told["num_nodes"])
    names = (cluster, *(f"{cluster}-worker{worker}" for worker in range(1, number)))
    resources = {name: told[name] for name in ("infra", "accelerators") if name in told}
    setup = SETUP.format(package=shlex.quote(told["package"])) if "package" in told else ""
    return filled(
        "skypilot.yaml", number=str(number), names=" ".join(names), cluster=cluster, resources=written(resources),
        setup=setup.rstrip("\n"), seconds=str(math.ceil(asked.deadline)), command=shlex.join(command(asked)),
        asked=asked.command[0],
    )  # fmt: skip
