"""What is said of images that gpucheck built, without an engine: up to date, does it fit, which go. And the command."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gpucheck import built, compat, containers, recipes
from gpucheck.built import Built
from gpucheck.cli import images
from gpucheck.facts import Version
from gpucheck.machines import Machine
from gpucheck.model import Failure

BOOK, TABLES = recipes.load(), compat.load()
CUDA = BOOK["tensorflow-cuda12"]
WHEN = datetime(2026, 11, 1, tzinfo=UTC)
HISTORY = [{"CreatedBy": "LABEL org.opencontainers.image.title=gpucheck a io.gpucheck.recipe=a"}, {"CreatedBy": "RUN"}]
BLIND = Machine(driver=None, gpus=(), how="", unknown="nobody looked")
Row = tuple[str, list[str], Mapping[str, str], list[dict[str, str]]]  # id, tags, labels, history
Run = Callable[..., tuple[int, str, str]]


def labels(row: recipes.Recipe, **other: str) -> dict[str, str]:
    told = {
        "recipe": row.name, "digest": row.digest, "framework-version": row.version, "cuda": row.cuda or "",
        "min-driver": str(row.min_driver or ""), "plan": "driver \x1b[2J580 runs it", **other,
    }  # fmt: skip
    return {f"io.gpucheck.{name}": value for name, value in told.items()}


def image(
    row: recipes.Recipe = CUDA, *, id: str = "sha256:0", tagged: bool = True, used: int = 0,
    told: Mapping[str, str] | None = None,
) -> Built:  # fmt: skip
    return Built(
        id=id, tags=(row.image_tag,) if tagged else (), also=(), labels=labels(row, **(told or {})), size=10**9,
        created=WHEN, containers=used,
    )  # fmt: skip


def machine(driver: str | None, *gpus: tuple[str, str | None]) -> Machine:
    known = tuple((label, Version(capability) if capability else None) for label, capability in gpus)
    return Machine(driver=Version(driver) if driver else None, gpus=known, how="as the test says")


@pytest.mark.parametrize(
    ("recipe", "here", "fits", "told"),
    [
        ("tensorflow-cpu", machine(None), True, "CPU"),
        ("tensorflow-cpu", BLIND, True, "CPU"),
        ("tensorflow-cuda12", BLIND, None, "nobody looked"),
        ("tensorflow-cuda12", machine("550.54.14", ("T4", "7.5")), True, "7.5 (T4)"),
        ("tensorflow-cuda12", machine("470.57.02", ("T4", "7.5")), False, "525.60.13"),
        ("tensorflow-cuda12", machine("580.95.05", ("RTX 5090", "12.0")), False, "12.0"),
        ("tensorflow-cuda12", machine("580.95.05", ("T4", "7.5"), ("RTX 5090", "12.0")), False, "12.0"),
        ("tensorflow-cuda12", machine(None), False, "no NVIDIA GPU"),
        ("tensorflow-cuda12", machine(None, ("T4", "7.5")), False, "no driver"),
        ("tensorflow-cuda12", machine("550.54.14", ("mystery", None)), None, "mystery"),
        ("tensorflow-cuda12", machine("550.54.14", ("T4", "7.5"), ("mystery", None)), None, "mystery"),
        ("jax-cuda12", machine("590.44.01", ("P100", "6.0")), False, "590.44.01 does not serve"),
        ("keras-torch-cuda13", machine("580.95.05", ("RTX 5090", "12.0")), True, "CUDA 13.2"),
    ],
)
def test_whether_an_image_fits(recipe: str, here: Machine, fits: bool | None, told: str) -> None:
    found = built.fit(image(BOOK[recipe]), BOOK, here, TABLES)
    assert found.fits is fits, found.why
    assert told in found.why


def test_of_an_image_whose_recipe_is_another_now_it_is_not_known() -> None:
    here = machine("550.54.14", ("T4", "7.5"))
    for label, was in (("framework-version", "2.20.0"), ("cuda", "12.3"), ("min-driver", "")):
        found = built.fit(image(told={label: was}), BOOK, here, TABLES)
        assert (found.fits, label in found.why) == (None, True)
    gone = built.fit(image(told={"recipe": "tensorflow-cuda11"}), BOOK, here, TABLES)
    assert (gone.fits, "tensorflow-cuda11" in gone.why) == (None, True)


def test_up_to_date_is_a_matter_of_the_digest() -> None:
    assert built.up_to_date(image(), BOOK) is True
    assert built.up_to_date(image(told={"digest": "0"}), BOOK) is False
    assert built.up_to_date(image(told={"recipe": "gone"}), BOOK) is None


def test_old_builds_go_first_and_what_has_a_container_never() -> None:
    old, used, named = image(id="1", tagged=False), image(id="2", tagged=False, used=1), image(id="3")
    found = (named, image(id="4", used=2), used, old)
    assert [one.id for one in built.going(found, tagged=False)] == ["1"]
    assert [one.id for one in built.going(found, tagged=True)] == ["1", "3"]


class Engine:
    """What built.py asks of docker-py, from memory."""

    def __init__(self, *rows: Row, used: str = "") -> None:
        self.rows = {
            id: SimpleNamespace(
                id=id, tags=tags, labels=told, history=lambda history=history: history,
                attrs={"Size": 338_000_000, "Created": "2026-11-01T00:00:00.123456789Z"},
            )
            for id, tags, told, history in rows
        }  # fmt: skip
        self.api = SimpleNamespace(containers=lambda all: [{"ImageID": used}] * all, base_url="tcp://elsewhere")
        self.images = self

    def list(self, filters: dict[str, str]) -> list[Any]:
        return [row for row in self.rows.values() if filters["label"] in row.labels]

    def get(self, name: str) -> Any:
        return next(row for row in self.rows.values() if name in (row.id, *row.tags))

    def remove(self, name: str, noprune: bool) -> None:
        assert noprune
        del self.rows[self.get(name).id]

    def close(self) -> None:
        pass


ROWS: tuple[Row, ...] = (
    ("sha256:1111111111111", [CUDA.image_tag, "mine/copy:1"], labels(CUDA), HISTORY),
    ("sha256:2222222222222", [], labels(CUDA, digest="0"), HISTORY),
    ("sha256:3333333333333", ["me/child:1"], labels(CUDA), [{"CreatedBy": "RUN true"}, *HISTORY]),
    ("sha256:4444444444444", [], labels(CUDA), [{"CreatedBy": "LABEL a=b"}, *HISTORY]),
    ("sha256:5555555555555", ["mine/only:1"], labels(CUDA), HISTORY),
    ("sha256:6666666666666", ["gpucheck/base:bookworm"], {}, []),
)


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def run(engine: Engine, *words: str) -> tuple[int, str, str]:
        monkeypatch.setattr(containers, "connect", lambda: engine)
        code = images.app(args=list(words), prog_name="gpucheck images", standalone_mode=False)
        return code, *capsys.readouterr()

    return run


def test_the_list_has_ours_and_nobody_else_s(command: Run) -> None:
    code, out, _ = command(Engine(*ROWS), "--format", "json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert code == 0
    assert {row["id"][7] for row in rows} == {"1", "2"}
    first = next(row for row in rows if row["id"][7] == "1")
    assert first["tags"] == [CUDA.image_tag, "mine/copy:1"]
    assert (first["recipe"], first["size"], first["up_to_date"]) == ("tensorflow-cuda12", 338_000_000, True)
    assert (first["fits"], "another machine" in first["why"]) == (None, True)
    assert first["created"].startswith("2026-11-01T00:00:00")


def test_the_page_is_plain_and_a_label_cannot_steer_it(command: Run) -> None:
    code, out, err = command(Engine(*ROWS))
    assert (code, err) == (0, "")
    assert CUDA.image_tag in out
    assert "222222222222, an old build of tensorflow-cuda12" in out
    assert "338 MB" in out
    assert "older than its recipe" in out
    assert "\x1b" not in out
    assert command(Engine())[1].startswith("gpucheck has built nothing")


def test_prune_asks_and_without_a_terminal_removes_nothing(command: Run) -> None:
    engine = Engine(*ROWS)
    with pytest.raises(Failure) as failed:
        command(engine, "prune")
    assert "--yes" in failed.value.tip
    assert len(engine.rows) == len(ROWS)


@pytest.mark.parametrize(("answer", "stay"), [("y\n", 5), ("yes\n", 5), ("\n", 6), ("no\n", 6), ("", 6)])
def test_prune_does_as_it_is_told(command: Run, monkeypatch: pytest.MonkeyPatch, answer: str, stay: int) -> None:
    engine = Engine(*ROWS)
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(isatty=lambda: True, readline=lambda: answer))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    code, out, _ = command(engine, "prune")
    assert (code, len(engine.rows)) == (int(stay == 6), stay)
    assert out.startswith("222222222222")


def test_prune_all_keeps_what_has_a_container_and_says_so(command: Run) -> None:
    engine = Engine(*ROWS, used="sha256:2222222222222")
    code, out, err = command(engine, "prune", "--all", "--yes")
    assert code == 0
    assert {id[7] for id in engine.rows} == set("23456")
    assert "removed 1 of 1" in out
    assert "222222222222" in err
    assert command(engine, "prune", "--all")[1] == "there is nothing to remove\n"


def test_a_name_that_has_moved_since_is_left_alone() -> None:
    engine = Engine(*ROWS)
    listed = built.images(cast(Any, engine))
    tagged, untagged = next(i for i in listed if i.tags), next(i for i in listed if not i.tags)
    engine.rows[tagged.id].id = "sha256:newer"
    engine.rows[untagged.id].tags = ["somebody/named-it:1"]
    before = len(engine.rows)
    for image in (tagged, untagged):
        assert built.remove(image, cast(Any, engine)) is None
    assert len(engine.rows) == before


def test_a_build_by_hand_is_not_ours() -> None:
    by_hand: Row = ("sha256:4444444444444", [], {"io.gpucheck.recipe": ""}, HISTORY)
    engine = Engine(*ROWS, by_hand)
    assert "sha256:4444444444444" not in {image.id for image in built.images(cast(Any, engine))}
