"""The same cause in the words of many nodes: a message without what is each node's own.

Versions stay, because who has which is what matters; numbers, GPUs, addresses and ids are made alike, and are shown
where all nodes of the group have the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

OWN = re.compile(
    r"(?P<gpus>\b\d+ of \d+ GPUs \(first: GPU \d+\)|\bGPU \d+ of \d+\b|\b(?:GPU|PCI) [0-9a-fA-F]{2,8}:[0-9a-fA-F:.]+"
    r"|\bGPU \d+(?:, \d+)*\b|\b\d+ (?:of \d+ )?GPUs?\b)"
    r"|(?P<id>\b(?:GPU|MIG)-[0-9a-fA-F-]{6,40})"
    r"|(?P<address>\b[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2}\.[0-7]\b|\b0x[0-9a-fA-F]+\b)"
    r"|(?P<figure>\b\d+(?:[.,]\d+)*(?= ?(?:%|°C|[kMGT]i?B\b|[kMG]?Hz\b|m?W\b|m?s\b|seconds?\b|minutes?\b|times\b)))"
    r"|(?P<version>\b\d+(?:\.\d+)+\b)"
    r"|(?P<number>\b\d+\b)"
)
ELIDED = "…"


def pattern(message: str, name: str) -> tuple[str, tuple[str, ...]]:
    """The message with a mark for each thing that is a node's own, and these things in order."""
    own: list[str] = []

    def mark(match: re.Match[str]) -> str:
        if match.lastgroup == "version":
            return match[0]
        own.append(match[0])
        return f"\0{match.lastgroup}\0"

    alone = (
        re.sub(rf"(?<![\w.-]){re.escape(name)}(?![\w-])", "\0name\0", message.replace("\0", " ")) if name else message
    )
    parts = alone.split("\0name\0")
    return "\0name\0".join(OWN.sub(mark, part) for part in parts), tuple(own)


def merged(one: Sequence[str], other: Sequence[str]) -> tuple[str, ...]:
    """What both have; an ellipsis for the rest."""
    return tuple(mine if mine == its else ELIDED for mine, its in zip(one, other, strict=True))


def sentence(pattern: str, own: Sequence[str]) -> str:
    """The pattern with what all of its messages have in common."""
    each = iter(own)
    marked = re.sub(r"\0(\w+)\0", lambda match: ELIDED if match[1] == "name" else next(each, ELIDED), pattern)
    return re.sub(rf"{ELIDED}(?:,? {ELIDED})+", ELIDED, marked)
