"""A program: writes gcp_Instance.json and gcp_Firewall.json, the JSON Schemas of what Compute Engine is sent.

They are made of the types that google-cloud-compute brings, which Google makes of the API's own description: every
field that may be sent, by its name on the wire, and the words that it may hold. What is output only is left out.
"""

from __future__ import annotations

import enum
import importlib
import json
import re
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
SENT = ("Instance", "Firewall")


def main() -> None:
    sdk: Any = importlib.import_module("google.cloud.compute_v1")
    version = importlib.import_module("importlib.metadata").version("google-cloud-compute")
    for name in SENT:
        defs: dict[str, Any] = {}
        _define(getattr(sdk, name), sdk, defs)
        schema = {
            "$comment": f"of google-cloud-compute {version}, by make_gcp.py",
            "$ref": f"#/$defs/{name}",
            "$defs": defs,
        }
        (FOLDER / f"gcp_{name}.json").write_text(json.dumps(schema, indent=1, sort_keys=True) + "\n")


def _define(message: Any, sdk: Any, defs: dict[str, Any]) -> None:
    name = message.__name__
    if name in defs:
        return
    defs[name] = {}
    answered = _output_only(message.__doc__ or "")
    properties: dict[str, Any] = {}
    for field in message.pb(message()).DESCRIPTOR.fields:
        if field.name in answered:
            continue
        entry = field.message_type is not None and field.message_type.GetOptions().map_entry
        if entry:
            value = _of(field.message_type.fields_by_name["value"], message, sdk, defs)
            properties[field.json_name] = {"type": "object", "additionalProperties": value}
            continue
        one = _of(field, message, sdk, defs)
        properties[field.json_name] = {"type": "array", "items": one} if _many(message, field.name) else one
    defs[name] = {"type": "object", "additionalProperties": False, "properties": properties}


def _many(message: Any, name: str) -> bool:
    return type(message.meta.fields[name]).__name__ == "RepeatedField"


def _of(field: Any, message: Any, sdk: Any, defs: dict[str, Any]) -> dict[str, Any]:
    if field.message_type is not None:
        kind = getattr(sdk, field.message_type.name)
        _define(kind, sdk, defs)
        return {"$ref": f"#/$defs/{field.message_type.name}"}
    if field.enum_type is not None:
        return {"enum": [value.name for value in field.enum_type.values]}
    words = _words(message, field.name)
    return {
        "bool": {"type": "boolean"},
        "string": {"enum": words} if words else {"type": "string"},
        "int32": {"type": "integer"},
        "uint32": {"type": "integer"},
        "float": {"type": "number"},
        "double": {"type": "number"},
        "int64": {"type": "string", "pattern": "^-?[0-9]+$"},  # proto3's JSON has 64 bits as text
        "uint64": {"type": "string", "pattern": "^[0-9]+$"},
        "bytes": {"type": "string"},
    }[
        {
            1: "double",
            2: "float",
            3: "int64",
            4: "uint64",
            5: "int32",
            8: "bool",
            9: "string",
            12: "bytes",
            13: "uint32",
        }[field.type]
    ]


def _words(message: Any, field: str) -> list[str]:
    """A text field's own enum, which is named after it; a few have none, or one that lists examples."""
    kind = getattr(message, "".join(part.capitalize() for part in field.rstrip("_").split("_")), None)
    if not (isinstance(kind, type) and issubclass(kind, enum.Enum)):
        return []
    return [each.name for each in kind if not each.name.startswith("UNDEFINED_")]


def _output_only(doc: str) -> set[str]:
    fields = re.findall(r"^ {8}(\w+) \([^\n]*\):\n((?: {12}[^\n]*\n|\n)*)", doc, re.M)
    return {name for name, text in fields if re.match(r"\s*(Output only|\[Output Only\])", text)}


if __name__ == "__main__":
    main()
