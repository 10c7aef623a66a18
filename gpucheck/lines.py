"""What a machine, a cloud or a node said, as one line that is safe to show and to keep."""

from __future__ import annotations


def one_line(text: str, longest: int) -> str:
    """At most `longest` characters; no letter of it ends the line, or steers the terminal that shows it."""
    line = " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * longest]).split())
    return line if len(line) <= longest else f"{line[: longest - 1]}…"
