"""`gpucheck doctor`: is the GPU stack right, and if not, what is the one cause."""

from __future__ import annotations

import getpass
import json
import os
import socket
from pathlib import Path
from typing import Annotated, Any

import typer

from gpucheck import bundles, compat, engine, remedying
from gpucheck.cli.options import Format, Only, Output, Skip, Strict, chosen
from gpucheck.cli.screen import give, saying, show
from gpucheck.facts import Facts, Image
from gpucheck.host import Host, Local, Recorded, Recording
from gpucheck.model import Failure, Report, Rule
from gpucheck.probes import DEEP_PROBES, PROBES, compute, image
from gpucheck.redaction import redact
from gpucheck.rules import DEEP_RULES, HOST_RULES, IMAGE_RULES


def doctor(
    format: Format = "terminal",
    only: Only = None,
    skip: Skip = None,
    strict: Strict = False,
    timeout: Annotated[
        float | None, typer.Option(help="Seconds that one command of a probe may take.", min=0.1, show_default="5")
    ] = None,
    image_name: Annotated[
        str | None,
        typer.Option("--image", help="Judge this image against the machine too; it is not run.", metavar="NAME"),
    ] = None,
    deep: Annotated[
        bool, typer.Option("--deep", help="Also put every GPU to work, for some seconds, and compare what it computes.")
    ] = False,
    script: Annotated[
        bool, typer.Option("--script", help="Print the fixes as a shell script to read; nothing is changed.")
    ] = False,
    output: Output = None,
    bundle: Annotated[
        Path | None,
        typer.Option(
            help="Also write all that a helper needs, redacted: what was read, and the report.", metavar="FILE"
        ),
    ] = None,
    record: Annotated[
        Path | None, typer.Option(help="Also write what was read, redacted, to judge it elsewhere.", metavar="FILE")
    ] = None,
    recording: Annotated[
        Path | None,
        typer.Option("--from", help="Judge another machine, from its bundle or recording.", metavar="FILE"),
    ] = None,
) -> int:
    """Is the GPU stack right? One root cause and the exact fix."""
    if recording and (record or bundle):
        raise Failure("a recording is not recorded again", "give either --from, or --record or --bundle")
    if image_name is not None and (not image_name or image_name.startswith("-")):
        raise Failure(f"{image_name!r} is not the name of an image", "as in `docker images`: name:tag")
    more = (*(DEEP_RULES if deep else ()), *(IMAGE_RULES if image_name else ()))
    rules = chosen((*HOST_RULES, *more), only, skip)
    asked: dict[type, Any] = {**PROBES, **({Image: image.probe_of(image_name)} if image_name else {})}
    host: Host = _recorded(recording) if recording else Local(deadline=timeout)
    kept = Recording(host) if record or bundle else None
    needed = {subject for rule in rules for subject, _ in rule.needs.values()}
    # A recording is for whoever will judge it, so it is of everything.
    probes = {subject: probe for subject, probe in asked.items() if kept or subject in needed}
    seconds = max(40.0, 4 * (timeout or 0))
    facts = _facts(kept or host, probes, seconds, deep=deep)
    if kept:
        document = redact(kept.document(), socket.gethostname(), *_users())
        if record:
            give(json.dumps(document, indent=1) + "\n", record)
        if bundle:
            again = _facts(Recorded(document), probes, seconds, deep=deep)
            bundles.write(bundle, bundles.document(document, _report(rules, again, "host")))
    report = _report(rules, facts, recording.stem if recording else None)
    if script:
        give(remedying.script(report), output)
        return report.exit_code
    return show(report, format, strict, output)


def _facts(host: Host, probes: dict[type, Any], seconds: float, *, deep: bool) -> Facts:
    facts = engine.collect(probes, host, deadline=seconds)
    if not deep:
        return facts
    with saying() as say:  # alone: it keeps the GPUs busy, and the others look at GPUs at rest
        say("the GPUs are put to work", None)
        return facts | engine.collect(DEEP_PROBES, host, deadline=compute.DEADLINE)


def _report(rules: tuple[Rule, ...], facts: Facts, host: str | None) -> Report:
    return engine.report("doctor", facts, engine.judge(rules, facts, compat.load()), host=host)


def _users() -> tuple[str, ...]:
    """Who runs this, and who became root for it."""
    names = tuple(filter(None, map(os.environ.get, ("SUDO_USER", "DOAS_USER"))))
    try:
        return (getpass.getuser(), *names)
    except (OSError, KeyError):  # a container's user without a name
        return names


def _recorded(path: Path) -> Recorded:
    found = bundles.load(path)
    if isinstance(found, Report):
        raise Failure(
            f"{path} is a report: it has no answers to judge again", "`gpucheck doctor --bundle FILE` keeps them"
        )
    return found
