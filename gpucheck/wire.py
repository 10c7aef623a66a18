"""The fields of a protobuf message, without its description."""

from __future__ import annotations

from collections.abc import Iterator


def fields(message: bytes) -> Iterator[tuple[int, int | bytes]]:
    """(number, value) of a protobuf message. Raises IndexError or ValueError where it is torn."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        kind = key & 7
        if kind == 0:
            yield key >> 3, varint()
            continue
        size = {1: 8, 2: -1, 5: 4}.get(kind, 0)
        if not size:
            raise ValueError(f"wire type {kind}")
        size = varint() if size < 0 else size
        if at + size > len(message):
            raise ValueError("torn")
        yield key >> 3, message[at : at + size]
        at += size
