"""A report as the last value of a cell."""

from __future__ import annotations

import html

from gpucheck.facts import Run
from gpucheck.model import Failure, Report
from gpucheck.render import renderer
from gpucheck.render.wording import printable

UNKNOWN = 3  # the exit code of what is not known
HEIGHT = 640  # pixels of a page in a cell; its corner can be dragged
FRAME = (
    '<iframe title="gpucheck" sandbox="allow-popups allow-popups-to-escape-sandbox" style="width: 100%; height: {}px; '
    'border: 1px solid #8884; border-radius: 8px; resize: vertical; overflow: auto" srcdoc="{}"></iframe>'
)


class Page:
    """A report: a page where a notebook shows it, the terminal's page elsewhere."""

    def __init__(self, report: Report | None = None) -> None:
        self.report = report
        self._html: str | None = None

    @property
    def exit_code(self) -> int:
        """0 yes, 1 no, 3 not known; 70 a bug of gpucheck."""
        return self.report.exit_code if self.report else UNKNOWN

    @property
    def verdict(self) -> str:
        """The answer in one sentence, and why."""
        return self.report.verdict if self.report else "not known: nothing has been looked at"

    def __repr__(self) -> str:
        page = renderer("terminal")([self.report]).rstrip("\n") if self.report else self.verdict
        return "\n".join([page, *_not_seen(self.report)])

    def _repr_html_(self) -> str:
        if self._html is None or self.report is None:
            words = [self.verdict, *_fix(self.report), *_not_seen(self.report)]
            self._html = "<br>".join(html.escape(printable(line)) for line in words) + _framed(self.report)
        return self._html


def _fix(report: Report | None) -> list[str]:
    """In words: the frame has its commands, and may be scrolled to them."""
    cause = report.root_cause if report else None
    return [f"fix: {cause.remedy.text}"] if cause and cause.remedy else []


def _not_seen(report: Report | None) -> list[str]:
    run = report.facts.known.get(Run) if report else None
    problems = [problem for process in run.processes for problem in process.problems] if isinstance(run, Run) else []
    return [f"not seen: {printable(problem)}" for problem in dict.fromkeys(problems)]


def _framed(report: Report | None) -> str:
    """A frame keeps its style and the notebook's apart; where a notebook is not trusted, it is not shown at all."""
    if report is None:
        return ""
    try:
        page = renderer("html")([report])
    except Failure as failure:  # jinja2 or the charts' packages are not there
        text = f"{renderer('terminal')([report])}\n{failure}: {failure.tip}"
        return f"<pre>{html.escape(text)}</pre>"
    return FRAME.format(HEIGHT, html.escape(page.replace("<head>", '<head><base target="_blank">', 1)))
