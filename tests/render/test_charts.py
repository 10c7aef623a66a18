"""The charts: their tables are the facts, and an <svg> of them can do nothing to the page that it stands in."""

from __future__ import annotations

import re
import sys
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from gpucheck import engine
from gpucheck.facts import (
    ClassScore,
    Control,
    Epoch,
    Evaluation,
    Facts,
    GpuSeries,
    GpuUse,
    Phase,
    PlacedOp,
    Placement,
    Run,
    Timeline,
    Timing,
    Training,
)
from gpucheck.model import Failure, Report
from gpucheck.render.charts import CHARTS, DARK, LIGHT, Chart, Palette, charts, confusion, png, svg
from gpucheck.render.charts.chart import label
from gpucheck.render.charts.phases import phase_rows
from gpucheck.witnesses import WITNESSES

RUNS = Path(__file__).parents[1] / "runs"
HOSTILE = "<script>$x$</script>\x1b[31m\x00"
NAMES = ("witnesses", "ops_by_device", "step_time", "timeline", "learning", "class_scores", "confusion")

RUN = Run(
    frameworks=("tensorflow",), framework_version="2.21.0", device="gpu", devices_asked=1, where="host", where_why=None,
    image_asked=None, image_ran=None, recipe_asked=None, recipe_ran=None, exit_code=0, signal=None, oom_killed=False,
    last_line=None, parts=(), devices_seen=("GPU:0", "CPU:0"),
)  # fmt: skip
PLACEMENT = Placement(
    lines=30, unread=0, strict=True, refused=None, gpu_kernels=("Conv2D", "MatMul"), host_memory=(), reasons=(),
    ops=(
        PlacedOp(op="Conv2D", device="GPU:0", count=9, mode="graph"),
        PlacedOp(op="Conv2D", device="CPU:0", count=2, mode="eager"),
        PlacedOp(op="MatMul", device="GPU:0", count=4, mode="graph"),
        PlacedOp(op="Const", device="CPU:0", count=99, mode="graph"),
    ),
)  # fmt: skip
EPOCHS = (
    Epoch(loss=1.5, accuracy=0.25, val_loss=1.25, val_accuracy=0.5, seconds=9.0, steps=10),
    Epoch(loss=None, accuracy=0.75, val_loss=None, val_accuracy=0.625, seconds=4.0, steps=10),
)
TRAINING = Training(
    history=EPOCHS, recipe="fast", precision="float32", epochs_asked=2, batch_size=128, samples=2560, seed=0,
    deterministic=None, data="CIFAR-10", real=True, test_accuracy=0.6, gpu_memory_peak_bytes=(2**27,),
    weights_bytes=2**20, shares=(),
)  # fmt: skip
TIMING = Timing(batch_size=128, step_seconds=0.01, images_per_second=12800.0, control_step_seconds=0.071)


def score(name: str, precision: float, recall: float, f1: float) -> ClassScore:
    return ClassScore(name=name, precision=precision, recall=recall, f1=f1, support=10)


EVALUATION = Evaluation(
    accuracy=0.75, classes=(score("cat", 0.7, 0.6, 0.65), score("dog", 0.8, 0.9, 0.85)),
    macro=score("macro", 0.75, 0.75, 0.75), weighted=score("weighted", 0.75, 0.75, 0.75), confusion=((6, 4), (1, 9)),
)  # fmt: skip


def series(index: int, name: str | None = "Tesla T4", **more: Any) -> GpuSeries:
    given: dict[str, Any] = {
        "memory_total_bytes": 16 * 2**30, "utilization": (0, 90, None), "memory_bytes": (2**30, 4 * 2**30, None),
        "power_mw": (30_000, 70_500, None), "temperature_c": (None, None, None), **more,
    }  # fmt: skip
    return GpuSeries(index=index, uuid=None, name=name, **given)


def timeline(*gpus: GpuSeries, phases: tuple[Phase, ...] = ()) -> Timeline:
    return Timeline(seconds=(0.0, 1.0, 2.0), gpus=gpus, phases=phases)


TIMELINE = timeline(series(0), phases=(Phase(name="probe", start=-1, end=1), Phase(name="train", start=1, end=3)))


