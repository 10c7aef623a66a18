"""Dataclasses to JSON-ready data and back. Strict: an unknown key or a wrong type is an error that names its path."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Mapping
from enum import Enum
from functools import cache
from typing import Any, TypeVar, cast

from gpucheck.facts import DEEP_SUBJECTS, HOST_SUBJECTS, IMAGE_SUBJECTS, RUN_SUBJECTS, Facts, Version

T = TypeVar("T")
SUBJECTS = {subject.__name__: subject for subject in (*HOST_SUBJECTS, *IMAGE_SUBJECTS, *DEEP_SUBJECTS, *RUN_SUBJECTS)}


class WrongShape(ValueError):
    """Data that is not of the type asked for; the text starts with the path of the offending value."""


def dump(value: Any) -> Any:
    if isinstance(value, Facts):
        return {
            "known": {subject.__name__: dump(fact) for subject, fact in value.known.items()},
            "unknown": {subject.__name__: reason for subject, reason in value.unknown.items()},
        }
    if dataclasses.is_dataclass(value):
        return {f.name: dump(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: dump(item) for key, item in value.items()}
    if isinstance(value, (tuple, list)):
        return [dump(item) for item in value]
    if isinstance(value, Version):
        return value.text
    return value.value if isinstance(value, Enum) else value


def load(kind: type[T], data: Any, path: str = "$") -> T:
    """`data` as a `kind`. Raises WrongShape."""
    return cast("T", _load(kind, data, path))


def _load(kind: Any, data: Any, path: str) -> Any:
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return data
    if origin in (types.UnionType, typing.Union):
        if data is None and type(None) in args:
            return None
        return _load(next(arg for arg in args if arg is not type(None)), data, path)
    if kind is Facts:
        return _load_facts(data, path)
    if dataclasses.is_dataclass(kind):
        return _load_dataclass(cast("type", kind), data, path)
    if origin is tuple:
        _expect(isinstance(data, list), "a list", data, path)
        return tuple(_load(args[0], item, f"{path}[{index}]") for index, item in enumerate(data))
    if origin is Mapping or origin is dict:
        _expect(isinstance(data, dict), "an object", data, path)
        return {key: _load(args[1], item, f"{path}.{key}") for key, item in data.items()}
    if kind is Version or (isinstance(kind, type) and issubclass(kind, Enum)):
        _expect(isinstance(data, str), "a string", data, path)
        try:
            return kind(data)
        except ValueError as error:
            raise WrongShape(f"{path}: {error}") from error
    if kind is float:
        _expect(isinstance(data, (int, float)) and not isinstance(data, bool), "a number", data, path)
        return float(data)
    _expect(type(data) is kind, kind.__name__, data, path)
    return data


_hints = cache(typing.get_type_hints)  # once a type: a GPU has eighteen links, and a machine many GPUs


def _load_dataclass(kind: type, data: Any, path: str) -> Any:
    _expect(isinstance(data, dict), "an object", data, path)
    hints = _hints(kind)
    fields = {f.name: f for f in dataclasses.fields(kind)}
    for key in data:
        _expect(key in fields, f"no key {key!r} in {kind.__name__}", data, path)
    for name, field in fields.items():
        required = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if name not in data and required:
            raise WrongShape(f"{path}: {kind.__name__} needs {name!r}")
    return kind(**{name: _load(hints[name], data[name], f"{path}.{name}") for name in fields if name in data})


def _load_facts(data: Any, path: str) -> Facts:
    _expect(isinstance(data, dict) and set(data) == {"known", "unknown"}, "known and unknown", data, path)
    for part in ("known", "unknown"):
        _expect(isinstance(data[part], dict), "an object", data[part], f"{path}.{part}")
        for name in data[part]:
            _expect(name in SUBJECTS, f"no subject {name!r}", data, f"{path}.{part}")
    return Facts(
        known={SUBJECTS[n]: _load(SUBJECTS[n], d, f"{path}.known.{n}") for n, d in data["known"].items()},
        unknown={SUBJECTS[n]: _load(str, d, f"{path}.unknown.{n}") for n, d in data["unknown"].items()},
    )


def _expect(true: bool, what: str, data: Any, path: str) -> None:
    if not true:
        raise WrongShape(f"{path}: expected {what}, found {type(data).__name__}")
