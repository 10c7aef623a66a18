"""bench/results.json: one row a number, with what it was measured against in the same run; replaced by its name."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

RESULTS = Path(__file__).parent / "results.json"
COLUMNS = ("name", "value", "unit", "against", "ratio", "goal")


class Rows:
    def add(
        self, name: str, value: float, unit: str, against: str, base: float | None, goal: str, command: Sequence[str]
    ) -> None:
        """Write a row at once, so that a bench that is broken off has kept what it had; `base` is the other's value."""
        shown = " ".join("python" if word == sys.executable else word for word in command)
        row = {
            "name": name, "value": round(value, 4), "unit": unit, "against": against,
            "ratio": round(value / base, 3) if base else None, "goal": goal, "command": shown,
            "date": datetime.now(UTC).date().isoformat(),
        }  # fmt: skip
        kept = json.loads(RESULTS.read_text()) if RESULTS.exists() else []
        names = [other["name"] for other in kept]
        if name in names:
            kept[names.index(name)] = row
        else:
            kept.append(row)
        RESULTS.write_text(json.dumps(kept, indent=1) + "\n")
        table = Table(*COLUMNS, show_header=False, box=None)
        table.add_row(*(str(row[key]) for key in COLUMNS))
        Console().print(table)
