"""The profiler's window in a training: over warm steps, with whole steps of the device inside it, and only once."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import pytest

from gpucheck.payloads import report, window


class Observer:
    """Counts the windows and the device's readiness at each end of them."""

    def __init__(self) -> None:
        self.at: list[str] = []

    def start(self, folder: Path, stem: str, placement: bool) -> str:
        self.at.append(f"start {folder / stem} {placement}")
        return "handle"

    def stop(self, handle: str) -> dict[str, Any]:
        self.at.append(f"stop {handle}")
        return {"source": "XPlane", "kernels": "x.gz", "seconds": 0.5, "blind": None, "error": None}


@pytest.mark.parametrize(
    ("steps", "group", "profiled"),
    [
        (391, 1, 10), (391, 16, 16), (20, 1, 10), (12, 1, 6), (3, 1, 2), (1, 1, 1), (17, 16, 1),
    ],
)  # fmt: skip
def test_a_window_is_over_warm_steps_of_the_first_epoch_alone(steps: int, group: int, profiled: int) -> None:
    observer = Observer()
    follow = report.Follow(2, steps, lambda _line: None)
    options = argparse.Namespace(out=Path("x"), stem="train", profile=True)
    opened = window.Window(observer, options, follow)
    for _ in range(2):
        follow.epoch()
        done = 0
        opened.at(0, lambda: observer.at.append("waited"))
        while done < steps:
            size = min(group, steps - done)
            follow.step(number=size)
            done += size
            opened.at(done, lambda: observer.at.append("waited"))
        opened.end(done, lambda: observer.at.append("waited"))
        follow.pause()
        follow.done()
    assert observer.at == ["waited", "start x/train False", "waited", "stop handle"]
    assert opened.profile is not None
    assert opened.profile["steps"] == profiled
    assert (opened.profile["file"], opened.profile["seconds"]) == ("x.gz", 0.5)


@pytest.mark.parametrize(("profile", "group"), [(False, 1), (True, 30)])
def test_there_is_no_window_where_none_was_asked_for_and_none_over_no_step(profile: bool, group: int) -> None:
    observer = Observer()
    options = argparse.Namespace(out=Path(), stem="train", profile=profile)
    closed = window.Window(observer, options, report.Follow(1, 30, lambda _line: None))
    for done in range(0, 31, group):
        closed.at(done)
    closed.end(30)
    assert (observer.at, closed.profile) == ([], None)
