"""One self-contained page for one report or many: no script, no network; light, dark, on a phone and on paper.

The templates are in page/. Whatever is put into one is escaped, and made a line that steers nothing, in one place.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from itertools import chain, islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpucheck import extras
from gpucheck.facts import Run
from gpucheck.model import Failure, Report
from gpucheck.render import costs, fleet, fleet_words, grouping, proof
from gpucheck.render.chain import SAID
from gpucheck.render.facts_table import GPU_COLUMNS
from gpucheck.render.sheet import Sheet
from gpucheck.render.wording import printable

if TYPE_CHECKING:
    from jinja2 import Environment

WHOLE = 8  # reports with all that held and their facts; of more, what is not right alone is on the page
ODD = 60  # odd ones, and changes of a kind
CHARTED = 3  # runs with their charts
PAGES = Path(__file__).parent / "page"


def render(reports: Iterable[Report]) -> str:
    """They are taken one by one: of many, only what the page shows is kept."""
    pages, coming = _environment(), iter(reports)
    first = list(islice(coming, WHOLE + 1))
    if len(first) == 1:
        return _page(pages, only=Sheet(report=first[0], anchor="r1", charted=True), fleet=None)
    runs, hosts, template = 0, [], pages.get_template("host.html.j2")
    for number, report in enumerate(chain(first, coming), 1):
        charted = Run in report.facts.known and runs < CHARTED and len(first) <= WHOLE
        runs += charted
        sheet = Sheet(report=report, anchor=f"r{number}", whole=len(first) <= WHOLE, charted=charted)
        hosts.append(fleet.host(sheet, template.render(sheet=sheet)))
    return _page(pages, only=None, fleet=fleet.of(hosts), whole=len(first) <= WHOLE)


def of_fleet(hosts: fleet.Fleet) -> str:
    """The page of many, where of each no more than its row is kept."""
    return _page(_environment(), only=None, fleet=hosts, whole=True)


def _page(pages: Environment, **given: Any) -> str:
    # A surrogate that is alone, as JSON may spell one, is not printable, so the page is UTF-8 whatever was in it.
    return pages.get_template("page.html.j2").render(**given).rstrip("\n") + "\n"


@cache
def _environment() -> Environment:
    try:
        from jinja2 import Environment, FileSystemLoader, StrictUndefined
        from markupsafe import Markup
    except ImportError as error:
        raise Failure("the format html needs the package jinja2", extras.tip("report")) from error
    from gpucheck.render import charts

    made = Environment(
        loader=FileSystemLoader(PAGES), autoescape=True, undefined=StrictUndefined, finalize=_one_line,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    made.globals.update(
        SIGNS=grouping.SIGNS, SAID=SAID, GPU_COLUMNS=GPU_COLUMNS, COST_COLUMNS=costs.COLUMNS, WHOLE=WHOLE, ODD=ODD,
        agreement=proof.agreement, names=fleet_words.names,
        light=charts.LIGHT.css, dark=charts.DARK.css,
        svg=lambda chart, anchor: Markup(charts.svg(chart, anchor)),  # noqa: S704 - it escapes what it draws
        made=Markup,  # by a template of ours
    )  # fmt: skip
    return made


def _one_line(value: Any) -> Any:
    """Of every value in a template; Markup is a subclass of str, and ours."""
    return printable(value) if type(value) is str else value
