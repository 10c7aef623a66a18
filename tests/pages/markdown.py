"""What the pages of docs/ that tests write have in common: words and cells that GitHub shows as they are."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

_SIGNS = re.compile(r"[*\[\]|<]|(?<!\w)_|_(?!\w)")


def prose(text: str) -> str:
    """Words with code in backticks, for a paragraph or a cell."""
    parts = text.split("`")
    marked = (_SIGNS.sub(lambda found: "&lt;" if found[0] == "<" else f"\\{found[0]}", part) for part in parts[::2])
    code = (f"`{part}`" for part in parts[1::2])
    return "".join(part for pair in zip(marked, [*code, ""], strict=True) for part in pair)


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def anchor(heading: str) -> str:
    """As GitHub makes it of a heading's text."""
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", text.strip().lower()).replace(" ", "-")
