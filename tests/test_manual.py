"""The man page is the command line's, and what help shows as an example is a command line that is understood."""

from __future__ import annotations

import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from gpucheck.cli import manual
from gpucheck.cli.app import app
from gpucheck.cli.examples import EXAMPLES

PAGE = Path(__file__).parents[1] / "docs" / "gpucheck.1"
ROOT: Any = get_command(app)


def test_the_page_is_of_this_command_line() -> None:
    assert PAGE.read_text() == manual.page(), "scripts/fix writes it anew"


def test_every_command_and_option_is_in_it() -> None:
    page = PAGE.read_text().replace("\\-", "-")
    for name, command in ROOT.commands.items():
        assert f"gpucheck {name}" in page
        assert [p.opts[0] for p in command.params if p.opts[0].startswith("--") and p.opts[0] not in page] == []


def test_troff_has_nothing_to_say_about_it() -> None:
    if shutil.which("groff") is None:
        pytest.skip("no groff here, so the man page was not formatted")
    done = subprocess.run(["groff", "-man", "-ww", "-Tutf8", str(PAGE)], capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert "Is the GPU stack right?" in done.stdout


def test_text_is_no_request_of_troffs() -> None:
    assert manual._text(".so /etc/passwd \\n") == "\\&.so /etc/passwd \\en"


def test_every_command_has_examples() -> None:
    of_groups = {f"{group} {name}" for group in ("cloud", "fleet") for name in ROOT.commands[group].commands}
    assert {*ROOT.commands, *of_groups} == set(EXAMPLES)


@pytest.mark.parametrize("line", [line for examples in EXAMPLES.values() for line, _ in examples])
def test_an_example_is_understood(line: str) -> None:
    words = shlex.split(line.rpartition("| ")[2].partition(" > ")[0])
    assert words[0] == "gpucheck"
    command, rest = ROOT, words[1:]
    while rest and rest[0] in getattr(command, "commands", {}):
        command, rest = command.commands[rest[0]], rest[1:]
    assert command.make_context(words[-1], rest, resilient_parsing=False).command is command
