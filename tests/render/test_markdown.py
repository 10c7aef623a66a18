"""The summary for a pull request, read back by a parser of Markdown that is not ours: markdown-it, with tables."""

from __future__ import annotations

import functools
import html as entities
import re
from collections import Counter

import pytest
from markdown_it import MarkdownIt

from gpucheck.facts import Facts, Nvml
from gpucheck.model import Remedy, Status
from gpucheck.render import markdown
from gpucheck.render.wording import printable
from tests.render.test_formats import HOSTILE, finding, hostile, report, reports

EVIL = (
    "<script>alert(1)</script>",
    "@someone #1 owner/repo#2 GH-3 https://evil.example www.evil.example", "![x](y) [a](b)",
    "```\nrm -rf /\n```", "| a | b |\n|---|---|", "- a", "1. a", "=====", "# a", ":boom:", "$a$", *HOSTILE,
)  # fmt: skip
TAGS = {"<details>", "</details>", "<summary>", "</summary>", "<sub>", "</sub>", "<!-- -->"}


def rendered(text: str) -> str:
    return str(MarkdownIt("commonmark").enable("table").render(text))


def tokens(text: str) -> Counter[str]:
    """Kinds of the blocks and of what stands in them."""
    found: Counter[str] = Counter()
    for token in MarkdownIt("commonmark").enable("table").parse(text):
        found.update([token.type, *(child.type for child in token.children or () if child.type != "html_inline")])
        for piece in [token, *(token.children or ())]:
            if piece.type in ("html_inline", "html_block"):
                assert set(re.findall(r"<!-- -->|</?\w*[^<>]*>", piece.content)) <= TAGS, piece.content
    for name in ("text", "softbreak", "code_inline", "text_special"):
        found.pop(name, None)
    return found


def shown(text: str) -> str:
    """What a reader sees."""
    return " ".join(entities.unescape(re.sub(r"<!-- -->|</?\w+[^<>]*>", "", rendered(text))).split())


@functools.cache
def benign(times: int) -> Counter[str]:
    return tokens(markdown.render(hostile("benign") * times))


@pytest.mark.parametrize("text", [text for text in EVIL if text.strip()], ids=lambda text: ascii(text[:20]))
@pytest.mark.parametrize("times", [1, 4], ids=["few", "many"])
def test_what_came_from_a_machine_is_only_text(text: str, times: int) -> None:
    page = markdown.render(hostile(text) * times)
    assert all(char.isprintable() or char == "\n" for char in page)
    assert page.endswith("\n")
    assert len(page) < 65_536
    found = tokens(page)
    if "`" not in text and len(text) < 1000:  # of what is too long for a comment only a table is told
        assert found == benign(times)
    assert " ".join(printable(text).split())[:100] in shown(page)
    outside = re.sub(r"(?s)(`+).*?\1", "", page)
    assert not re.search(r"[@#]\w|//|www\.|(?i:gh)-\d", outside)


def test_a_verification_is_summed_up() -> None:
    (one,) = [each for each in reports() if (each.host, each.command) == ("derived-tensorflow-gpu", "verify")]
    page = markdown.render([one])
    assert page.startswith("### ✅ derived-tensorflow-gpu: Yes\n")
    words = shown(page)
    assert "Yes: every heavy op ran on the GPU" in words
    assert "The profiler ✅ says GPU" in words
    assert "Accuracy" in words
    assert "Again: gpucheck verify --framework tensorflow" in words


def test_only_what_is_right_is_green() -> None:
    for one in reports():
        assert markdown.render([one]).startswith("### ✅") is (one.exit_code == 0), one.host


def test_a_fix_is_whole_whatever_is_in_it() -> None:
    remedy = Remedy(text="do `a b` now", commands={"": ("echo ```", "c")}, impact="reboot")
    page = markdown.render([report(finding(Status.FAIL, remedy=remedy))])
    assert "````sh\necho ```\nc\n````\n" in page
    assert "do `a b` now (needs a reboot)" in page


def test_a_fleet_fits_into_a_comment() -> None:
    page = markdown.render(reports())
    assert len(page) < 65_536
    assert "more are left out; the worst are here" in page
    assert page.startswith("### ❌")


def test_what_is_not_known_is_there() -> None:
    one = report(finding(Status.UNKNOWN, rule="nvml.answers"), facts=Facts(unknown={Nvml: "no"}))
    assert "What is not known: 1" in markdown.render([one])
    assert markdown.render([one]).startswith("### ❔")
