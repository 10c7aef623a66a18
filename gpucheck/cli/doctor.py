"""`gpucheck doctor`: is the GPU stack right, and if not, what is the one cause."""

from __future__ import annotations

import json
import socket
from pathlib import Path
from typing import Annotated

import typer

from gpucheck import compat, engine
from gpucheck.cli.options import Format, Only, Skip, Strict, chosen
from gpucheck.cli.screen import show, write_whole
from gpucheck.host import CannotLook, Host, Local, Recorded, Recording
from gpucheck.model import Failure
from gpucheck.probes import PROBES
from gpucheck.redaction import redact
from gpucheck.rules import HOST_RULES


def doctor(
    format: Format = "terminal",
    only: Only = None,
    skip: Skip = None,
    strict: Strict = False,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds that one command of a probe may take.", min=0.1, show_default="5")
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Also write what was read, redacted, to judge it elsewhere.", metavar="FILE")
    ] = None,
    recording: Annotated[
        Path | None, typer.Option("--from", help="Judge a recording from another machine.", metavar="FILE")
    ] = None,
) -> int:
    """Is the GPU stack right? One root cause and the exact fix."""
    if recording and record:
        raise Failure("a recording is not recorded again", "give either --record or --from")
    rules = chosen(HOST_RULES, only, skip)
    host: Host = _recorded(recording) if recording else Local(deadline=timeout)
    kept = Recording(host) if record else None
    needed = {subject for rule in rules for subject, _ in rule.needs.values()}
    # A recording is for whoever will judge it, so it is of everything.
    probes = {subject: probe for subject, probe in PROBES.items() if kept or subject in needed}
    facts = engine.collect(probes, kept or host, deadline=max(40.0, 4 * (timeout or 0)))
    if kept and record:
        try:
            write_whole(record, json.dumps(redact(kept.document(), socket.gethostname()), indent=1) + "\n")
        except OSError as error:
            raise Failure(f"{record} cannot be written: {error.strerror}", "give another file") from error
    findings = engine.judge(rules, facts, compat.load())
    report = engine.report("doctor", facts, findings, host=recording.stem if recording else None)
    return show(report, format, strict)


def _recorded(path: Path) -> Recorded:
    try:
        return Recorded.load(path)
    except ValueError as error:
        raise Failure(str(error), "record one with `gpucheck doctor --record FILE`") from error
    except (OSError, CannotLook) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise Failure(f"{path}: {reason}", "record one with `gpucheck doctor --record FILE`") from error
