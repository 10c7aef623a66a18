"""The report page in a real browser: Debian's Chromium, driven by Playwright, judged by axe-core.

Every page is opened as a mail attachment would be, from a file, at phone and desktop width, light and dark.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gpucheck import compat, engine, matrix
from gpucheck.host import Recorded
from gpucheck.model import Report
from gpucheck.nodes import Arrived, Unread
from gpucheck.probes import PROBES
from gpucheck.render import fleet_html, renderer
from gpucheck.rules import ANSWER, HOST_RULES, RUN_RULES
from gpucheck.witnesses import WITNESSES
from tests.made_up import synthetic

TESTS = Path(__file__).parents[1]
WIDTHS = {"phone": 360, "desktop": 1280}
EVIL = "<script>document.title='owned'</script>"


def doctored(machine: str, host: str | None = None) -> Report:
    facts = engine.collect(PROBES, Recorded.load(TESTS / "machines" / machine / "recording.json"))
    return engine.report("doctor", facts, engine.judge(HOST_RULES, facts, compat.load()), host=host or machine)


def verified(run: str) -> Report:
    known = json.loads((TESTS / "runs" / run / "expected.json").read_text())
    host = engine.collect(PROBES, Recorded.load(TESTS / "machines" / known["machine"] / "recording.json"))
    facts = host | engine.collect(WITNESSES, TESTS / "runs" / run / "evidence")
    return engine.report("verify", facts, engine.judge(RUN_RULES, facts, compat.load()), host=run, answer=ANSWER)


def fleet() -> list[Report]:
    return [doctored(path.parent.name) for path in sorted(TESTS.glob("machines/h*/recording.json"))]


def judged() -> str:
    """The page of `gpucheck fleet report`, with all that it can have."""
    made = synthetic.seeded(60, seed=1)
    came = [Arrived(each, f"{each.host}.json") for each in synthetic.reports(made)]
    now = matrix.collect([*came, Unread("x.jsonl", "line 3: it is not whole")], [*made.faults, "n99999"])
    return fleet_html.render(replace(now, changes=matrix.changes(matrix.collect(came[:50]), now)))


PAGES: dict[str, tuple[Callable[[], list[Report] | str], str]] = {
    "a run on the GPU": (lambda: [verified("derived-tensorflow-gpu")], "Yes"),
    "a run on the CPU": (lambda: [verified("tensorflow-cpu-asked-gpu")], "No"),
    "a broken machine": (lambda: [doctored("h100x8-gpu-lost")], "No"),
    "a healthy machine": (lambda: [doctored("t4-ubuntu2204-healthy")], "Yes"),
    "a fleet": (fleet, "12 reports"),
    "a fleet judged": (judged, "62 nodes"),
    "a host with a name to run": (lambda: [doctored("h100x8-healthy", EVIL)], "Yes"),
}


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if program is None:
        assert os.environ.get("CI") != "true", "CI is to have a browser: scripts/test installs it"
        pytest.skip("no Chromium here, so no page was opened in a browser")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session", params=PAGES, ids=lambda name: str(name).replace(" ", "-"))
def page_file(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path, str]:
    reports, says = PAGES[request.param]
    made = reports()
    path = tmp_path_factory.mktemp("pages") / "report.html"
    path.write_text(made if isinstance(made, str) else renderer("html")(made), encoding="utf-8")
    return request.param, path, says


@pytest.mark.parametrize(("width", "scheme"), [("phone", "dark"), ("desktop", "light")])
def test_a_page_is_whole_quiet_and_for_everybody(
    chromium: Any, page_file: tuple[str, Path, str], width: str, scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]

    name, path, says = page_file
    assert path.stat().st_size < 2_000_000
    context = chromium.new_context(viewport={"width": WIDTHS[width], "height": 800}, color_scheme=scheme)
    try:
        page = context.new_page()
        asked: list[str] = []
        complaints: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path.as_uri())
        assert asked == [path.as_uri()]
        assert complaints == []
        assert page.title() != "owned"

        (verdict,) = page.locator("h1").all()
        assert verdict.is_visible()
        assert re.search(rf"\b{says}\b", verdict.inner_text()), verdict.inner_text()
        box = verdict.bounding_box()
        assert box["y"] + box["height"] < 800, "the verdict is on the first screen"
        wide = page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth")
        assert wide <= 0, f"the page is {wide} px wider than the screen"
        if name.startswith("a run"):
            chart = page.locator("svg").first
            chart.scroll_into_view_if_needed()
            box = chart.bounding_box()
            assert chart.is_visible()
            assert box["width"] > 200
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= WIDTHS[width]

        if shots := os.environ.get("GPUCHECK_SCREENSHOTS"):
            page.screenshot(path=f"{shots}/{name.replace(' ', '-')}-{width}-{scheme}.png", full_page=True)
        page.evaluate("document.querySelectorAll('details').forEach(each => each.open = true)")
        found = Axe().run(page).response["violations"]
        assert [(each["id"], each["nodes"][0]["html"][:200]) for each in found] == []
        assert complaints == []
    finally:
        context.close()


def test_on_paper_everything_is_ink(chromium: Any, tmp_path: Path) -> None:
    """Printed from a dark desktop it is black on white."""
    path = tmp_path / "report.html"
    path.write_text(renderer("html")([verified("derived-tensorflow-gpu")]), encoding="utf-8")
    context = chromium.new_context(color_scheme="dark")
    try:
        page = context.new_page()
        page.goto(path.as_uri())
        page.emulate_media(media="print", color_scheme="light")
        colours = page.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        page.emulate_media(media="print", color_scheme="dark")
        again = page.evaluate(
            "[getComputedStyle(document.body).color, getComputedStyle(document.body).backgroundColor]"
        )
        assert colours == again
        assert page.pdf()[:5] == b"%PDF-"
    finally:
        context.close()
