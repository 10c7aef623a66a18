"""What makes one world of the Jobs of a run: a headless Service, by which their pods know each other by name.

Kubernetes' "DNS for Services and Pods": a pod with a hostname, and the Service's name as its subdomain, has the name
HOSTNAME.SERVICE in its namespace, and with publishNotReadyAddresses before it is ready. The first Job owns the Service.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gpucheck.fleets.kubernetes_manifests import RUN
from gpucheck.model import Failure

PORT = 29400  # as `verify --world` has it, too; the pods' networks are their own
SERVICE = "gpucheck-{run}"
RULE = {"apiGroups": [""], "resources": ["services"], "verbs": ["create"]}  # of a Role, besides what other runs need


def check(nodes: Sequence[str], gpus: Mapping[str, int]) -> None:
    """Raises Failure for nodes that are no world. `gpus`: what each pod of those that are free takes."""
    if len(nodes) < 2:
        raise Failure(f"a world has two nodes at least, and only {nodes[0]} is meant", "more --nodes")
    counts = {count: name for name, count in gpus.items()}
    if len(counts) > 1:
        told = ", ".join(f"{name} has {count}" for count, name in sorted(counts.items()))
        raise Failure(f"the nodes of a world have as many GPUs each, and {told}", f"`-O gpus={min(counts)}`")


def joined(jobs: Sequence[dict[str, Any]], run: str) -> None:
    """Each Job's command and name in the world, in place."""
    service = SERVICE.format(run=run)
    pods = [job["spec"]["template"]["spec"] for job in jobs]
    if len({pod["hostname"] for pod in pods}) < len(pods):  # a.rack-1 and a.rack-2
        for index, pod in enumerate(pods):
            pod["hostname"] = f"{pod['hostname'][:50].rstrip('-')}-{index}"
    hosts = ",".join(f"{pod['hostname']}.{service}" for pod in pods)
    for rank, pod in enumerate(pods):
        pod["subdomain"] = service
        pod["containers"][0]["command"] += ["--world", f"{rank}@{hosts}:{PORT}"]


def service(first: Mapping[str, Any], run: str, uid: str | None) -> dict[str, Any]:
    """`uid` of the first Job, with which the Service goes; None where no cluster has made it yet."""
    name, namespace = first["metadata"]["name"], first["metadata"]["namespace"]
    owner = {"apiVersion": first["apiVersion"], "kind": first["kind"], "name": name, "uid": uid}
    labels = {"app.kubernetes.io/name": "gpucheck", RUN: run}
    about: dict[str, Any] = {"name": SERVICE.format(run=run), "namespace": namespace, "labels": labels}
    return {
        "apiVersion": "v1", "kind": "Service",
        "metadata": about | ({"ownerReferences": [owner]} if uid else {}),
        "spec": {
            "clusterIP": "None", "publishNotReadyAddresses": True, "selector": {RUN: run},
            "ports": [{"name": "world", "port": PORT}],
        },
    }  # fmt: skip
