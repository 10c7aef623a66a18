"""Where the work of a block of this process was done."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

from gpucheck import codec, engine, keeping, proving, watching
from gpucheck.host import Local
from gpucheck.model import Failure, Report
from gpucheck.notebooks.page import Page
from gpucheck.placement_lines import PlacementLines
from gpucheck.probes import PROBES
from gpucheck.witnesses.request import BLOCK, CELL


class Proof(Page):
    """Where the work of one block was done. See prove()."""

    def __init__(self, *, device: str, keep: Path | None, strict: bool, words: Sequence[str]) -> None:
        super().__init__()
        self._device, self._keep, self._strict, self._words = device, keep, strict, words
        self._state = f"nothing has been observed: put the work under `{BLOCK}`, or into a cell of `{CELL}`"
        self._block: AbstractContextManager[None] | None = None

    def __enter__(self) -> Proof:
        if self._block:
            raise with_tip(Failure("this proof has had its block", "`gpucheck.prove()` makes another"))
        self._block = self._observed()
        try:
            self._block.__enter__()
        except Failure as failure:
            raise with_tip(failure) from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool | None:
        assert self._block is not None
        return self._block.__exit__(kind, error, trace)

    @property
    def verdict(self) -> str:
        return self.report.verdict if self.report else f"not proven: {self._state}"

    @contextmanager
    def _observed(self) -> Iterator[None]:
        """What the block raises goes on after its evidence has been judged. An interrupted block proves nothing."""
        self._state = "the block has not ended"
        raised: Exception | None = None
        with keeping.folder(self._keep) as evidence:
            started = keeping.now()
            try:
                with watching.watched(evidence):
                    began = time.monotonic()
                    try:
                        yield
                    except Exception as error:  # noqa: BLE001 - raised again below
                        raised = error
                    seconds = round(time.monotonic() - began, 3)
            except BaseException as error:
                self._state = f"the block was ended by {type(error).__name__}"
                raise
            said = [f"{type(raised).__name__}: {raised}"[:1000]] if raised else []
            self.report = self._judged(evidence, {
                "started": started, "seconds": seconds, "exit_code": 1 if raised else 0, "signal": None,
                "oom_killed": False, "last_lines": said, "image_id": None, "recipe": None, "timed_out": False,
            })  # fmt: skip
        if raised:
            raise raised

    def _judged(self, evidence: Path, ran: dict[str, Any]) -> Report:
        facts = engine.collect(PROBES, Local())
        keeping.write(evidence / "asked.json", {
            "schema": 1, "command": list(self._words), "device": self._device, "devices": 1, "options": {},
            "where": "host", "where_why": "in the process that asked", "image_id": None, "image": None, "recipe": None,
            "reason": None, "lock_sha256": None,
        })  # fmt: skip
        keeping.write(evidence / "ran.json", ran)
        keeping.write(evidence / "host.json", codec.dump(facts))
        PlacementLines().write(evidence, "command")  # none: see payloads/hook/session.py
        return replace(proving.judge(evidence, facts), strict=self._strict)


def with_tip(failure: Failure) -> Failure:
    failure.add_note(f"tip: {failure.tip}")
    return failure
