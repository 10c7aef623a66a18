"""PyTorch on several devices: a process for each, which end together. On GPUs they talk by NCCL, on the CPU by gloo."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from typing import Any

RANK = "PAYLOAD_RANK"  # set for the ranks that another started
LOOPBACK = {"GLOO_SOCKET_IFNAME": "lo", "NCCL_SOCKET_IFNAME": "lo"}  # no rank is on another machine


class Rank:
    """One of `count` processes; rank 0 is the one that was started first and that reports."""

    def __init__(self, number: int, count: int, store: Any = None) -> None:
        self.number, self.count, self._store = number, count, store

    def gathered(self, mine: dict[str, Any]) -> list[dict[str, Any]]:
        """In rank 0, what each rank gave, by rank; elsewhere nothing of use."""
        if self._store is None:
            return [mine]
        self._store.set(f"rank {self.number}", json.dumps(mine))
        others = range(1, self.count) if self.number == 0 else ()
        return [mine, *(json.loads(self._store.get(f"rank {other}")) for other in others)]


def is_first() -> bool:
    return RANK not in os.environ


@contextlib.contextmanager
def joined(torch: Any, options: Any, gpu: bool) -> Iterator[Rank]:
    """Rank 0 starts the others, each with its own command line, and ends only after them."""
    count, number = options.devices, int(os.environ.get(RANK, "0"))
    if count == 1:
        yield Rank(0, 1)
        return
    meeting = options.out / f"{options.stem}.ranks"
    children = []
    if is_first():
        meeting.unlink(missing_ok=True)
        children = [_start(rank, options.progress) for rank in range(1, count)]
    else:
        threading.Thread(target=_end_with_rank_0, daemon=True).start()
    for child in children:
        threading.Thread(target=_end_with, args=(child,), daemon=True).start()
    for name, value in LOOPBACK.items():
        os.environ.setdefault(name, value)
    if gpu:
        torch.cuda.set_device(number)
    else:
        torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // count))
    store = torch.distributed.FileStore(str(meeting), count)
    torch.distributed.init_process_group("nccl" if gpu else "gloo", store=store, rank=number, world_size=count)
    yield Rank(number, count, store)
    torch.distributed.destroy_process_group()
    codes = [child.wait() for child in children]
    if any(codes):
        sys.exit(f"other ranks ended with {codes}")


def leave() -> None:
    """End a rank whose work is written, without the interpreter's own end: gloo's threads drop Python objects then too,
    and abort the process (torch 2.13, ProcessGroupGloo::runLoop).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _start(rank: int, pipe: int | None) -> subprocess.Popen[bytes]:
    """`pipe` is the descriptor that the command line names."""
    module = sys.modules["__main__"].__spec__
    assert module is not None, "start the payload with -m"
    return subprocess.Popen(
        [sys.executable, "-m", module.name, *sys.argv[1:]], stdin=subprocess.PIPE,
        pass_fds=() if pipe is None else (pipe,), env={**os.environ, RANK: str(rank)},
    )  # fmt: skip


def _end_with_rank_0() -> None:
    """Its end of the pipe closes whatever ends it."""
    while os.read(0, 1024):
        pass
    os._exit(1)


def _end_with(child: subprocess.Popen[bytes]) -> None:
    """A rank that failed leaves the others waiting for its gradients, with NCCL for ten minutes."""
    code = child.wait()
    if code:
        print(f"another rank ended with code {code}", file=sys.stderr, flush=True)  # noqa: T201
        os._exit(1)