def report(*facts: Any, unknown: dict[type, str] | None = None) -> Report:
    known = Facts(known={type(fact): fact for fact in facts}, unknown=unknown or {})
    return Report(tool="gpucheck 0", when="2026-01-01T00:00:00+00:00", host="box", command="verify", facts=known,
                  findings=())  # fmt: skip


ALL = report(RUN, PLACEMENT, TRAINING, TIMING, EVALUATION, TIMELINE)


@cache
def recorded(name: str) -> Report:
    return report(*engine.collect(WITNESSES, RUNS / name / "evidence").known.values())


def chart(of: Report, name: str) -> Chart:
    return next(chart for chart in charts(of) if chart.name == name)


def test_every_module_is_listed() -> None:
    folder = Path(str(sys.modules["gpucheck.render.charts"].__file__)).parent
    drawn = {path.stem for path in folder.glob("*.py")} - {"__init__", "chart", "drawing", "phases"}
    assert {make.__module__.rpartition(".")[2] for make in CHARTS} == drawn
    assert tuple(chart.name for chart in charts(ALL)) == NAMES


def test_nothing_is_drawn_of_facts_that_are_not_there() -> None:
    assert charts(report()) == ()
    assert charts(report(RUN)) == ()
    assert [chart.name for chart in charts(report(RUN, PLACEMENT))] == ["witnesses", "ops_by_device"]
    assert [chart.name for chart in charts(report(EVALUATION))] == ["class_scores", "confusion"]
    assert charts(report(replace(TRAINING, history=()))) == ()
    assert charts(report(RUN, replace(PLACEMENT, ops=PLACEMENT.ops[-1:]))) == ()
    nothing: dict[str, Any] = {"utilization": (None,) * 3, "memory_bytes": (None,) * 3, "power_mw": (None,) * 3}
    assert charts(report(timeline())) == charts(report(timeline(series(0, **nothing)))) == ()
    assert charts(report(replace(EVALUATION, classes=(), confusion=()))) == ()
    assert [each.name for each in charts(report(replace(EVALUATION, confusion=((1, 2),))))] == ["class_scores"]


def test_a_table_is_the_facts() -> None:
    assert chart(ALL, "ops_by_device").rows == (
        ("Conv2D", "GPU:0", "graph", "9"), ("Conv2D", "CPU:0", "eager", "2"), ("MatMul", "GPU:0", "graph", "4"),
    )  # fmt: skip
    assert chart(ALL, "learning").rows == (
        ("1", "1.5", "1.25", "25.00%", "50.00%", "9.0", "10"),
        ("2", "not told", "not told", "75.00%", "62.50%", "4.0", "10"),
    )
    assert chart(ALL, "confusion").rows == (("cat", "6", "4"), ("dog", "1", "9"))
    assert [row[:4] for row in chart(ALL, "class_scores").rows[:2]] == [
        ("dog", "0.800", "0.900", "0.850"), ("cat", "0.700", "0.600", "0.650"),
    ]  # fmt: skip
    assert chart(ALL, "timeline").rows == (
        ("0.0", "probe", "0", "0", "1.0", "30", "not told"), ("1.0", "train", "0", "90", "4.0", "70", "not told"),
        ("2.0", "train", "0", "not told", "not told", "not told", "not told"),
    )  # fmt: skip
    assert chart(ALL, "step_time").rows == (
        ("a step, asked for the GPU", "10 ms"), ("a step, the GPU hidden", "71 ms"), ("images a second", "12,800"),
        ("images a step", "128"), ("epoch 1", "9.0 s"), ("epoch 2", "4.0 s"),
    )  # fmt: skip
    for each in charts(ALL):
        assert all(len(row) == len(each.columns) for row in each.rows), each.name


