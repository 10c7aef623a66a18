"""What the witnesses of a followed command make of what its processes told: p<pid>.json and what lies beside it."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from gpucheck.host import CannotLook
from gpucheck.witnesses import command

SAMPLES = Path(__file__).with_name("samples")
TOLD: dict[str, Any] = {
    "pid": 1, "ppid": 0, "argv": ["python"], "frameworks": {"torch": "2.13.0"}, "brought_by": {},
    "gpu_builds": {"torch": True},
    "at_work": ["torch"], "devices": ["CPU:0", "GPU:0"], "variables": {}, "windows": [], "final": [], "ops": [],
    "registry": None, "libraries": None, "overhead_seconds": 0.5, "started": 1.0, "ended": True, "problems": [],
}  # fmt: skip


def leave(folder: Path, *processes: dict[str, Any], log: list[dict[str, Any]] | None = None) -> None:
    folder.mkdir(exist_ok=True)
    asked = {"schema": 1, "command": ["x"], "device": "gpu", "devices": 1, "where": "host", "where_why": None,
             "image_id": None, "recipe": None}  # fmt: skip
    ran: dict[str, Any] = {
        "exit_code": 0,
        "signal": None,
        "oom_killed": False,
        "last_lines": [],
        "image_id": None,
        "recipe": None,
    }
    (folder / "asked.json").write_text(json.dumps(asked))
    (folder / "ran.json").write_text(json.dumps(ran))
    (folder / "command.placement.json").write_text(json.dumps({"schema": 1, "ops": log or [], "unread": 0}))
    for number, told in enumerate(processes, 1):
        (folder / f"p{number}.json").write_text(json.dumps({**TOLD, "pid": number, "started": float(number), **told}))


def row(device: str = "GPU:0", op: str = "Conv2D") -> dict[str, Any]:
    return {"op": op, "device": device, "count": 2, "mode": "graph"}


def grown(device: str) -> dict[str, Any]:
    return {"frameworks": {"xgboost": "3.2.0"}, "gpu_builds": {"xgboost": True}, "at_work": [],
            "ops": [{"op": "tree growing", "device": device, "count": 2, "mode": "configured"}]}  # fmt: skip


def test_gpus_get_the_machines_numbers_back(tmp_path: Path) -> None:
    leave(tmp_path, {"variables": {"CUDA_VISIBLE_DEVICES": "2,3"}, **grown("GPU:1"), "devices": ["CPU:0", "GPU:1"]},
          {"variables": {"CUDA_VISIBLE_DEVICES": "1"}, **grown("GPU:0")},
          {"variables": {"CUDA_VISIBLE_DEVICES": "GPU-8a7b"}, **grown("GPU:0")})  # fmt: skip
    assert {op.device for op in command.look_placement(tmp_path).ops} == {"GPU:3", "GPU:1", "GPU:0"}
    run = command.look_run(tmp_path)
    assert run.devices_seen == ("CPU:0", "GPU:3", "GPU:1", "GPU:0")
    assert run.overhead == 1.5


@pytest.mark.parametrize(("lists", "device"), [(("2", "2"), "GPU:2"), (("2", "3"), "GPU:0"), (("2",), "GPU:2")])
def test_tensorflows_lines_are_renumbered_where_all_had_the_same_list(
    tmp_path: Path, lists: tuple[str, ...], device: str
) -> None:
    both = [
        {"frameworks": {"tensorflow": "2.21.0"}, "variables": {"CUDA_VISIBLE_DEVICES": visible}} for visible in lists
    ]
    leave(tmp_path, *both, log=[row()])
    assert [op.device for op in command.look_placement(tmp_path).ops] == [device]


def test_a_trace_of_each_process_is_added_and_a_torn_one_is_unread(tmp_path: Path) -> None:
    inputs = {"values": [[0, 0, 0, 0, 0, "cuda:0"]], "types": ["Tensor(float)"], "shapes": [[2, 2]]}
    node = {"id": 2, "name": "aten::mm", "ctrl_deps": 1, "attrs": [], "inputs": inputs,
            "outputs": {"values": [], "types": [], "shapes": []}}  # fmt: skip
    window = {"seconds": 1.0, "source": "torch.profiler", "kernels": None, "blind": None, "error": None,
              "framework": "torch"}  # fmt: skip
    for name in ("one", "two"):
        text = json.dumps({"schema": "1.1.1-chakra.0.0.4", "nodes": [node]})
        (tmp_path / f"{name}.trace.json.gz").write_bytes(gzip.compress(text.encode()))
    (tmp_path / "torn.trace.json.gz").write_bytes(b"no gzip")
    windows = [{**window, "placement": f"{name}.trace.json.gz"} for name in ("one", "two", "torn", "absent")]
    leave(tmp_path, {"windows": windows}, {"windows": windows[:1], "variables": {"CUDA_VISIBLE_DEVICES": "5"}})
    placement = command.look_placement(tmp_path)
    assert {(op.op, op.device): op.count for op in placement.ops} == {
        ("aten::mm", "GPU:0"): 2,
        ("aten::mm", "GPU:5"): 1,
    }
    assert placement.unread == 2
    assert placement.gpu_kernels == ("aten::mm",)


def test_a_registry_says_what_could_run_on_a_gpu(tmp_path: Path) -> None:
    registry = {"gpu_build": True, "gpu": ["Conv2D", "Shape"], "host_memory": ["Shape"]}
    leave(tmp_path, {"frameworks": {"tensorflow": "2.21.0"}, "gpu_builds": {"tensorflow": True}, "registry": registry},
          log=[row(), row("CPU:0", "Shape"), row("CPU:0", "RangeDataset")])  # fmt: skip
    placement = command.look_placement(tmp_path)
    assert (placement.gpu_kernels, placement.host_memory) == (("Conv2D", "Shape"), ("Shape",))


def test_what_was_only_imported_is_no_framework_of_the_run(tmp_path: Path) -> None:
    all_three = {"tensorflow": "2.21.0", "jax": "0.10.2", "keras": "3.15.1"}  # the first brings the others
    brought: dict[str, Any] = {"frameworks": all_three, "brought_by": {"jax": "tensorflow", "keras": "tensorflow"}}
    leave(tmp_path, {**brought, "at_work": ["tensorflow"]})
    run = command.look_run(tmp_path)
    assert (run.frameworks, run.framework_version) == (("tensorflow",), "2.21.0")
    assert run.processes[0].frameworks == ("tensorflow 2.21.0", "jax 0.10.2", "keras 3.15.1")
    leave(tmp_path, {**brought, "at_work": []})
    assert command.look_run(tmp_path).frameworks == ("tensorflow", "jax", "keras")
    leave(tmp_path, {**brought, "at_work": ["tensorflow"], "brought_by": {"jax": "tensorflow"}})
    assert command.look_run(tmp_path).frameworks == ("tensorflow", "keras")


def test_one_of_two_processes_hidden_is_not_a_hidden_run(tmp_path: Path) -> None:
    hidden = {"variables": {"CUDA_VISIBLE_DEVICES": "-1", "TF_CPP_MIN_LOG_LEVEL": "3"}}
    leave(tmp_path, hidden, {})
    run = command.look_run(tmp_path)
    assert (run.hidden_by, run.processes[0].hidden_by, run.muted) == (None, "CUDA_VISIBLE_DEVICES=-1", None)


def test_libraries_that_no_process_could_load(tmp_path: Path) -> None:
    leave(tmp_path, {"libraries": {"libcuda.so.1": False, "libnvidia-ml.so.1": False}},
          {"libraries": {"libcuda.so.1": True, "libnvidia-ml.so.1": False}}, {})  # fmt: skip
    assert command.look_run(tmp_path).missing_libraries == ("libnvidia-ml.so.1",)


@pytest.mark.parametrize(
    "torn",
    [{"frameworks": []}, {"frameworks": {"torch": 1}}, {"windows": [1]}, {"windows": [{"placement": 1}]},
     {"ops": [{"op": 1}]}, {"devices": [1]}, {"started": "now"}, {"argv": None}, {"overhead_seconds": True}],
)  # fmt: skip
def test_what_is_not_as_the_hook_writes_it_cannot_be_looked_at(tmp_path: Path, torn: dict[str, Any]) -> None:
    leave(tmp_path, torn)
    looks = []
    for look in (command.look_run, command.look_placement, command.look_kernels):
        try:
            look(tmp_path)
        except CannotLook as error:
            looks.append(str(error))
    assert any("p1.json" in reason for reason in looks)


def test_a_window_outside_of_the_folder_is_not_read(tmp_path: Path) -> None:
    leave(tmp_path, {"windows": [{"kernels": "../x.kineto.json.gz", "seconds": 1.0, "blind": None, "error": None}]})
    with pytest.raises(CannotLook, match=r"\.\./x"):
        command.look_kernels(tmp_path)


def test_the_profilers_error_is_the_reason(tmp_path: Path) -> None:
    window = {
        "kernels": None,
        "placement": None,
        "seconds": 1.0,
        "blind": None,
        "error": "CUPTI was taken",
        "framework": "torch",
    }
    leave(tmp_path, {"windows": [window]})
    with pytest.raises(CannotLook, match="CUPTI was taken"):
        command.look_kernels(tmp_path)


def test_the_frameworks_own_reasons_are_found_in_the_output(tmp_path: Path) -> None:
    sample = SAMPLES / "tf2.21.gpuwheel_nogpu.graph.err.gz"
    fell = "WARNING: src/context.cc:207: Device is changed from GPU to CPU as we couldn't find any available GPU"
    leave(tmp_path, {})
    (tmp_path / "command.err.gz").write_bytes(sample.read_bytes())
    (tmp_path / "command.out.gz").write_bytes(gzip.compress(f"Epoch 1\n{fell}\n".encode()))
    first, *others = command.look_placement(tmp_path).reasons
    assert first == "Could not find cuda drivers on your machine, GPU will not be used."
    assert fell.partition(": ")[2].partition(": ")[2] in others
