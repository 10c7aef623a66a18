"""What the documents tell people to type works, or is at least understood; what they link to is there.

documents.toml says of each command line which of the two, and why. `pytest --update` writes the output of what runs
anew where a document shows it.
"""

from __future__ import annotations

import ast
import re
import subprocess
import textwrap
import tomllib
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

import gpucheck
from gpucheck import recipes
from gpucheck.cli.app import app
from tests.pages import desk
from tests.pages.blocks import Command, blocks, commands, gpucheck_calls
from tests.pages.markdown import anchor

TESTS = Path(__file__).parent
ROOT = TESTS.parent
TYPED = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "compose" / "README.md", *sorted(ROOT.glob("docs/*.md"))]
LINKED = [*TYPED, *ROOT.glob("[CD]*.md"), *TESTS.glob("*/README.md")]
REMEDIES = ROOT / "docs" / "rules.md"  # its lines are the rules' own, which tests/test_catalog.py looks at
TABLE = tomllib.loads((TESTS / "documents.toml").read_text())
UNDERSTOOD = {line: why for why, lines in TABLE["understood"].items() for line in lines}
EVERY: list[tuple[Path, str, Command]] = [
    (path, block.language, command)
    for path in TYPED for block in blocks(path.read_text()) for command in commands(block)
]  # fmt: skip
SHOWN = [(path, command) for path, _, command in EVERY if command.output and command.output[0] != "…"]
CLI: Any = get_command(app)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return desk.furnished(tmp_path_factory.mktemp("typed"))


def test_every_line_is_listed_and_every_listed_line_is_there() -> None:
    listed = [*TABLE["runs"], *TABLE["cloud"], *UNDERSTOOD]
    ran = len(TABLE["runs"]) + len(TABLE["cloud"])
    assert len(listed) == len(set(listed)) == sum(map(len, TABLE["understood"].values())) + ran
    assert {command.text for path, _, command in EVERY if path != REMEDIES} == set(listed)


@pytest.mark.parametrize("line", TABLE["runs"])
def test_it_runs(line: str, folder: Path) -> None:
    done = desk.typed(folder, line)
    assert done.returncode in TABLE["runs"][line], done.stdout
    assert "Traceback" not in done.stdout


@pytest.mark.parametrize(("path", "command"), SHOWN, ids=[command.text for _, command in SHOWN])
def test_the_output_that_is_shown_is_what_it_prints(
    path: Path, command: Command, folder: Path, request: pytest.FixtureRequest
) -> None:
    """Lines may be broken elsewhere."""
    printed = desk.typed(folder, TABLE["instead"].get(command.text, command.text)).stdout
    printed = re.sub(r"(· kernel [\d.]+)\S*", r"\1", printed).rstrip("\n")
    if request.config.getoption("--update") and _words(printed) != _words("\n".join(command.output)):
        whole = (textwrap.wrap(line, 118, break_on_hyphens=False) if line[:1].isalpha() else [line]
                 for line in printed.splitlines())  # fmt: skip
        new = "\n".join(line for lines in whole for line in lines)
        path.write_text(path.read_text().replace("\n".join(command.output), new))
        command = command._replace(output=tuple(new.splitlines()))
    assert _words("\n".join(command.output)) == _words(printed)


def _words(text: str) -> str:
    return " ".join(text.split())


def test_the_shell_understands_every_line() -> None:
    lines = [command.text for _, language, command in EVERY if language != "powershell"]
    done = subprocess.run(["bash", "-n"], input="\n".join(lines), capture_output=True, text=True)
    wrong = re.match(r"bash: line (\d+)", done.stderr)
    assert not wrong, f"{lines[int(wrong[1]) - 1]}: {done.stderr}"


