"""A chart to one inline <svg> that follows the colours of its page, or to a PNG. matplotlib comes in here only."""

from __future__ import annotations

import hashlib
import io
import re
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any
from xml.etree import ElementTree

from gpucheck import extras
from gpucheck.model import Failure
from gpucheck.render.charts.chart import LIGHT, Chart, Palette

SVG = "{http://www.w3.org/2000/svg}"
LINK = "{http://www.w3.org/1999/xlink}href"
FONT = "DejaVu Sans"  # comes with matplotlib, so every machine lays a chart out alike
# Drawn with these, and then each becomes the variable of its name.
MARKS = Palette(**{name: f"#0a0b{number:02x}" for number, name in enumerate(asdict(LIGHT), 1)})
NAMES = {getattr(MARKS, name): name for name in asdict(LIGHT)}


def svg(chart: Chart, scope: str = "") -> str:
    """One <svg> for a page; `scope` tells equal charts of one page apart."""
    written = io.StringIO()
    with _matplotlib(MARKS):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        chart.draw(MARKS).savefig(written, format="svg", metadata=nothing)
    root = ElementTree.fromstring(written.getvalue())  # noqa: S314 - matplotlib wrote it
    told = hashlib.sha256(repr((scope, chart.title, chart.rows)).encode("utf-8", "replace"))
    _plain(root, f"{chart.name}-{told.hexdigest()[:10]}")
    root.attrib = {
        "xmlns": SVG.strip("{}"), "viewBox": root.attrib["viewBox"], "width": root.attrib["width"].removesuffix("pt"),
        "height": root.attrib["height"].removesuffix("pt"), "role": "img", "aria-label": chart.title,
        "style": "max-width: 100%; stroke-linejoin: round; stroke-linecap: butt",
    }  # fmt: skip
    return ElementTree.tostring(root, encoding="unicode")


def png(chart: Chart, palette: Palette) -> bytes:
    """For a slide or an issue: the chart under its title, two pixels for one of a screen."""
    written = io.BytesIO()
    with _matplotlib(palette):
        figure = chart.draw(palette)
        lines = textwrap.wrap(chart.title, 53)
        width, height = figure.get_size_inches()
        figure.set_size_inches(width, height + 0.2 * len(lines) + 0.1)
        figure.suptitle("\n".join(lines), x=0.015, ha="left", fontsize=11, fontweight="bold")
        figure.savefig(written, format="png", dpi=192, metadata={"Software": None})
    return written.getvalue()


@contextmanager
def _matplotlib(palette: Palette) -> Iterator[None]:
    """Its defaults, whatever this user's are, and ours; put back afterwards. Nothing in a text is mathematics."""
    try:
        import matplotlib.style
        import seaborn  # type: ignore[import-untyped]  # noqa: F401
    except ImportError as error:
        raise Failure(f"charts need matplotlib and seaborn: {error}", extras.tip("report")) from error
    ours: dict[str, Any] = {
        "text.parse_math": False, "text.usetex": False, "svg.fonttype": "none", "svg.hashsalt": "gpucheck",
        "font.family": [FONT], "font.size": 10, "figure.constrained_layout.use": True,
        "figure.constrained_layout.w_pad": 0.07,
        "axes.spines.top": False, "axes.spines.right": False, "axes.axisbelow": True, "axes.titlesize": 10,
        "axes.titlelocation": "left", "axes.titlecolor": palette.ink, "axes.edgecolor": palette.muted,
        "axes.labelcolor": palette.muted, "axes.facecolor": "none", "figure.facecolor": palette.paper,
        "savefig.facecolor": palette.paper, "text.color": palette.ink, "xtick.color": palette.muted,
        "ytick.color": palette.muted, "xtick.labelsize": 9, "ytick.labelsize": 9, "grid.color": palette.grid,
        "patch.edgecolor": palette.paper, "lines.linewidth": 1.8, "lines.markersize": 5, "hatch.linewidth": 1.4,
        "legend.frameon": False, "legend.fontsize": 9,
    }  # fmt: skip
    with warnings.catch_warnings(), matplotlib.style.context(ours, after_reset=True):
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")  # a name in letters that it lacks
        yield


def _plain(root: ElementTree.Element, unique: str) -> None:
    """Without styles for the whole page, links, clips and ids; what needs an id gets one of this chart's own."""
    shapes = {element.get("id"): element for element in root.iter() if element.get("id")}
    hatches = [name for name, element in shapes.items() if element.tag == f"{SVG}pattern"]
    ids = {str(name): f"{unique}-{number}" for number, name in enumerate(hatches)}
    for parent in list(root.iter()):
        for child in list(parent):
            empty = child.tag == f"{SVG}defs" and child.find(f"{SVG}pattern") is None
            if empty or child.tag in (f"{SVG}metadata", f"{SVG}style", f"{SVG}clipPath"):
                parent.remove(child)
            elif child.tag == f"{SVG}use":
                _copy(child, shapes[child.attrib.pop(LINK).removeprefix("#")])
    for element in root.iter():
        element.tag = element.tag.removeprefix(SVG)
        element.tail = None
        if element.tag != "text":
            element.text = None
        element.attrib.pop("clip-path", None)
        old = element.attrib.pop("id", None)
        if old in ids:
            element.set("id", ids[old])
        for name in ("d", "x", "y", "transform"):
            if name in element.attrib:
                element.set(
                    name, re.sub(r"-?\d+\.\d{3,}", lambda found: f"{float(found[0]):.2f}", element.attrib[name])
                )
        # Variables hold in styles, not in attributes.
        looks = [f"{name}: {element.attrib.pop(name)}" for name in ("fill", "stroke") if name in element.attrib]
        looks += [element.attrib["style"]] if "style" in element.attrib else []
        if element.get("transform", "").startswith("rotate(-0 "):
            del element.attrib["transform"]
        if looks:
            element.set("style", _style("; ".join(looks), ids))


def _copy(use: ElementTree.Element, shape: ElementTree.Element) -> None:
    """A marker by itself, where it was a link to one."""
    use.tag = shape.tag
    use.set("d", shape.attrib["d"])
    use.set("style", f"{use.attrib.get('style', '')}; {shape.attrib.get('style', '')}".strip("; "))
    use.set("transform", f"translate({use.attrib.pop('x')} {use.attrib.pop('y')})")


def _style(style: str, ids: dict[str, str]) -> str:
    """A program that knows no variables takes the colour before, a page without ours the one within."""

    def variable(found: re.Match[str]) -> str:
        what, name = found[1], NAMES[found[2]]
        plain = getattr(LIGHT, name)
        return f"{what}: {plain}; {what}: var(--{name}, {plain})"

    style = re.sub(r"(\w+): (#0a0b\d\d)", variable, style)
    style = re.sub(r"url\(#(\w+)\)", lambda found: f"url(#{ids.get(found[1], found[1])})", style)
    return style.replace(f"'{FONT}'", f"system-ui, '{FONT}', sans-serif")
