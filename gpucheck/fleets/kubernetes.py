"""Kubernetes: a Job for each node, bound to it by affinity, its report from its pod's log; all deleted at the end.

Nothing is made before it is known that it may be deleted. A node that is cordoned, tainted or not ready is left alone
and told; one whose pod finds no place until the deadline is told with the scheduler's own reason.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

from gpucheck.fleets import kubernetes_manifests as manifests
from gpucheck.fleets import kubernetes_nodes
from gpucheck.fleets.kubernetes_api import AT_A_TIME, Cluster
from gpucheck.fleets.kubernetes_home import Begun, home
from gpucheck.fleets.kubernetes_manifests import INDEX, NODE, OPTIONS
from gpucheck.fleets.kubernetes_nodes import Node
from gpucheck.fleets.runs import Answer, Asked
from gpucheck.model import Failure, Say

__all__ = ["OPTIONS", "render", "run"]


def run(asked: Asked, say: Say) -> Iterator[Answer]:
    """See gpucheck.fleets.runs."""
    told = manifests.options(asked)
    wanted = kubernetes_nodes.names(asked.nodes)
    made = f"r{secrets.token_hex(4)}"  # a label of digits alone would be a number
    cluster = Cluster(told.get("context"), told["namespace"], made)
    begun = Begun(cluster, asked, time.monotonic())
    nodes = kubernetes_nodes.chosen(wanted, cluster.nodes(told.get("selector")), told, manifests.tolerated(told))
    cluster.pods()
    cluster.end()  # of nothing yet: whoever may not delete and list shall not create
    fit: list[dict[str, Any]] = []
    try:
        for index, node in enumerate(nodes):
            gpus, why = _gpus(node, told)
            if why is None:
                fit.append(manifests.job(asked, told, made, index, node.name, gpus))
            else:
                yield begun.answer(node.name, why=why)
        yield from _created(begun, fit, say)
        yield from home(begun, say)
    finally:
        with suppress(Failure):  # ttlSecondsAfterFinished and activeDeadlineSeconds end them, should it be away
            cluster.end()


def render(asked: Asked) -> str:
    """All manifests as one YAML, for GitOps; no cluster is asked. Raises Failure for what only a cluster knows."""
    told, made = manifests.options(asked), f"r{secrets.token_hex(4)}"
    names = kubernetes_nodes.names(asked.nodes)
    if not names or any(letter in name for name in names for letter in "*?"):
        raise Failure("manifests need the nodes by name: no cluster is asked",
                      "--nodes gpu-1,gpu-2; `kubectl get nodes -o name` lists them")  # fmt: skip
    if told["gpus"] == "all" and "cdi" not in told:
        raise Failure("how many GPUs a node has, only the cluster knows", "-O gpus=8")
    gpus = 0 if "cdi" in told else int(told["gpus"])
    jobs = (manifests.job(asked, told, made, index, name, gpus) for index, name in enumerate(names))
    return manifests.text((*manifests.access(told["namespace"]), *jobs))


def _created(begun: Begun, jobs: Sequence[dict[str, Any]], say: Say) -> Iterator[Answer]:
    """Raises Failure where the cluster takes not even the first."""
    if jobs:
        begun.cluster.create(jobs[0])
    with ThreadPoolExecutor(AT_A_TIME, "gpucheck-job") as pool:  # left early, it waits: all are there to be deleted
        futures = [pool.submit(begun.cluster.create, job) for job in jobs[1:]]
        try:
            for number, job in enumerate(jobs):
                about = job["metadata"]
                node = about["annotations"][NODE]
                say(f"{number} of {len(jobs)} nodes have their Job", None)
                if number and (refusal := futures[number - 1].exception()):
                    if not isinstance(refusal, Failure):
                        raise refusal
                    yield begun.answer(node, why=str(refusal))
                else:
                    begun.waiting[about["labels"][INDEX]] = node
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def _gpus(node: Node, told: Mapping[str, str]) -> tuple[int, str | None]:
    """How many its pod takes, or why it is not asked."""
    if node.state or "cdi" in told:
        return 0, node.state
    if told["gpus"] == "all":
        return node.gpus, None if node.gpus else f"it has no {told['resource']} to give: is its device plugin well?"
    wanted = int(told["gpus"])
    return wanted, f"it has {node.gpus} GPUs of the {wanted} that were asked for" if wanted > node.gpus else None
