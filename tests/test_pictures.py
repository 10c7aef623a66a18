"""The pictures of the README are what gpucheck prints. `pytest --update` draws them again; look at them."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.console import Console

from gpucheck import compat, engine
from gpucheck.host import Recorded
from gpucheck.probes import PROBES
from gpucheck.render import terminal
from gpucheck.rules import HOST_RULES

ROOT = Path(__file__).parents[1]
PICTURES = {"doctor.svg": "driver-library-mismatch"}


def drawn(machine: str) -> str:
    host = Recorded.load(ROOT / "tests" / "machines" / machine / "recording.json")
    facts = engine.collect(PROBES, host)
    report = engine.report("doctor", facts, engine.judge(HOST_RULES, facts, compat.load()), host="gpu-box")
    console = Console(record=True, width=100, file=io.StringIO(), force_terminal=True, color_system="truecolor",
                      highlight=False, emoji=False)  # fmt: skip
    console.print(f"$ gpucheck doctor --from tests/machines/{machine}/recording.json", highlight=False)
    for part in terminal.parts([report]):
        console.print(part)
    svg = console.export_svg(title="gpucheck doctor", unique_id="gpucheck")
    # A page that is looked at fetches nothing from elsewhere.
    return re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.DOTALL)


@pytest.mark.parametrize("name", PICTURES)
def test_picture(name: str, request: pytest.FixtureRequest) -> None:
    path, svg = ROOT / "docs" / name, drawn(PICTURES[name])
    if request.config.getoption("--update"):
        path.write_text(svg)
    assert path.read_text() == svg
    assert "url(http" not in svg
    assert "@import" not in svg
    assert f"docs/{name}" in (ROOT / "README.md").read_text()
