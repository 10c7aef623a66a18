"""Objects out of a list that is torn in every way."""

from __future__ import annotations

import json
import re
import tracemalloc

import pytest

from gpucheck.witnesses.objects import Objects

HEAD, TAIL = '{"nodes": [', '], "finish_ts": 7}'
NODES = [{"id": n, "name": f"op{n}", "text": '],{ "id": 9' * (n == 1)} for n in range(3)]
ONE, TWO, THREE = map(json.dumps, NODES)


def read(text: str, size: int = 7, longest: int = 4 << 20) -> tuple[list[int], int, str]:
    """(the ids that were found, what was torn, the tail) of a text that comes in pieces of `size`."""
    objects = Objects(start=re.compile(r'\{\s*"id"\s*:'), before='"nodes"', longest=longest)
    pieces = [text[at : at + size] for at in range(0, len(text), size)]
    return [found["id"] for found in objects.read(pieces)], objects.torn, objects.tail


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_a_whole_list(size: int) -> None:
    assert read(f"{HEAD}{ONE}, {TWO},\n{THREE}{TAIL}", size) == ([0, 1, 2], 0, TAIL)


@pytest.mark.parametrize("between", ["", ",,", ",\n,", "\n"])
def test_commas_that_are_missing_or_too_many_lose_nothing(between: str) -> None:
    assert read(f"{HEAD}{ONE}{between}{TWO}{between}{THREE}{between}{TAIL}")[:2] == ([0, 1, 2], 0)


@pytest.mark.parametrize(
    ("text", "found", "torn"),
    [
        (f"{HEAD}{ONE},{TWO[:20]},{THREE}{TAIL}", [0, 2], 1),  # its end is missing
        (f"{HEAD}{ONE},{TWO[20:]},{THREE}{TAIL}", [0, 2], 1),  # its beginning is missing
        (f"{HEAD}{ONE},{TWO},{THREE[:20]}", [0, 1], 1),  # the process was killed
        (f"{HEAD}{ONE},{TWO},{THREE}", [0, 1, 2], 1),  # the same, between two objects
        (f"{HEAD}{ONE},garbage,{TWO}{TAIL}", [0, 1], 1),
        ("", [], 1),
        ("no trace at all", [], 1),
        (HEAD + TAIL, [], 0),
        (f"[{ONE}{TAIL}", [0], 1),  # of another kind
        (f'{HEAD}{{"id": {"[" * 100_000},{TWO}{TAIL}', [1], 1),
    ],
)
def test_torn_pieces_are_counted(text: str, found: list[int], torn: int) -> None:
    assert read(text, 1000)[:2] == (found, torn)


def test_an_object_without_an_end_costs_no_memory() -> None:
    text = HEAD + '{"id": 0, "x": "' + "y" * 3_000_000 + TWO + TAIL
    tracemalloc.start()
    found = read(text, 10_000, longest=100_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found[:2] == ([1], 1)
    assert peak < 8_000_000  # 3 MB of them are the pieces