@pytest.mark.parametrize("line", sorted({command.text for _, _, command in EVERY if [*gpucheck_calls(command.text)]}))
def test_gpucheck_understands_it(line: str) -> None:
    for call in gpucheck_calls(line):
        if call in (["--version"], ["--help"]):
            continue
        words, command, name = call, CLI, ""
        while words and words[0] in getattr(command, "commands", ()):
            name, words = words[0], words[1:]
            command = command.commands[name]
        assert command is not CLI, f"there is no command {call[0]}"
        asked = command.make_context(name, words, resilient_parsing=False).params
        if call[0] == "cloud":  # its images are the clouds'
            continue
        for image in (asked.get("image"), asked.get("recipe") if name in ("build", "pack") else None):
            assert image is None or ":" in image or image in recipes.load()


def test_the_files_that_a_line_names_are_there() -> None:
    """Those whose path begins with a folder of the checkout, or of images/."""
    folders = [(base, path.name) for base in (ROOT / "images", ROOT) for path in base.iterdir() if path.is_dir()]
    tops = {name: base for base, name in folders if not name.startswith(".")}
    gone = [
        word for _, _, command in EVERY for word in re.findall(r"[\w.+/-]+", command.text)
        if (top := word.partition("/")[0]) in tops and "/" in word and not (tops[top] / word).exists()
    ]  # fmt: skip
    images = {recipe.image_tag for recipe in recipes.load().values()}
    assert [name for name in gone if not any(tag.startswith(name) for tag in images)] == []


def test_the_images_that_a_document_names_are_recipes() -> None:
    named = {name for path in TYPED for name in re.findall(r"\bgpucheck/\w+:[\w.+-]+\w", path.read_text())}
    assert named <= {recipe.image_tag for recipe in recipes.load().values()} | {"gpucheck/base:bookworm"}


@pytest.mark.parametrize("path", TYPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_the_text_says_of_gpucheck_there_is(path: Path) -> None:
    """Code such as `gpucheck build --list`, and in a table's row after it the options alone."""
    for line in path.read_text().splitlines():
        command, names = None, set[str]()
        for code in re.findall(r"`([^`]+)`", line):
            words = code.partition(" -- ")[0].split()
            if words[0] in ("gpucheck", "scripts/gpucheck") and len(words) > 1 and words[1].isalpha():
                assert words[1] in CLI.commands, code
                command = CLI.commands[words[1]]
                names = {name for each in (command, *getattr(command, "commands", {}).values())
                         for option in each.params for name in (*option.opts, *option.secondary_opts)}  # fmt: skip
            elif not (line.startswith("| `gpucheck") and words[0].startswith("--")):
                continue
            assert set(re.findall(r"(?<!\S)--[a-z][a-z-]+", code)) - names - {"--help"} == set(), code


@pytest.mark.parametrize("path", TYPED, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_rules_that_it_names_there_are(path: Path) -> None:
    ids = (TESTS / "rules" / "ids.txt").read_text().split()
    subjects = {name.partition(".")[0] for name in ids}
    for name in re.findall(r"`([a-z_-]+\.[a-z-]+|[a-z_-]+\.\*)`", path.read_text()):
        if name.partition(".")[0] in subjects and not name.endswith((".py", ".json", ".html", ".toml", ".err")):
            assert [each for each in ids if fnmatchcase(each, name)], name


@pytest.mark.parametrize("block", [b for path in TYPED for b in blocks(path.read_text()) if b.language == "python"])
def test_a_cell_is_python_and_names_what_gpucheck_has(block: Any) -> None:
    code = "\n".join(line for line in block.lines if not line.startswith(("%", "!")))
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "gpucheck":
            assert hasattr(gpucheck, node.attr)


@pytest.mark.parametrize("path", LINKED, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_it_links_to_is_there(path: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", _prose(path.read_text())):
        if target.startswith("https://"):
            continue
        name, _, part = target.partition("#")
        found = path.parent / name if name else path
        assert found.exists(), target
        assert not part or part in _anchors(found.resolve()), target


@cache
def _anchors(path: Path) -> set[str]:
    return {anchor(line.lstrip("# ")) for line in _prose(path.read_text()).splitlines() if re.match(r"#+ ", line)}


def _prose(document: str) -> str:
    return re.sub(r"^```.*?^```$", "", document, flags=re.DOTALL | re.MULTILINE)
