"""The page: what it says first, that it asks nothing of anybody, and that what came from a machine is only text."""

from __future__ import annotations

import functools
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from gpucheck.facts import Facts, Gpu, Nvml, PlacedOp, Placement, Request, Run
from gpucheck.model import Failure, Remedy, Report, Severity, Status
from gpucheck.render import chain, facts_table, html
from gpucheck.render.sheet import Sheet
from gpucheck.render.wording import printable
from gpucheck.rules import DEEP_RULES, HOST_RULES, IMAGE_RULES
from tests.render.test_formats import HOSTILE, finding, hostile, report, reports

EVIL = ("<script>alert(1)</script>", '"onload=alert(1) x="', "]]>", "{{ 7*7 }}", "</style><script>", *HOSTILE)
ALONE = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """The elements of a page as a parser sees them; every tag must be closed where it was opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str | None]] = []
        self.headings: list[int] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs
        if re.fullmatch("h[1-6]", tag):
            self.headings.append(int(tag[1]))
        if tag not in ALONE:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags[tag] += 1
        self.attributes += attrs

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    @property
    def values(self) -> dict[str, list[str | None]]:
        return {name: [v for n, v in self.attributes if n == name] for name, _ in self.attributes}


def page(*given: Report) -> Page:
    return Page(html.render(given))


@functools.cache
def of(host: str, command: str = "doctor") -> Report:
    return next(one for one in reports() if (one.host, one.command) == (host, command))


PAGES = {
    "a machine": ("driver-library-mismatch",), "eight GPUs": ("h100x8-gpu-lost",), "none": ("debian12-no-gpu",),
    "few": ("macos", "wsl2", "t4-ubuntu2204-healthy"),
    "many": tuple(f"h100x8-{n}" for n in ("healthy", "gpu-lost", "nvlink-down", "reset-required", "row-remap-failed",
                                         "row-remap-pending", "inforom-corrupted", "ecc-uncorrected",
                                         "fabric-manager-stopped")),
}  # fmt: skip


def sound(found: Page) -> None:
    """What holds of every page: for a browser without a network, for a screen reader, for a mail's reader."""
    assert {"script", "iframe", "object", "embed", "base", "form", "img", "foreignobject"} & set(found.tags) == set()
    assert [name for name, _ in found.attributes if name.startswith("on")] == []
    assert found.tags["main"] == found.tags["header"] == found.tags["footer"] == found.tags["h1"] == 1
    assert found.headings[0] == 1
    assert all(after <= before + 1 for before, after in zip(found.headings, found.headings[1:], strict=False))
    assert found.tags["caption"] == found.tags["table"]
    assert found.values["lang"] == ["en"]
    ids = found.values.get("id", [])
    assert len(set(ids)) == len(ids)
    for target in found.values.get("href", []):
        assert target is not None
        assert target == "data:," or target.startswith("https://") or target.removeprefix("#") in ids
    assert set(found.values).isdisjoint({"src", "srcset", "background", "xlink:href", "formaction"})
    assert any("default-src 'none'" in (value or "") for value in found.values["content"])


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_sound(name: str) -> None:
    text = html.render([of(host) for host in PAGES[name]])
    sound(Page(text))
    assert len(text.encode()) < 2_000_000
    styles = "".join(re.findall("(?s)<style>.*?</style>", text))
    assert styles
    assert not re.search(r"url\(|@import|https?:", styles)


def test_a_verification_says_first_whether_and_why() -> None:
    run = of("derived-tensorflow-gpu", "verify")
    text = html.render([run])
    found = Page(text)
    sound(found)
    assert len(text.encode()) < 2_000_000
    assert found.text.index("✓Yes") < found.text.index("every heavy op ran on the GPU") < found.text.index("says GPU")
    assert "4 say GPU, and none otherwise." in found.text
    assert found.tags["svg"] == found.tags["figure"] >= 5
    assert found.values["role"].count("img") == found.tags["svg"]
    for word in ("Accuracy", "Precision", "Recall", "F1", "over the control run", "Lock, SHA-256"):
        assert word in found.text
    assert "gpucheck verify --framework tensorflow" in found.text


@pytest.mark.parametrize(
    ("run", "word", "agreement"),
    [
        ("derived-conv-on-cpu", "✗No", "3 say GPU, 1 says GPU and CPU"),
        ("tensorflow-cpu-asked-gpu", "✗No", "none otherwise"),
        ("derived-control-fooled", "?Not proven", "but the control run was not told apart"),
    ],
)
def test_a_verification_that_proves_nothing_says_so(run: str, word: str, agreement: str) -> None:
    found = page(of(run, "verify"))
    assert word in found.text
    assert agreement in found.text
    assert "✓Yes" not in found.text


def test_no_report_that_is_not_right_says_yes() -> None:
    for one in reports():
        sheet = Sheet(report=one, anchor="r1")
        assert (sheet.word == "Yes") is (sheet.kind == "pass") is (one.exit_code == 0), one.host


def test_the_chain_breaks_where_the_root_cause_is() -> None:
    stations = {each.name: each for each in chain.stations(of("driver-library-mismatch"))}
    assert [name for name, each in stations.items() if each.broken] == ["Driver and NVML"]
    assert [stations[n].kind for n in ("PCI bus", "Kernel module", "Device nodes")] == ["pass", "pass", "sofar"]
    assert stations["CUDA libraries"].kind == "part"
    without = {each.name: each.kind for each in chain.stations(of("debian12-no-gpu"))}
    assert without["PCI bus"] == "fail"
    assert without["Kernel module"] == without["Driver and NVML"] == "waits"
    assert "the break" in page(of("debian12-no-gpu")).text
    assert "the break" not in page(of("t4-ubuntu2204-healthy")).text


