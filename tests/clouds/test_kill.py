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

MOST = 60  # calls that an order may take

Place = Callable[[Proxy, int, bool], int]


@contextmanager
def placing(rig: Rig) -> Iterator[Place]:
    """place(proxy, call, carried_out) -> how the child ended that was killed in that call."""
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
            pid = say(json.dumps({"address": between.address, "order": _wire(rig)}))
            between.calls.clear()
            between.kill = (pid, call, carried_out)
            ended = say("go")
            between.kill = None
            return ended

        yield place
        program.stdin.close()


def _wire(rig: Rig) -> dict[str, Any]:
    return {key: list(each) if isinstance(each, tuple) else each for key, each in rig.usual.items()}


@pytest.mark.timeout(240)
def test_whatever_it_had_made_is_found_and_removed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    left = {}
    with proxy(rig.address) as between, placing(rig) as place:
        monkeypatch.setenv(ENDPOINT, between.address)
        call, carried_out = 0, True
        while call < MOST:
            call, carried_out = (call, True) if not carried_out else (call + 1, False)
            ended = place(between, call, carried_out)
            clouds.cloud(rig.provider, rig.usual["region"]).remove(None, lambda *_: None)
            if rig.left():
                left[call, carried_out] = rig.left()
            if ended == 0:
                break
            assert ended == -signal.SIGKILL
    assert left == {}
    assert ended == 0  # the last one was let through
    assert call > 5
