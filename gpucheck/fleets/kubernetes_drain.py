"""What becomes of a node, told to Kubernetes: taint, label and annotation in one patch, and then the condition.

The taints of a node are one list, which a patch replaces as a whole: each carries the resourceVersion of the list that
it was made from, so that a taint which came meanwhile is never lost. NoSchedule: what runs there goes on running.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gpucheck import codec
from gpucheck.draining import Decision, Standing
from gpucheck.fleets import kubernetes_manifests as manifests
from gpucheck.fleets import kubernetes_nodes
from gpucheck.fleets.kubernetes_api import FORBIDDEN, Cluster, Refused
from gpucheck.fleets.kubernetes_manifests import GPU, UNHEALTHY
from gpucheck.fleets.runs import Asked, known, printable
from gpucheck.marks import Memory
from gpucheck.model import Failure
from gpucheck.nodes import moment

OPTIONS = {
    "resource": manifests.OPTIONS["resource"],
    "context": manifests.OPTIONS["context"],
    "namespace": "of the account that --render prints (gpucheck)",
}
LABEL, STATE, CONDITION = "gpucheck/verdict", "gpucheck/state", "GPUCheckFailed"
EFFECT = "NoSchedule"
TRIES = 4  # of one patch; a kubelet writes its node every few seconds
PAUSE = 0.5  # seconds, a little longer each time
SILENT = 3  # nodes in a row: then there is no server any more
LARGEST = 4096  # characters of a state
ROLE = "`gpucheck fleet drain --engine kubernetes --render` prints a ClusterRole with what it needs"
Raw = Mapping[str, Any]


@dataclass
class Nodes:
    """Those of a cluster, as they were read last."""

    cluster: Cluster
    resource: str
    found: dict[str, Raw]
    lacking: dict[str, None] = field(default_factory=dict)  # the rights, as "patch nodes"
    silent: int = 0

    def standings(self) -> list[Standing]:
        return [standing(raw, self.resource) for raw in self.found.values()]

    def do(self, decision: Decision) -> tuple[bool, str]:
        """Whether it is out, or back, now; and what could not be done, empty where all was."""
        name, memory = decision.node, decision.memory
        before = _state(self.found[name])
        if before != (memory is not None, memory):
            why = self._tell(
                name, lambda raw: self.cluster.patch_node(name, _patch(raw, memory)),
                lambda raw: _changed(raw, before, memory),
            )  # fmt: skip
            if why:
                return False, why
        if _shown(self.found[name]) == (memory and memory.message):
            return True, ""
        why = self._tell(
            name, lambda raw: self.cluster.patch_node_status(name, _condition(raw, memory)),
            lambda raw: "" if _shown(raw) == (memory and memory.message) else None,
        )  # fmt: skip
        return True, f"its condition was not written, the next run does: {why}" if why else ""

    def missing(self) -> tuple[str, str] | None:
        """The rights that were lacking, in one sentence, and a tip."""
        return (f"no permission to {' and to '.join(self.lacking)}", ROLE) if self.lacking else None

    def _tell(self, name: str, write: Callable[[Raw], None], settled: Callable[[Raw], str | None]) -> str:
        """Why not; empty where it was told. After a conflict, or no answer, the node is read anew, and `settled` says
        of it whether there is nothing to be done any more ("") or must not (why)."""
        if self.silent >= SILENT:
            return f"not tried: {self.cluster.server} did not answer for {SILENT} nodes in a row"
        why, silent = "", True
        for attempt in range(TRIES):
            try:
                if attempt:
                    time.sleep(PAUSE * attempt)
                    self.found[name] = self.cluster.node(name)
                    if (end := settled(self.found[name])) is not None:
                        self.silent = 0
                        return end
                write(self.found[name])
            except Refused as refusal:
                why, silent = str(refusal), silent and refusal.status == 0
                if right := FORBIDDEN.search(why):
                    self.lacking[f"{right[2]} {right[3]}"] = None
                if refusal.status not in (0, 409, 429) and refusal.status < 500:
                    break
            else:
                why, silent = "", False
                break
        self.silent = self.silent + 1 if silent else 0
        return why


def asked(options: Mapping[str, str]) -> Nodes:
    """Raises Failure."""
    told = _options(options)
    cluster = Cluster(told.get("context"), told["namespace"], "")
    try:
        nodes = cluster.nodes(None)
    except Refused as refusal:
        raise Failure(str(refusal), ROLE if refusal.status == 403 else refusal.tip) from refusal
    return Nodes(cluster, told["resource"], {str((each.get("metadata") or {}).get("name")): each for each in nodes})


def render(options: Mapping[str, str]) -> str:
    """What whoever drains may do, as YAML. Raises Failure."""
    return manifests.text(manifests.access(_options(options)["namespace"], "drain.yaml"))


def standing(raw: Raw, resource: str) -> Standing:
    out, memory = _state(raw)
    about = kubernetes_nodes.node(raw, resource, ())
    return Standing(
        name=about.name, gpus=about.has_gpus, out=out, memory=memory, shown=_shown(raw),
        born=moment(str((raw.get("metadata") or {}).get("creationTimestamp"))),
        otherwise="cordoned" if (raw.get("spec") or {}).get("unschedulable") else "",
    )  # fmt: skip


def _options(options: Mapping[str, str]) -> Mapping[str, str]:
    known(Asked(command=(), options=options), OPTIONS)
    told = {"namespace": "gpucheck", "resource": GPU, **options}
    manifests.fit(told)
    return told


def _taints(raw: Raw) -> list[dict[str, Any]]:
    return [each for each in (raw.get("spec") or {}).get("taints") or () if isinstance(each, dict)]


def _ours(taint: Raw) -> bool:
    return (taint.get("key"), taint.get("effect")) == (UNHEALTHY, EFFECT)


def _state(raw: Raw) -> tuple[bool, Memory | None]:
    """Whether it has our taint, and what the annotation keeps; one that cannot be read is none."""
    text = ((raw.get("metadata") or {}).get("annotations") or {}).get(STATE)
    memory = None
    if isinstance(text, str) and len(text) <= LARGEST:
        try:
            found = codec.load(Memory, json.loads(text))
        except (ValueError, RecursionError):
            found = None
        if found and found.clean >= 0 and moment(found.since) and moment(found.counted):
            memory = found
    return any(map(_ours, _taints(raw))), memory


def _changed(raw: Raw, before: tuple[bool, Memory | None], memory: Memory | None) -> str | None:
    now = _state(raw)
    if now == (memory is not None, memory):
        return ""
    return None if now == before else "somebody has changed it meanwhile: the next run decides"


def _patch(raw: Raw, memory: Memory | None) -> dict[str, Any]:
    """All at once, or nothing. null takes away."""
    taints = [each for each in _taints(raw) if not _ours(each)]
    if memory:
        taints.append({"key": UNHEALTHY, "value": value(memory.rule), "effect": EFFECT})
    kept = json.dumps(codec.dump(memory), ensure_ascii=False) if memory else None
    version = (raw.get("metadata") or {}).get("resourceVersion")
    about = {"resourceVersion": version, "labels": {LABEL: "fail" if memory else None}, "annotations": {STATE: kept}}
    return {"metadata": about, "spec": {"taints": taints or None}}


def value(rule: str) -> str:
    """As a taint may have it: letters, digits, -, _ and ., at most 63, a letter or a digit at both ends."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", rule)[:63].strip("._-") or "failed"


def _condition(raw: Raw, memory: Memory | None) -> dict[str, Any]:
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    made = {"type": CONDITION, "status": "True" if memory else "False", "lastHeartbeatTime": now,
            "reason": "RuleFailed" if memory else "ReportsAreClean",
            "message": memory.message if memory else "no rule of severity error fails"}  # fmt: skip
    if (_shown(raw) is not None) != (memory is not None):
        made["lastTransitionTime"] = now
    return {"status": {"conditions": [made]}}


def _shown(raw: Raw) -> str | None:
    """What our condition tells, where it is true."""
    conditions = (raw.get("status") or {}).get("conditions") or ()
    ours: Raw = next((each for each in conditions if each.get("type") == CONDITION), {})
    return printable(str(ours.get("message", ""))) if ours.get("status") == "True" else None
