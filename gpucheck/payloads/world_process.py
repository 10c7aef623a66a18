"""The process in which a framework joins the other nodes, and the one that watches it.

Where another node is missing or gone, JAX ends its process with a stack trace, TensorFlow waits for an hour with
Python's lock held, and gloo may wait for ever. What was known until then is in world.draft.json, and the watching
process makes the report of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from . import parts, world, world_network

MARGIN = 10  # seconds beyond --world-seconds, in which the framework may say it itself
AFTER = 10  # seconds for the others to report, too, once this node has
FATAL = re.compile(r"^F\d{4}.* absl::Status: (.+)$", re.MULTILINE)  # the last words of XLA's libraries
TAIL = 1 << 20  # bytes of them that are read
Work = Callable[[Any, world.Told], Callable[[], object] | None]  # it may give what waits until all have reported


def supervise(module: str, options: Any, say: parts.Say) -> None:
    """Run `python -m <module>`, which keeps its draft, as long as it gets on."""
    draft, report = options.out / "world.draft.json", options.out / "world.json"
    pipe = () if options.progress is None else (options.progress,)
    child = subprocess.Popen([sys.executable, "-m", module, *sys.argv[1:]], stdin=subprocess.DEVNULL, pass_fds=pipe)
    signal.signal(signal.SIGTERM, lambda number, _frame: sys.exit(128 + number))
    late = False
    try:
        while child.poll() is None and not late:
            time.sleep(0.2)
            late = _age(draft) > options.world_seconds + MARGIN or _age(report) > AFTER
    finally:
        child.kill()
        child.wait()
    known = json.loads(draft.read_text()) if draft.exists() else None
    draft.unlink(missing_ok=True)
    if report.exists():
        return
    why = f"no answer in {options.world_seconds} seconds" if late else _last_words(options.out / f"{options.stem}.err")
    if known is None or why is None:
        sys.exit(f"{module} ended with {child.returncode}")
    phase = known.pop("phase")
    known["refused"] = f"{phase}: {why}"
    parts.write(report, known)
    say(f"refused: {known['refused']}")


def child(module: str, version: str, backend: str, work: Work, *more: type[Exception]) -> NoReturn:
    """The other process. What the work raises of these errors is what the framework says of the other nodes.

    It ends at once: a framework's own end waits for them. What the nodes told may be torn, where their sums are.
    """
    parts.bound()
    errors: tuple[type[Exception], ...] = (RuntimeError, OSError, ValueError, *more)
    wait: Callable[[], object] | None = None
    options = parts.parser(module).parse_args()
    say, asked = parts.speaker(options.progress), options.world
    told = world.Told(options, version, "nccl" if options.device == "gpu" else backend)
    keep(options, told)
    say(f"node {asked.node} of {len(asked.hosts)}, {options.devices} devices on each, meeting at {asked.first()}")
    world_network.past_proxies(asked)
    try:
        world_network.await_names(asked, options.world_seconds)
        wait = work(options, told)
    except errors as error:
        told.refuse(error)
    parts.write(options.out / "world.json", told.document)
    say(told.outcome())
    if wait:
        with contextlib.suppress(*errors):
            wait()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def keep(options: Any, told: world.Told) -> None:
    """Its draft, from now on: it is told that the work gets on, too."""
    told.keep = lambda known: parts.write(options.out / "world.draft.json", known)
    told.enter(told.phase)


def _age(draft: Path) -> float:
    try:
        return time.time() - draft.stat().st_mtime
    except OSError:  # it is still being loaded
        return 0.0


def _last_words(stream: Path) -> str | None:
    """Why a library ended the process; None where it was something else that did."""
    with stream.open("rb") as told:
        told.seek(max(0, stream.stat().st_size - TAIL))
        found = FATAL.findall(told.read().decode(errors="replace"))
    return world.plain(found[-1]) if found else None
