"""The pages of docs/ that are written from the source are what the source says. `pytest --update` writes them anew."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pages import compatibility, rules

DOCS = Path(__file__).parents[1] / "docs"
PAGES: dict[str, Callable[[], str]] = {"rules.md": rules.page, "compatibility.md": compatibility.page}


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_current(name: str, request: pytest.FixtureRequest) -> None:
    path, page = DOCS / name, PAGES[name]()
    if request.config.getoption("--update"):
        path.write_text(page)
    assert path.read_text() == page, "pytest --update tests/test_docs.py"


def test_every_rule_is_in_the_catalogue() -> None:
    ids = (Path(__file__).parent / "rules" / "ids.txt").read_text().split()
    page = (DOCS / "rules.md").read_text()
    assert [name for name in ids if f"\n### `{name}`\n" not in page] == []
