"""XGBoost has no profiler and no log: a Booster is asked, after its first round, what it trains on.

Its own warnings name the line that called Booster.update, so nothing may stand between the two: what is listened to is
the check that comes after each call of its library.
"""

from __future__ import annotations

import json
import sys
from typing import Any
from weakref import WeakKeyDictionary

from . import process

MOST_ASKED = 50  # boosters; later ones are taken to be as the last that was asked
ROUND = ("update", "boost")
_before: list[tuple[Any, Any]] = []


def watch(xgboost: Any) -> None:
    core = xgboost.core
    check, booster = core._check_call, core.Booster
    devices: WeakKeyDictionary[Any, str] = WeakKeyDictionary()

    def checked(code: int) -> None:
        check(code)
        caller = sys._getframe(1)
        if caller.f_code.co_name in ROUND and isinstance(caller.f_locals.get("self"), booster):
            with process.charged("XGBoost's configuration"):
                _count(caller.f_locals["self"], devices)

    core._check_call = checked
    _before.append((core, check))


def restore() -> None:
    while _before:
        core, check = _before.pop()
        core._check_call = check


def device_of(configuration: str) -> str:
    """GPU:0 or CPU:0, of Booster.save_config(): {"learner": {"generic_param": {"device": "cuda:0"}}}."""
    named = json.loads(configuration)["learner"]["generic_param"]["device"]
    kind, _, number = str(named).partition(":")
    return f"{'GPU' if kind in ('cuda', 'gpu') else kind.upper()}:{number or 0}"


def _count(booster: Any, devices: WeakKeyDictionary[Any, str]) -> None:
    rows = process.told["ops"]
    if booster not in devices:
        asked = sum(row["boosters"] for row in rows)
        last = rows[-1]["device"] if rows and asked >= MOST_ASKED else None
        devices[booster] = device = last or device_of(booster.save_config())
        row = next((row for row in rows if row["device"] == device), None)
        if row is None:
            rows.append({"op": "tree growing", "device": device, "count": 0, "mode": "configured", "boosters": 0})
            row = rows[-1]
        row["boosters"] += 1
    next(row for row in rows if row["device"] == devices[booster])["count"] += 1
