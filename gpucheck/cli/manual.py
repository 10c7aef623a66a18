"""The man page, from the command line itself: `python -m gpucheck.cli.manual > docs/gpucheck.1`.

In the macros of man(7). Typer brings a Click of its own, which no generator of man pages reads.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

from typer.main import get_command

from gpucheck import __version__
from gpucheck.cli.app import app
from gpucheck.cli.examples import EXAMPLES

EXIT_CODES = (
    ("0", "healthy, or proven"),
    ("1", "no: a rule of error severity failed, or the work was not done where it should be"),
    ("2", "bad input"),
    ("3", "not known: nothing failed, but something needed could not be looked at or carried out"),
    ("70", "a bug of gpucheck"),
    ("129, 130, 143", "interrupted"),
)
FILES = (("$XDG_CACHE_HOME/gpucheck", "environments of frameworks, CIFAR-10, packs of wheels; safe to remove"),)


def page() -> str:
    root: Any = get_command(app)
    return "\n".join([*_head(root), *_commands(root.commands, "gpucheck"), *_tail()]) + "\n"


def _head(root: Any) -> Iterator[str]:
    yield f'.TH GPUCHECK 1 "" "gpucheck {__version__}" "User Commands"'
    yield ".SH NAME"
    yield _text(f"gpucheck - {root.help[0].lower()}{root.help[1:]}".rstrip("."))
    yield ".SH SYNOPSIS"
    yield ".B gpucheck"
    yield r"\fICOMMAND\fR [\fIOPTION\fR]..."
    yield ".SH COMMANDS"


def _commands(commands: dict[str, Any], before: str) -> Iterator[str]:
    for name, command in commands.items():
        arguments = [p for p in command.params if p.param_type_name == "argument"]
        words = [_metavar(p) for p in arguments]
        yield f".SS {_text(' '.join([before, name, *words]))}"
        yield _text(command.help or "")
        for parameter in command.params:
            yield from _parameter(parameter)
        examples = EXAMPLES.get(f"{before} {name}".removeprefix("gpucheck "), ())
        yield from (".PP", "Examples:") if examples else ()
        for line, what in examples:
            yield from (".TP", rf"\fI{_text(line)}\fR", _text(what))
        yield from _commands(getattr(command, "commands", {}), f"{before} {name}")


def _parameter(parameter: Any) -> Iterator[str]:
    if parameter.hidden or parameter.help is None:
        return
    names = ", ".join([*parameter.opts, *parameter.secondary_opts])
    label = names if parameter.param_type_name == "option" else _metavar(parameter)
    takes = parameter.param_type_name == "option" and not parameter.is_flag
    value = rf" \fI{_text(parameter.metavar or 'VALUE')}\fR" if takes else ""
    yield from (".TP", rf"\fB{_text(label)}\fR{value}", _text(parameter.help))


def _metavar(argument: Any) -> str:
    return argument.metavar or f"{argument.name.upper()}{'...' if argument.nargs == -1 else ''}"


def _tail() -> Iterator[str]:
    yield ".SH EXIT STATUS"
    for code, what in EXIT_CODES:
        yield from (".TP", rf"\fB{code}\fR", _text(what))
    yield ".SH FILES"
    for path, what in FILES:
        yield from (".TP", rf"\fI{_text(path)}\fR", _text(what))


def _text(text: str) -> str:
    """As troff reads it literally: one line, no escapes, no request at its start."""
    plain = " ".join(text.split()).replace("\\", "\\e").replace("-", "\\-")
    return f"\\&{plain}" if plain.startswith((".", "'")) else plain


if __name__ == "__main__":
    sys.stdout.write(page())
