"""The reports of the pods, as they end; and of those that do not, why not."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from gpucheck.fleets import kubernetes_words as words
from gpucheck.fleets import printed
from gpucheck.fleets.kubernetes_api import AT_A_TIME, Cluster
from gpucheck.fleets.kubernetes_manifests import INDEX, JOB
from gpucheck.fleets.runs import LARGEST, Answer, Asked, printable
from gpucheck.model import Failure, Report, Say

TRIES = 3  # of one log
PAUSE = 0.5  # seconds between two looks at the pods, of a small fleet
Pod = Mapping[str, Any]


@dataclass
class Begun:
    """The nodes that are to answer, by the index of their Job, and what has been seen of each."""

    cluster: Cluster
    asked: Asked
    at: float
    waiting: dict[str, str] = field(default_factory=dict)  # index -> node
    pods: dict[str, Pod] = field(default_factory=dict)
    logs: dict[str, Future[bytes]] = field(default_factory=dict)
    unread: dict[str, list[str]] = field(default_factory=dict)  # why its log was refused, each time
    silent: str = ""  # why the API server did not answer, the last time it was asked

    @property
    def end(self) -> float:
        return self.at + self.asked.deadline

    def answer(self, node: str, report: bytes | None = None, why: str | None = None) -> Answer:
        """A pod's name for its host is what we gave it; whose it is, the cluster says. So the node's is the row's."""
        why = printable(why) if why else None
        return Answer(node=node, report=report, why=why, seconds=time.monotonic() - self.at, named=False)


def home(begun: Begun, say: Say) -> Iterator[Answer]:
    pool = ThreadPoolExecutor(AT_A_TIME, "gpucheck-log")
    try:
        yield from _home(begun, pool, say)
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _home(begun: Begun, pool: ThreadPoolExecutor, say: Say) -> Iterator[Answer]:
    count, pause = len(begun.waiting), min(max(len(begun.waiting) / 200, PAUSE), 10.0)
    while begun.waiting:
        late = time.monotonic() >= begun.end
        gone = _seen(begun)
        for index, pod in begun.pods.items():
            if index in begun.waiting and index not in begun.logs and words.ended(pod):
                name = str((pod.get("metadata") or {}).get("name"))
                has = words.has_run(pod)  # else there is no log to ask for
                begun.logs[index] = pool.submit(begun.cluster.log if has else _none, name, LARGEST + 1)
        yield from _read(begun)
        for index in [*begun.waiting] if late else [*gone, *_hopeless(begun)]:
            if index in begun.waiting:
                yield begun.answer(begun.waiting[index], why=_missing(begun, index, late))
                del begun.waiting[index]
        done = count - len(begun.waiting)
        say(f"{done} of {count} nodes have answered{_why_not(begun)}", done / count)
        yield from _until(begun, min(time.monotonic() + pause, begun.end))


def _until(begun: Begun, then: float) -> Iterator[Answer]:
    """The logs that come until the next look at the pods."""
    while begun.waiting and (left := then - time.monotonic()) > 0:
        if coming := [begun.logs[index] for index in begun.waiting if index in begun.logs]:
            wait(coming, left, return_when="FIRST_COMPLETED")
            yield from _read(begun)
        else:
            time.sleep(left)


def _seen(begun: Begun) -> list[str]:
    """Looks at all pods; the indices whose pod has been seen and is no more."""
    try:
        pods = begun.cluster.pods()
    except Failure as failure:  # it may be away for a while; what it said last holds
        begun.silent = str(failure)
        return []
    begun.silent = ""
    now: dict[str, Pod] = {}
    for pod in pods:
        about = pod.get("metadata") or {}
        index = str((about.get("labels") or {}).get(INDEX))
        node = (pod.get("spec") or {}).get("nodeName")
        if index in begun.waiting and node in (None, begun.waiting[index]):
            now[index] = pod
    gone = [index for index in begun.waiting if index in begun.pods and index not in now and index not in begun.logs]
    begun.pods |= now
    return gone


def _read(begun: Begun) -> Iterator[Answer]:
    for index, future in list(begun.logs.items()):
        if not future.done() or index not in begun.waiting:
            continue
        node, pod, wrong = begun.waiting[index], begun.pods[index], ""
        try:
            log = future.result()
        except Failure as failure:
            begun.unread.setdefault(index, []).append(str(failure))
            del begun.logs[index]
            if len(begun.unread[index]) < TRIES:
                continue
            log, wrong = b"", str(failure)
        line, report = printed.report(log, node)
        if isinstance(report, Report):
            answer = begun.answer(node, report=line)
        elif len(log) > LARGEST:
            answer = begun.answer(node, why=f"it printed more than {LARGEST >> 20} MB, and was cut off")
        elif wrong:
            answer = begun.answer(node, why=f"its log cannot be read: {wrong}")
        else:
            answer = begun.answer(node, why=words.of_an_ended(pod, log, report, " ".join(begun.asked.program)))
        del begun.waiting[index]
        yield answer


def _none(_pod: str, _most: int) -> bytes:
    return b""


def _hopeless(begun: Begun) -> list[str]:
    return [each for each in begun.waiting if words.waiting(begun.pods.get(each, {}))[0] in words.HOPELESS]


def _missing(begun: Begun, index: str, late: bool) -> str:
    """Why nothing came of it, of what the cluster can still tell."""
    pod, node, seconds = begun.pods.get(index), begun.waiting[index], f"{begun.asked.deadline:g} s"
    if begun.silent:
        return f"nothing came within {seconds}, and at the end {begun.silent}"
    if index in begun.unread:
        return f"its log cannot be read: {begun.unread[index][-1]}"
    if index in begun.logs:
        return f"its pod has ended, and its log did not come within {seconds}"
    with suppress(Failure):
        if not begun.cluster.has_node(node):
            return "the node is no more: it left the cluster in the middle"
    if pod is None:
        return (
            f"no pod was made for it within {seconds}: {_events(begun, JOB.format(run=begun.cluster.run, index=index))}"
        )
    if not late and index not in _hopeless(begun):
        return "its pod was deleted in the middle"
    if words.phase(pod) == "Running":
        return f"it did not answer within {seconds}"
    return words.of_a_pending(pod, _events(begun, str(pod["metadata"].get("name"))))


def _events(begun: Begun, of: str) -> str:
    """The last warning about it; "" where there is none, or none may be read."""
    with suppress(Failure):
        warnings = [str(each.get("message")) for each in begun.cluster.events(of) if each.get("type") == "Warning"]
        return warnings[-1] if warnings else ""
    return ""


def _why_not(begun: Begun) -> str:
    """The first reason of those that have not begun, so that nobody waits for an image with a typo."""
    for index in begun.waiting:
        pod = begun.pods.get(index, {})
        if why := words.waiting(pod)[0] or words.unscheduled(pod):
            return f"; {printable(begun.waiting[index])}: {printable(why)}"
    return f"; {begun.silent}" if begun.silent else ""