def test_every_rule_of_a_machine_has_its_station() -> None:
    assert [r.id for r in (*HOST_RULES, *IMAGE_RULES, *DEEP_RULES) if chain.station_of(r.id) is None] == []
    assert chain.station_of("kernels.on-device") is None


def test_a_station_with_what_waits_or_is_unknown_does_not_hold() -> None:
    passed, waits = finding(Status.PASS, rule="docker.a"), finding(Status.SKIP, rule="docker.b", because="pci.x")
    for other in (waits, finding(Status.UNKNOWN, rule="docker.b")):
        (station,) = chain.stations(report(passed, other, finding(Status.FAIL, rule="kernels.x")))
        assert station.kind in ("sofar", "unknown")
    assert chain.stations(report(passed))[0].kind == "pass"


def test_the_fix_is_whole() -> None:
    remedy = Remedy(text="do `x y`", commands={"": ("a && b", "c")}, impact="reboot", precondition="d is there",
                    url="https://example.com/x")  # fmt: skip
    found = page(report(finding(Status.FAIL, remedy=remedy), finding(Status.FAIL, Severity.NOTE, rule="docker.old")))
    for words in ("do x y", "a && b", "needs a reboot", "needs: d is there", "then: gpucheck doctor"):
        assert words in found.text
    assert "https://example.com/x" in found.values["href"]
    sneaky = replace(remedy, url="javascript:alert(1)")
    assert "javascript:alert(1)" not in page(report(finding(Status.FAIL, remedy=sneaky))).values["href"]


def test_many_reports_begin_with_the_worst_and_leave_out_what_holds() -> None:
    found = page(*(of(host) for host in PAGES["many"]))
    assert found.text.index("h100x8-gpu-lost") < found.text.rindex("h100x8-healthy")
    assert "7 no, 2 yes" in found.text
    assert "what holds, the facts and the charts are left out" in found.text
    assert "This machine has an NVIDIA GPU" not in found.text
    assert "This machine has an NVIDIA GPU" in page(*(of(host) for host in PAGES["few"])).text


def test_reports_are_taken_one_by_one() -> None:
    """All of a fleet's would be hundreds of megabytes."""
    alive = 0
    most = 0

    class Counted(Report):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def coming() -> Iterator[Report]:
        nonlocal alive, most
        for _ in range(60):
            alive += 1
            most = max(most, alive)
            yield Counted(tool="t", when="w", host="h", command="doctor", facts=Facts(), findings=())

    html.render(coming())
    assert most < 20


# --- hostile text ---


def run_of(text: str) -> Report:
    run = Run(
        frameworks=("tensorflow",), framework_version=text, device="gpu", devices_asked=1, where=text, where_why=text,
        image_asked=text, image_ran="other", recipe_asked=text, recipe_ran=text, exit_code=0, signal=None,
        oom_killed=False, last_line=text, parts=(), devices_seen=(text,),
    )  # fmt: skip
    request = Request(command=("gpucheck", text), image=text, recipe=text, reason=text, lock_sha256=text,
                      versions=(text,))  # fmt: skip
    facts = Facts(known={Run: run, Request: request}, unknown={Nvml: text})
    return report(finding(Status.FAIL, rule="verdict.witnesses-agree", message=text), facts=facts, host=text,
                  command="verify", answer="verdict.witnesses-agree", when=text, tool=text)  # fmt: skip


@functools.cache
def plain(times: int) -> Page:
    return page(*[*hostile("benign"), run_of("benign")] * times)


@pytest.mark.parametrize("text", [text for text in EVIL if text.strip()], ids=lambda text: ascii(text[:20]))
@pytest.mark.parametrize("times", [1, 3], ids=["few", "many"])
def test_what_came_from_a_machine_is_only_text(text: str, times: int) -> None:
    written = html.render([*hostile(text), run_of(text)] * times)
    assert all(char.isprintable() or char == "\n" for char in written)
    written.encode()
    found = Page(written)
    sound(found)
    known = plain(times)
    assert {**found.tags, "code": 0} == {**known.tags, "code": 0}  # a ` in a remedy is a command's
    assert set(found.values) == set(known.values)
    assert " ".join(printable(text).split())[:100] in found.text


def test_an_op_with_a_hostile_name_is_only_text_in_the_chart_too() -> None:
    evil = EVIL[0]
    ops = (
        PlacedOp(op=f"Conv2D{evil}", device=evil, count=1, mode="graph"),
        PlacedOp(op="Conv2D", device=f"GPU:0{evil}", count=1, mode="graph"),
    )
    placement = Placement(lines=2, unread=0, ops=ops, strict=True, refused=None, gpu_kernels=None, host_memory=(),
                          reasons=())  # fmt: skip
    one = run_of(evil)
    found = page(replace(one, facts=one.facts | Facts(known={Placement: placement})))
    assert found.tags["svg"] >= 1
    sound(found)


def test_facts_are_cut_and_say_so() -> None:
    gpus = tuple(Gpu(index=number, name="x" * 5000) for number in range(64))
    (subject,) = facts_table.subjects(report(facts=Facts(known={Nvml: Nvml(gpus=gpus)})))
    assert len(subject.rows) == facts_table.MOST_ROWS
    assert subject.left_out > 0
    assert max(len(value) for _, value in subject.rows) <= facts_table.MOST_CHARACTERS + 1
    assert "more are left out" in page(report(facts=Facts(known={Nvml: Nvml(gpus=gpus)}))).text


def test_a_missing_package_is_said_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    html._environment.cache_clear()
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(Failure, match="needs the package jinja2") as caught:
        html.render([report()])
    assert caught.value.tip == "`pip install jinja2 matplotlib seaborn`"
