"""JAX's executables: a literal for each form of an instruction, recorded and derived HLO for the counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gpucheck.host import CannotLook
from gpucheck.witnesses import executables
from gpucheck.witnesses.evidence import Document, document
from gpucheck.witnesses.executables import instructions, parse

TRACES = Path(__file__).with_name("samples") / "traces"
RECORDED, GPU = "jax0.10.2.executables.json.gz", "derived-jax-gpu.executables.json.gz"
CALL = (
    "%x.1 = (f32[32,30,30,32]{3,2,1,0}, /*index=1*/u8[0]{0}) custom-call(%a, %b), window={size=3x3}, custom_call_target"
)


@pytest.mark.parametrize(
    ("line", "op"),
    [
        ("  %dot.3 = f32[32,64]{1,0} dot(%p, %q), lhs_contracting_dims={1}", "dot"),
        ("  ROOT %convolution.5 = f32[64,3,3,64]{3,2,1,0} convolution(%a, %b), window={size=4x4}", "convolution"),
        ("dot = f32[2]{0:T(8,128)} dot(a, b)", "dot"),  # as other printers write it
        ('%r = f32[2]{0} reduce(%a, %b), dimensions={0}, to_apply=%add (x) dot(', "reduce"),
        ("%t = (f32[2]{0}, (s32[], u8[3]{0})) tuple(%a, %b)", "tuple"),
        ("%g = f32[2]{0} get-tuple-element(%t), index=0", "get-tuple-element"),
        ("%w = bf16[]{:T(256)} all-reduce-start(%a), channel_id=1", "all-reduce-start"),
        (f'{CALL}="__cudnn$convForward"', "convolution"),
        (f'{CALL}="__cudnn$convForwardGraph"', "convolution"),
        (f'{CALL}="__cudnn$convBiasActivationForward"', "convolution"),
        (f'{CALL}="__cudnn$convBackwardInput"', "convolution"),
        (f'{CALL}="__cudnn$convBackwardFilter"', "convolution"),
        (f'{CALL}="__cudnn$convReorderFilter"', "custom-call __cudnn$convReorderFilter"),
        (f'{CALL}="__cublas$gemm"', "dot"),
        (f'{CALL}="__cublas$lt$matmul"', "dot"),
        (f'{CALL}="__cublas$lt$matmul$f8"', "dot"),
        (f'{CALL}="__cublas$triangularSolve"', "custom-call __cublas$triangularSolve"),
        (f'{CALL}="__triton_gemm"', "dot"),
        (f'{CALL}="__onednn$convolution"', "convolution"),
        (f'{CALL}="__onednn$matmul"', "dot"),
        (f'{CALL}="TopK"', "custom-call TopK"),
        (CALL, "custom-call"),
    ],
)  # fmt: skip
def test_an_instruction(line: str, op: str) -> None:
    assert instructions(line) == {op: 1}


@pytest.mark.parametrize(
    "line",
    [
        "%fused_computation (param_0: f32[64,6,6,32], param_1: f32[4,4,32,64]) -> f32[64,3,3,64] {",
        "HloModule jit_step, is_scheduled=true, entry_computation_layout={(f32[3]{0})->(f32[3]{0})}",
        '1 {file_name_id=1 function_name_id=1 line=18 end_line=18}', "}", "", "2 \"<string>\"",
    ],
)  # fmt: skip
def test_what_is_no_instruction(line: str) -> None:
    assert instructions(line) == {}


def test_the_recorded_executables() -> None:
    found = parse(document(TRACES, RECORDED))
    assert found.unread == 0
    assert {op.device for op in found.ops} == {"CPU:0"}
    assert {op.mode for op in found.ops} == {"compiled"}
    # Three layers: three forward, three filters' and two inputs' gradients; the dense layer's three products.
    assert {op.op: op.count for op in found.ops if op.op in ("convolution", "dot")} == {"convolution": 8, "dot": 3}
    assert found.lines == sum(op.count for op in found.ops)


def test_the_derived_executables_of_two_gpus() -> None:
    found = parse(document(TRACES, GPU))
    heavy = {(op.op, op.device): op.count for op in found.ops if op.op in ("convolution", "dot")}
    assert heavy["convolution", "GPU:1"] == heavy["dot", "GPU:1"] == 3  # one dot in a Triton fusion
    assert heavy["convolution", "GPU:0"] == heavy["dot", "GPU:0"] == 4  # and those of the one that was cut
    assert found.unread == 1
    assert found.lines == sum(op.count for op in found.ops if op.device == "GPU:0")  # once, whatever its devices


def told(**change: Any) -> Document:
    row = {"devices": ["GPU:0"], "hlo": "%d = f32[] dot(%a, %b)", "cut": False}
    return Document("x.json", {"executables": [{**row, **change}]})


def test_an_executable_without_instructions_could_not_be_read() -> None:
    assert parse(told()).unread == 0
    assert parse(told(hlo="")).unread == 1
    assert parse(told(cut=True)).unread == 1


@pytest.mark.parametrize("change", [{"hlo": 7}, {"devices": "GPU:0"}, {"devices": [0]}, {"cut": None}])
def test_a_torn_document(change: dict[str, Any]) -> None:
    with pytest.raises(CannotLook, match=r"x\.json, executables 0"):
        parse(told(**change))
    with pytest.raises(CannotLook, match="executables"):
        parse(Document("x.json", {}))


def test_more_ops_on_devices_than_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executables, "_MOST_OPS", 10)
    with pytest.raises(CannotLook, match="more than 10 ops"):
        parse(told(devices=[f"GPU:{number}" for number in range(11)]))
