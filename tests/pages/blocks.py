"""The blocks of a document, and the command lines in them with the output that they are said to have."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from typing import NamedTuple

FENCE = re.compile(r"\s*(`{3,})(\S*)\s*")
INDENT = "    "
OPERATORS = "();|&<>"


class Block(NamedTuple):
    line: int  # of the document, from 1
    language: str
    lines: tuple[str, ...]


class Command(NamedTuple):
    text: str
    output: tuple[str, ...] = ()


def blocks(document: str) -> Iterator[Block]:
    """Fenced ones, and paragraphs that are indented by four blanks outside of lists."""
    lines, number, paragraph = document.splitlines(), 0, ""
    while number < len(lines):
        start = number
        if match := FENCE.fullmatch(lines[number]):
            number = next(n for n in range(start + 1, len(lines)) if lines[n].strip() == match[1])
            yield Block(start + 1, match[2], tuple(lines[start + 1 : number]))
        elif (
            lines[number].startswith(INDENT) and not lines[number - 1].strip() and not paragraph.startswith(("-", "*"))
        ):
            while number < len(lines) and lines[number].startswith(INDENT):
                number += 1
            yield Block(start, "", tuple(line.removeprefix(INDENT) for line in lines[start:number]))
            continue
        elif lines[number].strip() and not lines[number].startswith(" "):
            paragraph = lines[number]
        number += 1


def commands(block: Block) -> list[Command]:
    """Of a shell's block, and the `%` and `!` lines for it of a notebook's cell."""
    if block.language == "dockerfile":
        return []
    if block.language == "python":
        return [Command(line[1:]) for line in block.lines if re.match(r"[%!](pip|sh)\b|!", line)]
    if any(line.startswith("$ ") for line in block.lines):
        return _console(block.lines)
    joined = re.sub(r"\s*\\\n\s*", " ", "\n".join(block.lines)).splitlines()
    # What stands behind three blanks or a # says what the command does.
    bare = (re.sub(r"\s{3,}.*|\s*(?<!\S)# .*", "", line).strip() for line in joined)
    return [Command(line) for line in bare if line]


def _console(lines: tuple[str, ...]) -> list[Command]:
    found: list[Command] = []
    for line in lines:
        if line.startswith("$ "):
            found.append(Command(line[2:]))
        elif found:
            found[-1] = found[-1]._replace(output=(*found[-1].output, line))
    return found


def gpucheck_calls(line: str) -> Iterator[list[str]]:
    """The arguments of each gpucheck in a line for the shell."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=OPERATORS)
    lexer.whitespace_split = True
    lexer.commenters = ""
    call: list[str] | None = None
    for word in lexer:
        if word.strip(OPERATORS) == "" or word in ("do", "done"):
            if call is not None:
                yield call
            call = None
        elif call is not None:
            call.append(word)
        elif re.fullmatch(r"(?:[^=]*/(?:bin|scripts)/|scripts/)?gpucheck", word):
            call = []
        elif " gpucheck " in f" {word} ":  # of `sh -c`
            yield from gpucheck_calls(word)
    if call is not None:
        yield call
