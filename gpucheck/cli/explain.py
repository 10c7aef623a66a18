"""`gpucheck explain WHAT`: a rule, an Xid, a CUDA error, an error text, or a log by its path or on stdin.

Exit codes: 0 explained, 1 nothing in it is known here, 2 what was asked for is not there.
"""

from __future__ import annotations

import os
import re
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from gpucheck.cli.options import nearest, one_of, rule_ids
from gpucheck.cli.screen import complain
from gpucheck.model import Failure, Rule
from gpucheck.rules import DEEP_RULES, HOST_RULES, IMAGE_RULES, RUN_RULES, WORLD_RULES

if TYPE_CHECKING:
    import io

    from gpucheck.answers import Answer
    from gpucheck.signatures import Reading

XID = re.compile(r"xid[\s:]*(\d{1,5})", re.IGNORECASE)
NOT_KNOWN = "`gpucheck doctor` looks at the machine itself; the first error of a log says more than the last"


def explain(
    what: Annotated[
        list[str] | None,
        typer.Argument(
            help="A rule's id, `xid 79`, a CUDA error's number, an error text, or a log: its path (gzip too) or - for "
            "stdin. None lists the rules, or reads a log that is piped in. Exit code 1: nothing in it is known here.",
            autocompletion=rule_ids,
        ),
    ] = None,
    format: Annotated[str, typer.Option(help="terminal or json.", callback=one_of("terminal", "json"))] = "terminal",
) -> int:
    """What a rule, a message or a log means, the cause and the fix."""
    rules = (*HOST_RULES, *IMAGE_RULES, *DEEP_RULES, *RUN_RULES, *WORLD_RULES)
    names = {name: rule for rule in rules for name in (rule.id, *rule.aliases)}
    text = " ".join(what or ()).strip()
    if text == "-" or (not text and _piped()):
        return _log("stdin", _stdin(), format)
    if not text or text in names:
        return _rules((names[text],) if text else rules, format, listed=not text)
    path = Path(text)
    if _is_log(path):
        with path.open("rb") as stream:
            return _log(text, stream, format)
    return _text(text, names, format)


def _rules(rules: tuple[Rule, ...], format: str, *, listed: bool) -> int:
    from gpucheck.render import explanation

    width = max(len(rule.id) for rule in rules)
    for rule in rules:
        if format == "json":
            sys.stdout.write(explanation.rule_json(rule))
        else:
            sys.stdout.write(f"{rule.id:<{width}}  {rule.title}\n" if listed else explanation.rule_page(rule))
    return 0


def _log(name: str, stream: io.BufferedReader, format: str) -> int:
    from gpucheck import answers, signatures

    def damaged(why: str) -> None:
        complain(f"{name} is damaged, and was read up to there: {why}", "another copy of it may have the rest")

    return _print(*answers.in_log(signatures.chunks(stream, damaged)), name, format)


def _text(text: str, names: dict[str, Rule], format: str) -> int:
    from gpucheck import answers, signatures

    if match := XID.fullmatch(text):
        answer = answers.of_xid(int(match[1]))
        return _print((answer,) if answer.rule else (), signatures.Reading(), None, format)
    found, reading = answers.in_text(text)
    if not found and re.fullmatch(r"[\w-]+\.[\w-]+", text) and (near := nearest(text, names)):
        raise Failure(f"there is no rule {text!r}", near)
    if not found and re.fullmatch(r"\S*/\S*|\S+\.(?:log|txt|gz|out|err)", text):
        raise Failure(f"there is no file {text}", "a log is given by its path, or on stdin")
    return _print(found, reading, None, format)


def _print(found: tuple[Answer, ...], reading: Reading, log: str | None, format: str) -> int:
    from gpucheck import signatures
    from gpucheck.render import explanation

    if found or format == "json":
        sys.stdout.write((explanation.as_json if format == "json" else explanation.page)(found, reading, log))
    else:
        complain(explanation.nothing(reading, log, len(signatures.load())), NOT_KNOWN)
    return 0 if found else 1


def _stdin() -> io.BufferedReader:
    return cast("io.BufferedReader", sys.stdin.buffer)


def _piped() -> bool:
    """Whether a log comes in on stdin: a pipe or a file that is not empty, no terminal and not /dev/null."""
    try:
        mode = os.fstat(0).st_mode
    except OSError:  # it is closed
        return False
    return (stat.S_ISFIFO(mode) or stat.S_ISREG(mode)) and bool(_stdin().peek(1))


def _is_log(path: Path) -> bool:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # no file's name can be so long
        return False
    if stat.S_ISDIR(mode):
        raise Failure(f"{path} is a folder", "name a log in it, or pipe several: `cat FOLDER/*.log | gpucheck explain`")
    if not os.access(path, os.R_OK):
        raise Failure(f"this user may not read {path}", f"`sudo cat {path} | gpucheck explain`")
    return True
