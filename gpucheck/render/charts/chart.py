"""What a chart is, its colours, and how a name from a machine becomes a label."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from gpucheck.render.wording import printable

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 5.2  # inches of every chart: its letters stay readable on a phone


@dataclass(frozen=True, kw_only=True, slots=True)
class Palette:
    """After Okabe and Ito, darker on white and lighter on black so that letters in these colours can be read too."""

    ink: str
    muted: str
    grid: str
    paper: str
    c1: str  # blue
    c2: str  # green
    c3: str  # purple
    alarm: str  # vermilion: what should not be

    @property
    def css(self) -> str:
        """The variables that the inline charts follow: "--ink:#1f2328;--muted:..."."""
        return ";".join(f"--{name}:{colour}" for name, colour in asdict(self).items())


LIGHT = Palette(
    ink="#1f2328", muted="#59636e", grid="#dde1e6", paper="#ffffff",
    c1="#0072b2", c2="#00795a", c3="#9e4579", alarm="#c64600",
)  # fmt: skip
DARK = Palette(
    ink="#e6edf3", muted="#9aa5b1", grid="#343c46", paper="#12171d",
    c1="#56b4e9", c2="#3ec79b", c3="#e79ac6", alarm="#ff8c4a",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Chart:
    name: str  # the stem of its file's name
    title: str  # one sentence with the numbers: what one look answers
    draw: Callable[[Palette], Figure]  # called by svg() and png(), which set matplotlib up for it
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]  # the numbers that are drawn


def label(text: str, most: int = 28) -> str:
    """One line of at most so many characters, in which nothing steers anything; names often differ at their ends."""
    line = " ".join(printable(text).split())
    end = most // 3
    return line if len(line) <= most else f"{line[: most - end - 1]}…{line[-end:]}"


def told(value: float | None, form: str = "g") -> str:
    return "not told" if value is None else format(value, form)


def counted(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"
