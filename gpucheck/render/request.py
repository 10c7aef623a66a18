"""What is sent to a cloud before it is sent, for people: every call and field, with the user-data shortened."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LONGEST = 300  # characters of one value: the user-data has `gpucheck cloud render` to be read by


def shown(request: Mapping[str, Any]) -> str:
    """As YAML: the name of each call, and what it is given."""
    import yaml

    return str(yaml.safe_dump(_short(request), sort_keys=False, allow_unicode=True, width=110))


def _short(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _short(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_short(each) for each in value]
    if isinstance(value, str) and len(value) > LONGEST:
        return f"{value[:60].splitlines()[0]} ... ({len(value.encode())} bytes)"
    return value if isinstance(value, str | int | float | bool | None) else str(value)