def test_a_title_has_the_numbers() -> None:
    titles = {each.name: each.title for each in charts(ALL)}
    assert "2 of 15 heavy ops are on the CPU" in titles["ops_by_device"]
    assert "7.1 times as fast" in titles["step_time"]
    assert "90 % busy" in titles["timeline"]
    assert "4.0 of 16.0 GiB" in titles["timeline"]
    assert "cat is taken for dog most often: 4 of 10" in titles["confusion"]
    slower = replace(TIMING, control_step_seconds=0.005)
    assert "2.0 times as slow" in chart(report(RUN, slower), "step_time").title
    alone = replace(TIMING, control_step_seconds=None)
    assert "12,800 images a second" in chart(report(RUN, alone), "step_time").title


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("derived-tensorflow-gpu", "All 4 witnesses say GPU, as asked; with the GPU hidden they say CPU"),
        ("derived-forged-log", "do not agree: 1 says GPU, 2 say CPU, 1 is silent"),
        ("derived-control-fooled", "with the GPU hidden they say GPU all the same"),
        ("pytorch-asked-gpu", "say CPU"),
        ("tensorflow-fast-cpu", "say CPU, as asked"),
    ],
)
def test_the_witnesses_of_a_recorded_run(name: str, told: str) -> None:
    assert told in chart(recorded(name), "witnesses").title.replace(" (1 is silent)", "")


def test_a_witness_that_was_not_there_is_silent_with_its_reason() -> None:
    of = report(RUN, PLACEMENT, TRAINING, unknown={GpuUse: "NVML did not start", Control: "none was made"})
    assert ("NVML", "silent", "not there: NVML did not start") in chart(of, "witnesses").rows


def test_a_fall_to_the_cpu_is_told_in_words_and_hatched() -> None:
    fell, well = (svg(chart(recorded(name), "ops_by_device")) for name in ("pytorch-asked-gpu", "derived-pytorch-gpu"))
    assert len(re.findall(">[0-9]+ on the CPU</text>", fell)) == 7
    assert "<pattern" in fell
    assert "var(--alarm" in fell
    assert "on the CPU" not in well
    assert "<pattern" not in well
    assert "var(--alarm" not in well
    asked = svg(chart(recorded("pytorch-cpu"), "ops_by_device"))
    assert "var(--alarm" not in asked  # it is where it should be


@pytest.mark.parametrize("of", ["literal", "derived-tensorflow-gpu", "pytorch-asked-gpu"])
def test_an_svg_is_inline_and_harmless(of: str) -> None:
    for each in charts(ALL if of == "literal" else recorded(of)):
        is_inline_and_harmless(each)


@pytest.mark.parametrize("count", [2, 8, 9])
def test_so_is_that_of_many_gpus(count: int) -> None:
    (drawn,) = charts(report(timeline(*(series(number, f"GPU {number % 3}") for number in range(count)))))
    is_inline_and_harmless(drawn)


