"""The manifests: a Job for each node, from one template, and what whoever runs them may do in the cluster.

A Job a node and neither one Indexed Job nor a DaemonSet: whatever its spread, an Indexed Job promises no pod on each
given node, and a DaemonSet's pod never ends but begins anew. The node is bound by affinity and not by nodeName, so that
the scheduler still counts the GPUs, and says why it cannot.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from gpucheck.fleets.runs import Asked, known, printable
from gpucheck.model import Failure

DATA = Path(__file__).parents[1] / "data" / "kubernetes"
RUN, INDEX, NODE = "gpucheck-run", "gpucheck-index", "gpucheck-node"  # two labels, an annotation
CONTAINER, JOB = "gpucheck", "gpucheck-{run}-{index}"
GPU = "nvidia.com/gpu"
UNHEALTHY = "gpucheck/unhealthy"  # the key of the taint that `fleet drain` sets
OPTIONS = {
    "image": "the image with gpucheck in it; needed",
    "namespace": "where the Jobs go; it exists already (gpucheck)",
    "selector": "nodes with these labels, as kubectl's -l: a=b,c",
    "gpus": "GPUs that each pod takes: all that its node has (the default), a number, 0",
    "resource": f"what a GPU is called there ({GPU})",
    "cdi": "instead of taking GPUs, this CDI device by NVIDIA's NRI plugin: management.nvidia.com/gpu=all",
    "runtime": "runtimeClassName: nvidia, where it is not the nodes' default",
    "tolerate": "keys of taints, a,b, besides that of the GPUs and ours: their nodes are asked too",
    "env": "variables of each pod: 'NCCL_SOCKET_IFNAME=eth1;NCCL_DEBUG=INFO'",
    "pull": "imagePullPolicy: Always, IfNotPresent, Never",
    "context": "of the kubeconfig, instead of its current one",
}
SLACK = 30  # seconds by which a Job outlives the run: its controller deletes the pods of one that is late
VARIABLE = r"[A-Za-z_][A-Za-z0-9_]{0,99}=[ -#%-:<-~]{0,500}"  # neither ; nor $, which a kubelet would expand
IMAGE = "`-O image=REGISTRY/NAME:TAG`: Python 3.11 or newer and gpucheck, for any user to read"
ADVICE = {
    "image": (r"[A-Za-z0-9][A-Za-z0-9._/:@-]{0,499}", IMAGE),
    "namespace": (r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "small letters, digits and -"),
    "resource": (r"[A-Za-z0-9.-]{1,253}/[A-Za-z0-9._-]{1,63}", f"as in {GPU}, nvidia.com/mig-1g.10gb"),
    "gpus": (r"all|\d{1,4}", "all, or a number; 0 takes none"),
    "cdi": (r"[A-Za-z0-9.-]+/[A-Za-z0-9_.-]+=[A-Za-z0-9_.:-]+", "as in management.nvidia.com/gpu=all"),
    "runtime": (r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?", "`kubectl get runtimeclass` lists them"),
    "tolerate": (r"[A-Za-z0-9._/-]{1,317}(,[A-Za-z0-9._/-]{1,317})*", "as in `-O tolerate=dedicated,team`"),
    "env": (rf"{VARIABLE}(;{VARIABLE})*", "as in `-O 'env=NCCL_SOCKET_IFNAME=eth1;NCCL_DEBUG=INFO'`, without $"),
    "pull": (r"Always|IfNotPresent|Never", "Always, IfNotPresent or Never"),
}


def options(asked: Asked) -> Mapping[str, str]:
    """All of them, those untold as they are then. Raises Failure for what no manifest can have."""
    known(asked, OPTIONS)
    if asked.command[0] != "doctor" and not any(word.partition("=")[0] == "--python" for word in asked.command):
        raise Failure(
            f"{asked.command[0]} needs a Docker Engine, and a pod has none",
            f"--command '{asked.command[0]} --python PATH', an interpreter of the image with the framework; or doctor",
        )
    told = {"namespace": "gpucheck", "resource": GPU, "gpus": "all", **asked.options}
    if "image" not in told:
        raise Failure("no image was named", IMAGE)
    fit(told)
    return told


def fit(told: Mapping[str, str]) -> None:
    """Raises Failure for what no manifest can have."""
    for name, (pattern, advice) in ADVICE.items():
        if name in told and not re.fullmatch(pattern, told[name]):
            raise Failure(f"{name} is {printable(told[name])!r}", advice)


def tolerated(told: Mapping[str, str]) -> tuple[str, ...]:
    """Ours too: how else would a node that is mended be seen to be?"""
    return (GPU, UNHEALTHY, *filter(None, told.get("tolerate", "").split(",")))


def job(asked: Asked, told: Mapping[str, str], run: str, index: int, node: str, gpus: int) -> dict[str, Any]:
    made: dict[str, Any] = next(_template("job.yaml"))
    about, spec, template = made["metadata"], made["spec"], made["spec"]["template"]
    about |= {"name": JOB.format(run=run, index=index), "namespace": told["namespace"]}
    for each in (about, template["metadata"]):
        each["labels"] |= {RUN: run, INDEX: str(index)}
        each["annotations"][NODE] = node
    spec["activeDeadlineSeconds"] = math.ceil(asked.deadline) + SLACK
    pod = template["spec"]
    (container,) = pod["containers"]
    pod["hostname"] = node.partition(".")[0][:63].rstrip("-")  # what the report calls its host
    wanted = {"key": "metadata.name", "operator": "In", "values": [node]}
    needed = pod["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]
    needed["nodeSelectorTerms"] = [{"matchFields": [wanted]}]
    pod["tolerations"] = [{"key": key, "operator": "Exists"} for key in tolerated(told)]
    container |= {"image": told["image"], "command": [*asked.program, *asked.command]}
    if "runtime" in told:
        pod["runtimeClassName"] = told["runtime"]
    pairs = (each.partition("=") for each in told.get("env", "").split(";") if each)
    container["env"] += [{"name": name, "value": value} for name, _, value in pairs]
    if "pull" in told:
        container["imagePullPolicy"] = told["pull"]
    if "cdi" in told:
        template["metadata"]["annotations"][f"nvidia.cdi.k8s.io/container.{CONTAINER}"] = told["cdi"]
    elif gpus:
        container["resources"]["limits"][told["resource"]] = str(gpus)
    if asked.command[0] == "verify":
        _trains(pod, max(gpus, 1))
    return made


def _trains(pod: dict[str, Any], devices: int) -> None:
    """NCCL's ranks meet in /dev/shm, which is 64 MiB unless told; the evidence lies in /tmp."""
    (container,) = pod["containers"]
    container["resources"]["requests"] = {"cpu": str(devices), "memory": f"{4 + 4 * devices}Gi"}
    container["volumeMounts"].append({"name": "shm", "mountPath": "/dev/shm"})  # noqa: S108 - the pod's
    pod["volumes"] = [
        {"name": "tmp", "emptyDir": {"sizeLimit": "8Gi"}},
        {"name": "shm", "emptyDir": {"medium": "Memory", "sizeLimit": f"{1 + devices}Gi"}},
    ]


def access(namespace: str, template: str = "access.yaml") -> Iterator[dict[str, Any]]:
    """A namespace, and an account in it that may do what a run does, and no more; drain.yaml: what a drain does."""
    for made in _template(template):
        if made["kind"] == "Namespace":
            made["metadata"]["name"] = namespace
        elif "namespace" in made["metadata"]:
            made["metadata"]["namespace"] = namespace
        for subject in made.get("subjects", ()):
            subject["namespace"] = namespace
        yield made


def text(manifests: Iterable[dict[str, Any]]) -> str:
    made: str = yaml.dump_all(manifests, Dumper=_Plain, sort_keys=False, explicit_start=True, width=120)
    return made


class _Plain(yaml.SafeDumper):
    """Quotes whatever begins as a number does: a node called 1e5 is one to YAML 1.2, and a name to PyYAML."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, '"' if re.match(r"[-+.\d]", text) else None)


_Plain.add_representer(str, _text)


def _template(name: str) -> Iterator[dict[str, Any]]:
    read = (DATA / name).read_text(encoding="utf-8")
    return iter(yaml.safe_load_all(read))
