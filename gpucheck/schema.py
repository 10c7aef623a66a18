"""The JSON Schema of a report, derived from the dataclasses: `python -m gpucheck.schema` prints it."""

from __future__ import annotations

import dataclasses
import json
import sys
import types
import typing
from collections.abc import Mapping
from enum import Enum
from typing import Any

from gpucheck.codec import SUBJECTS
from gpucheck.facts import Facts, Version
from gpucheck.model import Report

SCALARS = {str: "string", int: "integer", float: "number", bool: "boolean", Version: "string"}


def report_schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12, of one line of `--format json`."""
    definitions: dict[str, Any] = {}
    schema = _schema(Report, definitions)
    report = definitions.pop("Report")
    report["properties"] |= {"verdict": {"type": "string"}, "exit_code": {"enum": [0, 1, 3, 70]}}
    report["required"] += ["verdict", "exit_code"]
    assert schema == {"$ref": "#/$defs/Report"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "gpucheck report", **report,
            "$defs": dict(sorted(definitions.items()))}  # fmt: skip


def _schema(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        present = next(arg for arg in args if arg is not type(None))
        return {"anyOf": [_schema(present, definitions), {"type": "null"}]}
    if origin is tuple:
        return {"type": "array", "items": _schema(args[0], definitions)}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _schema(args[1], definitions)}
    if kind is Facts:
        known = {name: _schema(subject, definitions) for name, subject in SUBJECTS.items()}
        reasons = {name: {"type": "string"} for name in SUBJECTS}
        parts = {"known": known, "unknown": reasons}
        return _object({n: _object(p, required=()) for n, p in parts.items()}, required=tuple(parts))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"enum": [member.value for member in kind]}
    if dataclasses.is_dataclass(kind):
        name = typing.cast("type", kind).__name__
        if name not in definitions:
            definitions[name] = {}  # before the fields, or a type that holds itself would not end
            hints = typing.get_type_hints(kind)
            fields = {f.name: _schema(hints[f.name], definitions) for f in dataclasses.fields(kind)}
            definitions[name] = _object(fields, required=tuple(fields))
        return {"$ref": f"#/$defs/{name}"}
    return {"type": SCALARS[kind]}


def _object(properties: dict[str, Any], required: tuple[str, ...]) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "required": list(required), "additionalProperties": False}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(report_schema(), indent=1) + "\n")
