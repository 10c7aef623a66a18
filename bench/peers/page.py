"""docs/peers.md: the table of this run, and what is to be said beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.peers.machines import MODULES, Machine
from bench.peers.tools import PEERS
from gpucheck import __version__

DOCS = Path(__file__).resolve().parents[2] / "docs" / "peers.md"
TEXT = Path(__file__).with_name("text.md")
LONGEST = 160  # characters of a verdict in the table


@dataclass(frozen=True)
class Told:
    label: str
    code: int | None  # None: killed after the limit
    words: str


def render(
    machines: Sequence[Machine],
    told: Mapping[str, Mapping[str, Sequence[Told]]],
    versions: Mapping[str, str],
    seconds: Mapping[str, float],
) -> str:
    tools = ("gpucheck", *reversed(PEERS))
    lines = [row("machine", tools), row("---", ["---"] * len(tools))]
    for machine in machines:
        title = f"{machine.title} (`{machine.name}`)"
        lines.append(row(title, ["<br>".join(map(cell, told[machine.name].get(tool, ()))) for tool in tools]))
    listed = [f"gpucheck {__version__}"]
    listed += [f"{name} {version} (with {versions[name]})" for name, version in PEERS.items()]
    return TEXT.read_text().format(
        table="\n".join(lines), versions="\n".join(f"- {each}" for each in listed),
        seconds=", ".join(f"{name} {value:.2f} s" for name, value in seconds.items()) or "not measured",
        date=datetime.now(UTC).date().isoformat(), modules="" if MODULES.exists() else NO_MODULES,
    )  # fmt: skip


NO_MODULES = """
The kernel of this run has no modules, so that the fixture's `/proc/modules` could not be put there; what brokkr's
`driver` says of it ("Main nvidia module is not loaded") is left out.
"""


def row(first: str, cells: Sequence[str]) -> str:
    return f"| {first} | {' | '.join(cells)} |"


def cell(told: Told) -> str:
    words = told.words if len(told.words) <= LONGEST else f"{told.words[:LONGEST].rsplit(' ', 1)[0]} ..."
    code = "killed" if told.code is None else str(told.code)
    return f"`{told.label}` **{code}** {words}".replace("|", "\\|").strip()
