"""What was asked for and how it ended: asked.json and ran.json are gpucheck's own, run.json is the payload's."""

from __future__ import annotations

from pathlib import Path

from gpucheck.facts import Part, Run
from gpucheck.host import CannotLook
from gpucheck.witnesses.evidence import Document, document


def look(folder: Path) -> Run:
    """A payload that died may leave no run.json and no probe.json: that is how the run ended, not a reason not to look.

    Raises CannotLook where what gpucheck wrote is missing or torn, or run.json is though the payload ended well.
    """
    asked, ran = document(folder, "asked.json"), document(folder, "ran.json")
    exit_code, signal = ran.maybe("exit_code", int), ran.maybe("signal", int)
    died = exit_code != 0
    probe = _left(folder, "probe.json")
    run = _left(folder, "run.json") if died else document(folder, "run.json")
    return Run(
        framework=asked.get("framework", str),
        framework_version=probe.get("framework_version", str) if probe else None,
        device=_one_of(asked, "device", "gpu", "cpu"), where=_one_of(asked, "where", "container", "host"),
        where_why=asked.maybe("where_why", str),
        image_asked=asked.maybe("image_id", str), image_ran=ran.maybe("image_id", str),
        recipe_asked=asked.maybe("recipe", str), recipe_ran=ran.maybe("recipe", str),
        exit_code=exit_code, signal=signal, oom_killed=ran.get("oom_killed", bool),
        last_line=next(iter(reversed(ran.texts("last_lines"))), None),
        parts=tuple(map(_part, run.each("parts"))) if run else (),
        devices_seen=probe.texts("devices") if probe else (),
    )  # fmt: skip


def _one_of(document: Document, key: str, *values: str) -> str:
    value = document.get(key, str)
    if value not in values:
        raise CannotLook(f"{document.name} has {value!r:.40} as {key}")
    return value


def _left(folder: Path, name: str) -> Document | None:
    try:
        return document(folder, name)
    except CannotLook:
        return None


def _part(row: Document) -> Part:
    return Part(
        name=row.get("name", str), exit_code=row.maybe("exit_code", int), signal=row.maybe("signal", int),
        seconds=row.get("seconds", float),
    )  # fmt: skip