def is_inline_and_harmless(drawn: Chart) -> None:
    text = svg(drawn)
    root = ElementTree.fromstring(text)  # noqa: S314 - ours
    assert root.get("role") == "img"
    assert root.get("aria-label") == drawn.title
    assert root.findall(".//{*}text")
    assert not re.search("href|script|<style|<image|<metadata|<!|<\\?", text)
    assert "http" not in text.replace('xmlns="http://www.w3.org/2000/svg"', "")
    ids = set(re.findall(' id="([^"]+)"', text))
    assert set(re.findall(r"url\(#([^)]+)\)", text)) == ids
    assert all(name.startswith(drawn.name) for name in ids)
    # Each colour is a variable's, with the light one before and within; the map's blue suits both.
    assert set(re.findall("#[0-9a-f]{6}", text)) <= {*asdict(LIGHT).values()}
    bare = [found for found in re.findall(r"(?:fill|stroke): (#\w+)\b(?!; \w+: var)", text) if found != LIGHT.c1]
    assert bare == []


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_every_colour_of_letters_can_be_read(palette: Palette) -> None:
    """WCAG's contrast, of 4.5 at least; also on the strongest blue of the confusion matrix."""
    paper = rgb(palette.paper)
    deepest = [confusion.STRONGEST * blue + (1 - confusion.STRONGEST) * under
               for blue, under in zip(rgb(confusion.BLUE), paper, strict=True)]  # fmt: skip
    pairs = [(colour, paper) for name, colour in asdict(palette).items() if name not in ("paper", "grid")]
    for colour, under in [*pairs, (palette.ink, deepest)]:
        high, low = sorted((luminance(rgb(colour)), luminance(under)), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, colour


def rgb(colour: str) -> list[float]:
    return [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]


def luminance(colour: list[float]) -> float:
    red, green, blue = (v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_texts_are_texts() -> None:
    assert {">cat</text>", ">dog</text>", ">6</text>"} <= set(re.findall(">[^<]+</text>", svg(chart(ALL, "confusion"))))
    assert ">GPU</text>" in svg(chart(ALL, "witnesses"))
    assert ">train</text>" in svg(chart(ALL, "timeline"))


@pytest.mark.parametrize("name", [HOSTILE, "$\\frac{", "\ud800\u202e", "名前", "x" * 10_000, ""])
def test_a_name_from_a_machine_does_nothing(name: str) -> None:
    gpus = tuple(series(number, name) for number in range(2))
    ops = (*PLACEMENT.ops, PlacedOp(op="MatMul", device=name, count=1, mode="graph"))
    phase = Phase(name=name, start=0.0, end=1.0)
    evaluation = replace(EVALUATION, classes=(replace(EVALUATION.classes[0], name=name), EVALUATION.classes[1]))
    of = report(RUN, replace(PLACEMENT, ops=ops), timeline(*gpus, phases=(phase,)), evaluation,
                unknown={GpuUse: name})  # fmt: skip
    for each in charts(of):
        text = svg(each)
        ElementTree.fromstring(text)  # noqa: S314 - ours
        assert "<script" not in text
        assert all(char.isprintable() for char in text)
        assert len(text) < 60_000
        assert all(cell.isprintable() for row in each.rows for cell in row)
    assert png(chart(of, "timeline"), LIGHT).startswith(b"\x89PNG")


def test_a_hostile_name_is_shown_as_it_is() -> None:
    assert "&lt;script&gt;$x$&lt;/script&gt;" in svg(chart(report(timeline(series(0, HOSTILE))), "timeline"))
    assert label("aten::max_pool2d_with_indices_backward", 20) == "aten::max_poo…ckward"
    assert label("a\nb\x1b", 20) == "a b"


def test_the_same_facts_give_the_same_bytes_and_scopes_tell_them_apart() -> None:
    for each in charts(ALL):
        assert svg(each) == svg(each)
    drawn = chart(ALL, "ops_by_device")
    assert png(drawn, DARK) == png(drawn, DARK) != png(drawn, LIGHT)
    ids = [set(re.findall(' id="([^"]+)"', svg(drawn, scope))) for scope in ("a", "b")]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_matplotlib_is_left_as_it_was() -> None:
    import matplotlib

    with matplotlib.rc_context({"text.usetex": True, "font.size": 40, "axes.grid": True, "svg.fonttype": "path"}):
        before = dict(matplotlib.rcParams)
        odd = svg(chart(ALL, "learning"))
        assert dict(matplotlib.rcParams) == before
    assert odd == svg(chart(ALL, "learning"))


def test_without_matplotlib_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(Failure, match="need matplotlib") as failed:
        svg(chart(ALL, "learning"))
    assert "pip install jinja2" in failed.value.tip


def test_names_of_parts_do_not_lie_on_each_other() -> None:
    short = (Phase(name=f"part {n}", start=n, end=n + 1) for n in range(-1, 6))
    parts = (*short, Phase(name="train", start=6, end=100))
    lanes = phase_rows(parts, (0.0, 100.0))
    assert [phase.name for phase, _ in lanes] == ["part 0", "part 1", "part 2", "part 3", "part 4", "part 5", "train"]
    assert [lane for _, lane in lanes] == [0, 1, 2, 3, 4, 5, 6]
    assert {lane for _, lane in phase_rows((parts[1], parts[-1]), (0.0, 100.0))} == {0, 1}


def test_of_many_gpus_the_median_and_the_range() -> None:
    gpus = [series(n, utilization=(n, 10 * n, None)) for n in range(9)]
    drawn = chart(report(timeline(*gpus)), "timeline")
    assert [row[2:4] for row in drawn.rows[:3]] == [("median", "4"), ("least", "0"), ("most", "8")]
    assert "0 to" in drawn.title
    assert "line: the median GPU" in svg(drawn)
