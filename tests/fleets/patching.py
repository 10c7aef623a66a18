"""What an API server makes of a patch of a node, as far as the engine sends any.

RFC 7396 for the node; strategic for its status, whose conditions merge by their type, while the taints are one list
(`x-kubernetes-list-type: atomic` and no merge key in the official OpenAPI of NodeSpec). A resourceVersion in the patch
is a precondition (kubernetes/kubernetes#63104). Keys and values as `kubectl taint --help` and `kubectl label --help`
tell them.
"""

from __future__ import annotations

import copy
import re
from typing import Any

NAME = r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?"
KEY = re.compile(rf"([a-z0-9]([a-z0-9.-]{{0,251}}[a-z0-9])?/)?{NAME}")
VALUE = re.compile(rf"({NAME})?")
TYPES = {"nodes": "application/merge-patch+json", "nodes/status": "application/strategic-merge-patch+json"}
REASON = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?")


def refusal(found: dict[str, Any], resource: str, patch: dict[str, Any], kind: str) -> tuple[int, str] | None:
    about, spec = patch.get("metadata", {}), patch.get("spec", {})
    if kind != TYPES[resource]:
        return 415, f"the body of the request was in an unknown format: {kind}"
    name = found["metadata"]["name"]
    if about.get("resourceVersion", found["metadata"]["resourceVersion"]) != found["metadata"]["resourceVersion"]:
        return 409, (f'Operation cannot be fulfilled on nodes "{name}": the object has been modified; '
                     "please apply your changes to the latest version and try again")  # fmt: skip
    taints = spec.get("taints") or []
    pairs = [(each["key"], each["effect"]) for each in taints]
    good = [KEY.fullmatch(key) for key, _ in pairs] + [VALUE.fullmatch(each.get("value", "")) for each in taints]
    good += [KEY.fullmatch(key) and VALUE.fullmatch(text or "") for key, text in about.get("labels", {}).items()]
    good += [KEY.fullmatch(key) for key in about.get("annotations", {})]
    good += [REASON.fullmatch(each["reason"]) for each in patch.get("status", {}).get("conditions", ())]
    if not all(good) or len(set(pairs)) < len(pairs):
        return 422, f'Node "{name}" is invalid'
    return None


def patched(found: dict[str, Any], resource: str, patch: dict[str, Any]) -> dict[str, Any]:
    made = copy.deepcopy(found)
    if resource == "nodes":
        made = _merged(made, {key: patch[key] for key in ("metadata", "spec") if key in patch})
    else:
        for each in patch["status"]["conditions"]:
            old = next((had for had in made["status"]["conditions"] if had["type"] == each["type"]), None)
            if old is None:
                made["status"]["conditions"].append(each)
            else:
                old |= each
    made["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"] + "1"
    return made


def _merged(target: Any, patch: Any) -> Any:
    if not isinstance(patch, dict):
        return patch
    made = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            made.pop(key, None)
        else:
            made[key] = _merged(made.get(key), value)
    return made
