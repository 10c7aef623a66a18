"""The placement log's parser: literals for each line format, recorded logs for the counts."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

from gpucheck.facts import PlacedOp
from gpucheck.host import CannotLook
from gpucheck.witnesses import placement_log
from gpucheck.witnesses.evidence import LONGEST_LINE, PIECE, lines
from gpucheck.witnesses.placement_log import parse

SAMPLES = Path(__file__).with_name("samples")
GPU = "/job:localhost/replica:0/task:0/device:GPU:0"
CPU = "/job:localhost/replica:0/task:0/device:CPU:0"
OLD = "2026-11-21 03:11:11.249: I tensorflow/core/common_runtime/placer.cc:114] "
OLD_EAGER = "2026-11-21 03:11:11.261: I tensorflow/core/common_runtime/eager/execute.cc:1678] "
NEW = "I0000 00:00:1795226952.650136    3694 placer.cc:162] "
NEW_EAGER = "I0000 00:00:1795226952.762323    3694 execute.cc:1775] "


def sample(name: str) -> Iterator[str]:
    for stream in ("out", "err"):
        path = SAMPLES / f"{name}.{stream}.gz"
        if path.exists():
            with gzip.open(path, "rt") as file:
                yield from file


def counts(ops: tuple[PlacedOp, ...], op: str) -> dict[tuple[str, str], int]:
    return {(placed.mode, placed.device): placed.count for placed in ops if placed.op == op}


@pytest.mark.parametrize("prefix", ["", OLD, NEW])
@pytest.mark.parametrize("node", ["MatMul", "a/b/while/body/_1/while/cond/then/_199/dense_1/MatMul", "Func/x/_2"])
def test_a_placed_op(prefix: str, node: str) -> None:
    log = parse([f"{prefix}{node}: (MatMul): {GPU}\n"])
    assert log.ops == (PlacedOp(op="MatMul", device="GPU:0", count=1, mode="graph"),)
    assert log.unread == 0


@pytest.mark.parametrize("prefix", ["", OLD_EAGER, NEW_EAGER])
def test_a_dispatched_op(prefix: str) -> None:
    log = parse([f"{prefix}Executing op Conv2D in device {GPU}\n"] * 3)
    assert log.ops == (PlacedOp(op="Conv2D", device="GPU:0", count=3, mode="eager"),)


@pytest.mark.parametrize(
    ("logged", "op"),
    [
        ("_MklMatMul", "MatMul"),
        ("_MklNativeConv2DBackpropFilter", "Conv2DBackpropFilter"),
        ("_MklNativeFusedConv2D", "Conv2D"),
        ("_FusedMatMul", "MatMul"),
        ("_MklNativeFusedBatchNormV3", "FusedBatchNormV3"),
        ("_FusedBatchNormEx", "BatchNormEx"),
        ("_Arg", "_Arg"),
        ("_EagerConst", "_EagerConst"),
        ("Addons>Resample", "Addons>Resample"),
        ("__inference_multi_step_on_iterator_2077", "__inference_multi_step_on_iterator"),
    ],
)
def test_an_op_by_its_own_name(logged: str, op: str) -> None:
    assert [placed.op for placed in parse([f"node: ({logged}): {CPU}"]).ops] == [op]


def test_both_copies_of_the_placers_line_count_once() -> None:
    bare, prefixed = f"x: (Relu): {GPU}\n", f"{NEW}x: (Relu): {GPU}\n"
    for log in ([bare, prefixed, bare, prefixed], [bare, bare], [prefixed, prefixed]):
        assert counts(parse(log).ops, "Relu") == {("graph", "GPU:0"): 2}


@pytest.mark.parametrize(
    "line",
    [
        f"{NEW}x: (Conv2D): /job:localhost/replica:0/ta",  # the process was killed
        f"x: (Conv2D): {CPU}y: (Relu): {GPU}",  # two threads, one line
        f"{NEW}x: (Conv2D): {CPU}{NEW}y: (Relu): {GPU}",
        f"x: (Conv2D): {GPU}7 and more",
        "Executing op Conv2D in device /device:GPU:0",
        f"{NEW}x -> Conv2D @ {GPU}",  # a format to come
    ],
)
def test_a_device_line_that_cannot_be_read_is_counted(line: str) -> None:
    log = parse([line, f"x: (MatMul): {GPU}"])
    assert log.unread == 1
    assert [placed.op for placed in log.ops] == ["MatMul"]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "Epoch 1/3",
        f"I0000 00:00:1 2 gpu_device.cc:2020] Created device {GPU} with 22446 MB memory:  -> device: 0, name: X",
        f"I tensorflow/core/x.cc:272] Created TensorFlow device ({GPU} with 0 MB memory) -> physical PluggableDevice",
        f"{NEW}    x: requested: '/device:GPU:0' assigned: '{CPU}'",
        f"{NEW}Ignoring device specification /device:GPU:0 for node 'x' because the input edge from 'y' is a reference",
        "I tensorflow/core/common_runtime/executor.cc:1197] [/device:CPU:0] (DEBUG INFO) Executor start aborting (...)",
    ],
)
def test_other_lines_are_no_evidence_and_no_fault(line: str) -> None:
    assert parse([line]) == ((), 0, ())


def test_the_frameworks_own_reasons_are_kept_verbatim_and_once() -> None:
    reason = "Could not find cuda drivers on your machine, GPU will not be used."
    log = parse([f"I0000 00:00:1 2 cudart_stub.cc:31] {reason}\n"] * 2)
    assert log.reasons == (reason,)
    assert parse(sample("tf2.21.gpuwheel_nogpu.graph")).reasons == (
        reason,
        "failed call to cuInit: INTERNAL: CUDA error: Failed call to cuInit: UNKNOWN ERROR (303)",
    )


# Counted in the .err files with grep: what the placer wrote once, and what was dispatched.
@pytest.mark.parametrize(
    ("name", "graph", "eager"),
    [
        ("tf2.13.1.graph", 10, 4),
        ("tf2.13.1.graph_jit", 3, 3),
        ("tf2.15.eager", 14, 4),
        ("tf2.18.1.graph", 10, 4),
        ("tf2.20.0.graph", 10, 4),
        ("tf2.20.0.graph_jit", 3, 3),
        ("tf2.21.eager", 14, 4),
        ("tf2.21.graph", 10, 4),
        ("tf2.21.fit_F", 1287, 257),
        ("tf2.21.fit_F_1_1_eager", 655, 4797),
        ("tf2.21.fit_T", 558, 257),
        ("tf2.21.two_cpus.step", 614, 110),
    ],
)
def test_recorded_logs_are_read_whole(name: str, graph: int, eager: int) -> None:
    log = parse(sample(name))
    read = {mode: sum(op.count for op in log.ops if op.mode == mode) for mode in ("graph", "eager")}
    assert (log.unread, read) == (0, {"graph": graph, "eager": eager})


def test_the_ops_of_a_recorded_training() -> None:
    assert counts(parse(sample("tf2.21.fit_F")).ops, "Conv2D") == {("graph", "CPU:0"): 6}  # train and evaluation
    eager = parse(sample("tf2.21.fit_F_1_1_eager")).ops
    assert counts(eager, "Conv2D")["eager", "CPU:0"] == 3 * (8 + 8)
    assert counts(eager, "Conv2DBackpropFilter")["eager", "CPU:0"] == 3 * 8
    assert counts(parse(sample("tf2.21.fit_T")).ops, "Conv2D") == {}  # XLA hides them
    assert counts(parse(sample("tf2.21.two_cpus.step")).ops, "Conv2D") == {("graph", "CPU:1"): 1}


def test_memory_does_not_grow_with_the_log() -> None:
    lines = (f"{NEW}node_{n}: (Op{n % 100}): {GPU}\n" for n in range(100_000))
    calls = (f"{NEW_EAGER}Executing op __inference_step_{n % 100} in device {GPU}\n" for n in range(100_000))
    tracemalloc.start()
    log = parse(chain(lines, calls))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sum(op.count for op in log.ops) == 200_000
    assert peak < 1_000_000


def test_a_line_of_no_log_is_not_searched(tmp_path: Path) -> None:
    line = f"x: (Relu): {GPU}"
    (tmp_path / "log").write_text(f"{'x' * (LONGEST_LINE + 1 - len(line))}{line}{NEW}{line}\n{line}\n")
    log = parse(lines(tmp_path, "log"))  # its rest would be a line of the log
    assert (log.unread, counts(log.ops, "Relu")) == (2, {("graph", "GPU:0"): 1})
    assert parse([f"{PIECE}] {line}"]).unread == 1


def test_more_ops_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(placement_log, "_MOST_OPS", 10)
    with pytest.raises(CannotLook, match="more than 10 ops"):
        parse(f"x: (Op{number}): {GPU}" for number in range(11))
