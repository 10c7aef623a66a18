"""One line of what a machine said."""

from __future__ import annotations

import pytest

from gpucheck.lines import one_line


@pytest.mark.parametrize(
    ("text", "longest", "line"),
    [
        ("a\x1b[2J\tb\nc\u202ed", 80, "a [2J b c d"),
        ("  x  ", 5, "x"),
        ("12345", 5, "12345"),
        ("123456", 5, "1234…"),
        ("", 5, ""),
    ],
)
def test_a_line_is_short_and_steers_nothing(text: str, longest: int, line: str) -> None:
    assert one_line(text, longest) == line


def test_no_more_is_read_than_could_be_shown() -> None:
    assert one_line("x" * 10**7, 9) == "x" * 8 + "…"
