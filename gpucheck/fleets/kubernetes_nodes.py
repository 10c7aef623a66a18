"""Which nodes of a cluster are asked, and why the others of them cannot be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from gpucheck.fleets.runs import none_such, printable
from gpucheck.model import Failure

NAME = re.compile(r"[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?")
SETS = "as in `--nodes gpu-1,gpu-2` or `--nodes 'gpu-*'`; `-O selector=LABELS` chooses by labels"
CORDON = "node.kubernetes.io/unschedulable"
# A node whose device plugin has died has no GPUs to give, and is a GPU node all the same: by NVIDIA's operator, by NFD.
PRESENT = re.compile(r"nvidia\.com/gpu\.present|feature\.node\.kubernetes\.io/pci-(?:030[02]_)?10de\.present")


@dataclass(frozen=True, kw_only=True, slots=True)
class Node:
    name: str
    gpus: int  # allocatable
    has_gpus: bool
    state: str | None  # why it takes no pod of ours


def names(sets: Iterable[str]) -> tuple[str, ...]:
    """Those of `--nodes`, each once. Raises Failure for what no node is called."""
    found = dict.fromkeys(word.strip() for text in sets for word in text.split(",") if word.strip())
    for name in found:
        if not NAME.fullmatch(re.sub(r"[*?]", "x", name)):
            raise Failure(f"{printable(name)!r} is no name of a node", SETS)
    return tuple(found)


def chosen(wanted: Sequence[str], nodes: Iterable[Mapping[str, Any]], told: Mapping[str, str],
           tolerated: Sequence[str]) -> list[Node]:  # fmt: skip
    """Those that are named; of all others those with GPUs, or all that the labels select. Raises Failure."""
    there = {node.name: node for node in (node(each, told["resource"], tolerated) for each in nodes)}
    found: dict[str, Node] = {}
    for name in wanted:
        matched = [each for each in there if fnmatchcase(each, name)]
        if not matched:
            raise none_such("node", name, there)
        found |= {each: there[each] for each in matched}
    if not wanted:
        found = {name: node for name, node in there.items() if node.has_gpus or "selector" in told}
    if not found and "selector" in told:
        raise Failure(f"no node has the labels {printable(told['selector'])!r}", "`kubectl get nodes --show-labels`")
    if not found:
        raise Failure(f"none of the {len(there)} nodes has {told['resource']}",
                      "is the device plugin there? --nodes NAMES asks all the same")  # fmt: skip
    return [found[name] for name in sorted(found)]


def node(about: Mapping[str, Any], resource: str, tolerated: Sequence[str]) -> Node:
    metadata, status = about.get("metadata") or {}, about.get("status") or {}
    gpus = _count((status.get("allocatable") or {}).get(resource))
    labelled = any(PRESENT.fullmatch(key) and value == "true" for key, value in (metadata.get("labels") or {}).items())
    return Node(
        name=str(metadata.get("name")), gpus=gpus, state=_state(about, tolerated),
        has_gpus=gpus > 0 or resource in (status.get("capacity") or {}) or labelled,
    )  # fmt: skip


def _state(about: Mapping[str, Any], tolerated: Sequence[str]) -> str | None:
    spec, conditions = about.get("spec") or {}, (about.get("status") or {}).get("conditions") or ()
    ready: Mapping[str, Any] = next((each for each in conditions if each.get("type") == "Ready"), {})
    if ready.get("status") != "True":
        said = printable(f"{ready.get('reason', '')}: {ready.get('message', '')}").strip(": ")
        return f"it is NotReady ({said or 'its kubelet has said nothing'})"
    if spec.get("unschedulable") and CORDON not in tolerated:
        return f"it is cordoned; `-O tolerate={CORDON}` asks it all the same"
    for taint in spec.get("taints") or ():
        if taint.get("effect") in ("NoSchedule", "NoExecute") and taint.get("key") not in tolerated:
            key, value = str(taint.get("key")), taint.get("value")
            said = printable(f"{key}{f'={value}' if value else ''}:{taint['effect']}")
            return f"it is tainted {said}; `-O tolerate={printable(key)}` asks it all the same"
    return None


def _count(quantity: object) -> int:
    return int(str(quantity)) if re.fullmatch(r"\d{1,6}", str(quantity)) else 0
