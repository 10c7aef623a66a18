"""A fleet as one JSON object in one line: every row, cause, odd one and change, in the order of the page."""

from __future__ import annotations

import json
from typing import Any

from gpucheck import __version__
from gpucheck.matrix import Fleet
from gpucheck.nodes import Node

SCHEMA = 1


def render(fleet: Fleet) -> str:
    made = {
        "kind": "gpucheck fleet", "schema": SCHEMA, "tool": f"gpucheck {__version__}", "exit_code": fleet.exit_code,
        "counts": fleet.counts,
        "nodes": [_node(node) for node in fleet.nodes],
        "causes": [{**each._asdict(), "number": len(each.nodes)} for each in fleet.causes],
        "odd": [
            {"nodes": each.nodes, "model": each.model, "what": each.trait, "value": each.value, "usual": each.usual,
             "agree": each.agree, "siblings": each.siblings}
            for each in fleet.odd_ones
        ],
        "changes": None if fleet.changes is None else [each._asdict() for each in fleet.changes],
        "remarks": fleet.remarks,
    }  # fmt: skip
    return json.dumps(made) + "\n"


def _node(node: Node) -> dict[str, Any]:
    return {
        "node": node.name, "command": node.command or None, "verdict": node.kind, "exit_code": node.exit_code,
        "rule": node.rule, "reason": node.said, "when": node.when or None, "source": node.source or None,
        "gpus": node.ids, "model": node.names, "driver": node.driver,
    }  # fmt: skip
