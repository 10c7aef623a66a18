"""The process that rents is killed in the middle of any of its calls, before and after the cloud carries it out.

What it had made by then carries our tag: `remove` finds it, and the account is empty again.
"""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from gpucheck import clouds
from gpucheck.clouds import ENDPOINT
from tests.clouds.proxy import Proxy, proxy
from tests.clouds.rigs import Rig

NEVER = 1000  # calls, more than an order takes

Place = Callable[[Proxy, int, bool], int]


@contextmanager
def placing(rig: Rig, whole: bool = False) -> Iterator[Place]:
    """place(proxy, call, carried_out) -> how the child ended that was killed in that call.

    `whole`: an order that is placed goes on to its report, and is given back.
    """
    with subprocess.Popen(
        (sys.executable, "-m", "tests.clouds.killed", rig.provider),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    ) as program:  # fmt: skip
        assert program.stdin
        assert program.stdout

        def say(line: str) -> int:
            program.stdin.write(f"{line}\n")  # type: ignore[union-attr]
            program.stdin.flush()  # type: ignore[union-attr]
            return int(program.stdout.readline())  # type: ignore[union-attr]

        def place(between: Proxy, call: int, carried_out: bool) -> int:
            pid = say(json.dumps({"address": between.address, "order": _wire(rig), "whole": whole}))
            between.calls.clear()
            between.kill = (pid, call, carried_out)
            ended = say("go")
            between.kill = None
            return ended

        yield place
        program.stdin.close()


def _wire(rig: Rig) -> dict[str, Any]:
    return {key: list(each) if isinstance(each, tuple) else each for key, each in rig.usual.items()}


def moments(calls: list[tuple[str, str]]) -> Iterator[tuple[int, bool]]:
    """(call, whether it is carried out) to be killed at: what changes something, before and after, and some looks."""
    for number, (method, _) in enumerate(calls, 1):
        if method != "GET" or number % 5 == 0:
            yield number, False
            yield number, True


@pytest.mark.timeout(240)
def test_whatever_it_had_made_is_found_and_removed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    left = {}
    with proxy(rig.address) as between, placing(rig) as place:
        monkeypatch.setenv(ENDPOINT, between.address)

        def emptied() -> list[str]:
            clouds.cloud(rig.provider, rig.usual["region"]).remove(None, lambda *_: None)
            return rig.left()

        assert place(between, NEVER, True) == 0
        calls = list(between.calls)
        assert emptied() == []
        for moment in moments(calls):
            assert place(between, *moment) in (-signal.SIGKILL, 0)  # 0: it was quicker than the last time
            if stays := emptied():
                left[moment] = stays
    assert left == {}
    assert len(calls) > 5
