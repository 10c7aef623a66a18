"""Dataclasses to JSON-ready data and back. Strict: an unknown key or a wrong type is an error that names its path."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Callable, Mapping
from enum import Enum
from functools import cache, partial
from typing import Any, TypeVar, cast

from gpucheck.facts import DEEP_SUBJECTS, HOST_SUBJECTS, IMAGE_SUBJECTS, RUN_SUBJECTS, WORLD_SUBJECTS, Facts, Version

T = TypeVar("T")
ALL = (*HOST_SUBJECTS, *IMAGE_SUBJECTS, *DEEP_SUBJECTS, *RUN_SUBJECTS, *WORLD_SUBJECTS)
SUBJECTS = {subject.__name__: subject for subject in ALL}


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
    return cast("T", _loader(cast("Any", kind))(data, path))


@cache
def _loader(kind: Any) -> Callable[[Any, str], Any]:
    """What reads one kind. Worked out once a kind: the reports of a fleet have millions of values."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if kind is Any:
        return lambda data, _path: data
    if origin in (types.UnionType, typing.Union):
        present, nothing = _loader(next(arg for arg in args if arg is not type(None))), type(None) in args
        return lambda data, path: None if data is None and nothing else present(data, path)
    if kind is Facts:
        return _load_facts
    if dataclasses.is_dataclass(kind):
        return partial(_load_dataclass, cast("type", kind))
    if origin is tuple:
        return partial(_load_tuple, _loader(args[0]))
    if origin is Mapping or origin is dict:
        return partial(_load_mapping, _loader(args[1]))
    if kind is Version or (isinstance(kind, type) and issubclass(kind, Enum)):
        return partial(_load_text, kind)
    return _load_float if kind is float else partial(_load_plain, kind)


def _load_tuple(item: Callable[[Any, str], Any], data: Any, path: str) -> Any:
    _expect(isinstance(data, list), "a list", data, path)
    return tuple([item(each, f"{path}[{index}]") for index, each in enumerate(data)])


def _load_mapping(item: Callable[[Any, str], Any], data: Any, path: str) -> Any:
    _expect(isinstance(data, dict), "an object", data, path)
    return {key: item(each, f"{path}.{key}") for key, each in data.items()}


def _load_text(kind: Callable[[str], Any], data: Any, path: str) -> Any:
    _expect(isinstance(data, str), "a string", data, path)
    try:
        return kind(data)
    except ValueError as error:
        raise WrongShape(f"{path}: {error}") from error


def _load_float(data: Any, path: str) -> float:
    _expect(isinstance(data, (int, float)) and not isinstance(data, bool), "a number", data, path)
    try:
        return float(data)
    except OverflowError as error:
        raise WrongShape(f"{path}: a number too large") from error


def _load_plain(kind: type, data: Any, path: str) -> Any:
    _expect(type(data) is kind, kind.__name__, data, path)
    return data


@cache
def _fields(kind: type) -> dict[str, tuple[Callable[[Any, str], Any], bool]]:
    """How each is read, and whether it must be there."""
    hints, missing = typing.get_type_hints(kind), dataclasses.MISSING
    return {
        f.name: (_loader(hints[f.name]), f.default is missing and f.default_factory is missing)
        for f in dataclasses.fields(kind)
    }


def _load_dataclass(kind: type, data: Any, path: str) -> Any:
    _expect(isinstance(data, dict), "an object", data, path)
    fields, given = _fields(kind), {}
    for key in data:
        if key not in fields:
            _expect(False, f"no key {key!r} in {kind.__name__}", data, path)
    for name, (load, required) in fields.items():
        if name in data:
            given[name] = load(data[name], f"{path}.{name}")
        elif required:
            raise WrongShape(f"{path}: {kind.__name__} needs {name!r}")
    return kind(**given)


def _load_facts(data: Any, path: str) -> Facts:
    _expect(isinstance(data, dict) and set(data) == {"known", "unknown"}, "known and unknown", data, path)
    for part in ("known", "unknown"):
        _expect(isinstance(data[part], dict), "an object", data[part], f"{path}.{part}")
        for name in data[part]:
            _expect(name in SUBJECTS, f"no subject {name!r}", data, f"{path}.{part}")
    return Facts(
        known={SUBJECTS[n]: load(SUBJECTS[n], d, f"{path}.known.{n}") for n, d in data["known"].items()},
        unknown={SUBJECTS[n]: load(str, d, f"{path}.unknown.{n}") for n, d in data["unknown"].items()},
    )


def _expect(true: bool, what: str, data: Any, path: str) -> None:
    if not true:
        raise WrongShape(f"{path}: expected {what}, found {type(data).__name__}")
