"""What each GPU does when it is given work, through libcuda alone: contexts, copies, kernels, memory, peers.

Work can hang and crash with the GPU that is given it, so each GPU has a child process of its own, all at once:
`python -m gpucheck.probes.compute --gpu UUID`. One before them lists the GPUs, one after them copies between them.
"""

from __future__ import annotations

import json
import re
import signal
import threading
import time
from dataclasses import dataclass, replace
from typing import TypeVar

from gpucheck import codec
from gpucheck.facts import CallError, Compute, ComputeGpu, Peers
from gpucheck.host import CannotLook, Host, Result

T = TypeVar("T")
COMMAND = ("python", "-m", "gpucheck.probes.compute")
DEADLINES = {"--list": 8.0, "--gpu": 13.0, "--peers": 6.0}  # seconds; by them the last two say what they have
LATE = 1.0  # seconds more until they are ended
DEADLINE = 31.0  # seconds for all of it, where everything hangs: the engine's
MOST = 64  # GPUs


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """What the first child says: a GPU that is cut into MIG devices is those."""

    uuids: tuple[str, ...] = ()
    errors: tuple[CallError, ...] = ()


def probe(host: Host) -> Compute:
    """Raises CannotLook where not even the list of GPUs can be had."""
    found = _listing(host.run((*COMMAND, "--list"), timeout=DEADLINES["--list"]))
    uuids = [uuid for uuid in found.uuids if re.fullmatch(r"(?:GPU|MIG)-[\w/-]{1,100}", uuid)][:MOST]
    if len(uuids) < len(found.uuids):
        raise CannotLook(f"of the names of {len(found.uuids)} GPUs only {len(uuids)} can be used")
    gpus: dict[str, ComputeGpu] = {}
    threads = [threading.Thread(target=lambda u=uuid: gpus.update({u: _gpu(host, u)}), daemon=True) for uuid in uuids]
    for thread in threads:
        thread.start()
    end = time.monotonic() + DEADLINES["--gpu"] + 2 * LATE
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    whole = [uuid for uuid in uuids if uuid.startswith("GPU-")]
    return Compute(
        gpus=tuple(gpus.get(uuid) or ComputeGpu(uuid=uuid, stuck="its test did not end") for uuid in uuids),
        peers=_peers(host) if len(whole) > 1 and len(whole) == len(uuids) else None,
        errors=found.errors,
    )


def _gpu(host: Host, uuid: str) -> ComputeGpu:
    try:
        result = host.run((*COMMAND, "--gpu", uuid), timeout=DEADLINES["--gpu"] + LATE)
        return _so_far(ComputeGpu(uuid=uuid), result)
    except CannotLook as reason:
        return ComputeGpu(uuid=uuid, stuck=str(reason))


def _peers(host: Host) -> Peers:
    try:
        return _so_far(Peers(), host.run((*COMMAND, "--peers"), timeout=DEADLINES["--peers"] + LATE))
    except CannotLook as reason:
        return Peers(stuck=str(reason))


def _listing(result: Result) -> Listing:
    fact, ended = last_said(Listing, result)
    if fact is None:
        raise CannotLook(f"the GPUs could not be listed: {ended or 'it said nothing'}")
    return fact


def _so_far(nothing: T, result: Result) -> T:
    """What the child had said when it ended; `nothing` is what is known without a word of it."""
    fact, ended = last_said(type(nothing), result)
    ended = ended or (None if fact else "its test said nothing")
    return replace(fact or nothing, stuck=ended) if ended else fact or nothing  # type: ignore[type-var]


def last_said(kind: type[T], result: Result) -> tuple[T | None, str | None]:
    """The last line that can be read, and why the process ended if that was not well."""
    said = None
    for line in reversed(result.out.splitlines()):
        try:
            said = codec.load(kind, json.loads(line))
            break
        except (ValueError, RecursionError):  # torn by a crash, or none of ours
            continue
    if result.code < 0:
        return said, f"its process was ended by {_signal_name(-result.code)}"
    if result.code:
        last = (result.err.strip() or "it said nothing").splitlines()[-1]
        return said, f"its process ended with exit code {result.code}: {last.rstrip('.')}"
    return said, None


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
