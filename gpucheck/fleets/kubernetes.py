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
from dataclasses import replace
from typing import Any

from gpucheck.fleets import kubernetes_manifests as manifests
from gpucheck.fleets import kubernetes_nodes
from gpucheck.fleets import kubernetes_world as worlds
from gpucheck.fleets.kubernetes_api import AT_A_TIME, Cluster
from gpucheck.fleets.kubernetes_home import Begun, home
from gpucheck.fleets.kubernetes_manifests import INDEX, NODE, OPTIONS
from gpucheck.fleets.kubernetes_nodes import Node
from gpucheck.fleets.runs import Answer, Asked, with_devices
from gpucheck.model import Failure, Say

__all__ = ["FILE", "OPTIONS", "render", "run"]
FILE = "gpucheck.yaml"  # of what render() gives


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
    gpus = {node.name: _gpus(node, told) for node in nodes}
    free = {name: count for name, (count, why) in gpus.items() if why is None}
    if asked.world:
        worlds.check([*gpus], free)
        count = None if "cdi" in told else next(iter(free.values()), 0)
        asked = replace(asked, command=with_devices(asked.command, count))
    jobs = [
        manifests.job(asked, told, made, index, name, free[name]) for index, name in enumerate(gpus) if name in free
    ]
    try:
        yield from (begun.answer(name, why=why) for name, (_, why) in gpus.items() if why is not None)
        if asked.world and len(jobs) < 2:
            yield from (begun.answer(name, why="no other node is free to make a world with") for name in free)
            return
        if asked.world:
            worlds.joined(jobs, made)
        yield from _created(begun, jobs, say)
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
    if asked.world:
        worlds.check(names, {})
        asked = replace(asked, command=with_devices(asked.command, None if "cdi" in told else gpus))
    jobs = [manifests.job(asked, told, made, index, name, gpus) for index, name in enumerate(names)]
    access = [*manifests.access(told["namespace"])]
    if not asked.world:
        return manifests.text((*access, *jobs))
    worlds.joined(jobs, made)
    for each in access:
        if each["kind"] == "Role":
            each["rules"].append(worlds.RULE)
    return manifests.text((*access, worlds.service(jobs[0], made, None), *jobs))


def _created(begun: Begun, jobs: Sequence[dict[str, Any]], say: Say) -> Iterator[Answer]:
    """Raises Failure where the cluster takes not even the first, or no Service of a world."""
    if jobs:
        uid = begun.cluster.create(jobs[0])
        if begun.asked.world:
            begun.cluster.create_service(worlds.service(jobs[0], begun.cluster.run, uid))
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
