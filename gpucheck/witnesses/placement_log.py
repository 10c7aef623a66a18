"""TensorFlow's device placement log: where each op was placed (graph) and dispatched (eager). TensorFlow 2.13 to 2.21.

Two writers, each with one line for one op:
    <node>: (<Op>): /job:localhost/replica:0/task:0/device:GPU:0        placer.cc, once for each trace
    Executing op <Op> in device /job:localhost/.../device:GPU:0         execute.cc, once for each eager dispatch
The placer writes twice, bare to stdout and with a prefix to stderr; TF_CPP_MIN_LOG_LEVEL silences all but the bare one.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from gpucheck.facts import PlacedOp
from gpucheck.host import CannotLook
from gpucheck.witnesses.evidence import LONGEST_LINE, PIECE, placed

# Prefixes: "2026-11-21 02:12:01.224: I tensorflow/.../placer.cc:125] " and "I0000 00:00:1795.1 3694 placer.cc:162] ".
_LINE = re.compile(
    r"(?P<prefix>[^\]]*\] )?(?:\S+: \((?P<placed>[\w>]+)\):|Executing op (?P<executed>\S+) in device)"
    r" /job:localhost/replica:0/task:0/device:(?P<device>[A-Za-z_]+:\d+)\s*"
)
# Lines that name a device and place nothing: a device is made, a variable draws its op to itself (both end in a line
# of the op's own), and the dumps that TF_CPP_VMODULE=placer=N adds.
_OTHER = re.compile(
    r"Created (?:TensorFlow )?device \(?/job:|Ignoring device specification |Executor start aborting"
    r"|requested: '.*' assigned: '|placed on: /job:|^\s*device: \"|[Ff]ailed to (?:dump|write final colocation graph) "
)
# What TensorFlow says when it goes without the GPU. Seen in 2.21's CUDA wheel without a driver, and in its sources.
_REASON = re.compile(
    r"Could not find cuda drivers|failed call to cuInit|Cannot dlopen some GPU libraries|Could not load dynamic library"
    r"|kernel driver does not appear to be running|no NVIDIA GPU device is present|Ignoring visible gpu device"
    r"|kernel version .* does not match DSO version|cudaGetDevice\(\) failed|CUDA_ERROR_"
)
# oneDNN's names for the same ops, chosen after placement: _MklNativeConv2D, _MklNativeFusedConv2D, _FusedMatMul.
_DISGUISE = re.compile(r"_(?:Mkl(?:Native)?(?:Fused(?=Conv|Depthwise|MatMul|BatchMatMul))?|Fused)(?=[A-Z])")
_FUNCTION = re.compile(r"(__(?:inference|forward|backward)_.+)_\d+")
_MOST_REASONS, _LONGEST_REASON = 10, 300
_MOST_OPS = 100_000  # different ones; TensorFlow has some 1,500


class Log(NamedTuple):
    ops: tuple[PlacedOp, ...]
    unread: int  # lines that name a device and could not be read: torn, interleaved, or of a format unknown here
    reasons: tuple[str, ...]  # verbatim, each once


def parse(log: Iterable[str]) -> Log:
    """The log in any order of its streams. Memory grows with the number of different ops, not of lines.

    Raises CannotLook where there are more of them than a program has.
    """
    counts: dict[str, Counter[tuple[str, str]]] = {"bare": Counter(), "prefixed": Counter(), "eager": Counter()}
    bare, prefixed, eager = counts.values()
    reasons: dict[str, None] = {}
    unread = 0
    for line in log:
        if len(line) > LONGEST_LINE or line.startswith(PIECE):  # to search it could take seconds
            unread += "/job:" in line or "/device:" in line
        elif "/job:" not in line and "/device:" not in line:
            if len(reasons) < _MOST_REASONS and _REASON.search(line):
                reasons[line.partition("] ")[2].strip()[:_LONGEST_REASON] or line.strip()[:_LONGEST_REASON]] = None
        elif match := _LINE.fullmatch(line):
            prefix, op, executed, device = match.groups()
            if executed:
                eager[executed, device] += 1
            else:
                (prefixed if prefix else bare)[op, device] += 1
            if len(bare) + len(prefixed) + len(eager) > _MOST_OPS:
                raise CannotLook(f"the placement log names more than {_MOST_OPS} ops")
        elif not _OTHER.search(line):
            unread += 1
    graph = bare | prefixed  # the greater count: both copies of a line are one line
    return Log((*_ops(graph, "graph"), *_ops(eager, "eager")), unread, tuple(reasons))


def op_name(op: str) -> str:
    """_MklNativeConv2D is Conv2D and __inference_step_1416 is __inference_step; _Arg stays _Arg."""
    function = _FUNCTION.fullmatch(op)
    return function[1] if function else _DISGUISE.sub("", op, count=1)


def _ops(counts: Counter[tuple[str, str]], mode: str) -> tuple[PlacedOp, ...]:
    named: Counter[tuple[str, str]] = Counter()
    for (op, device), count in counts.items():
        named[op_name(op), device] += count
    return placed(named, mode)
