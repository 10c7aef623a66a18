"""Make the derived-* runs from the recorded ones: `python tests/runs/derive.py [FOLDER]`.

They were NOT recorded on a GPU. derived-tensorflow-gpu and derived-pytorch-gpu are recorded CPU runs rewritten as a
good GPU run would have left them: the ops' lines to GPU:0, a profile with kernels (samples of tests/witnesses, derived
too), NVML's samples with a process of the run at work. The others are one of these with one thing wrong.
gpu_kernels.json is measured: the registry of TensorFlow 2.21.0's CUDA wheel, for the ops of this log.
"""

from __future__ import annotations

import gzip
import json
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TRACES = HERE.parent / "witnesses" / "samples" / "traces"
LOGS = ("probe.out.gz", "probe.err.gz")
# What eager TensorFlow does on the CPU before and beside the model on a GPU machine too: seeds and small constants.
STAY = ("_EagerConst", "FloorMod", "StatelessRandomGetKeyCounter")
# As TensorFlow 2.21 writes it where it finds a GPU (format from published logs).
CREATED = (
    "I0000 00:00:1795226952.000000    3694 gpu_device.cc:2020] Created device /job:localhost/replica:0/task:0/"
    "device:GPU:0 with 22446 MB memory:  -> device: 0, name: derived, no real GPU, pci bus id: 0000:03:00.0, "
    "compute capability: 8.6\n"
)
GPU = {"index": 0, "uuid": "GPU-00000000-0000-0000-0000-000000000000", "name": "derived, no real GPU",
       "memory_total": 24 * 2**30}  # fmt: skip
LASTED, LOADING = {"probe-strict": 3.7, "control": 3.1, "control-train": 2.9}, 2.3  # seconds
Evidence = dict[str, Any]  # the files by name: a log's lines, a document's object, other files' bytes


def recorded(name: str) -> Evidence:
    evidence: Evidence = {}
    for path in sorted((HERE / name / "evidence").iterdir()):
        if path.name.endswith((".out.gz", ".err.gz")):
            evidence[path.name] = gzip.decompress(path.read_bytes()).decode().splitlines(keepends=True)
        elif path.suffix == ".json":
            evidence[path.name] = json.loads(path.read_text())
        elif path.suffix in (".out", ".err"):
            evidence[path.name] = path.read_text()
        elif path.suffix != ".jsonl":
            evidence[path.name] = path.read_bytes()
    return {name: content for name, content in evidence.items() if not name.startswith("strict.")}


def times(evidence: Evidence) -> None:
    """When each part began: those before the training as long as they may take on a GPU machine, and without a gap."""
    training, run = evidence["train.json"], evidence["run.json"]
    training["trained"] = training["ended"] - 0.6
    seconds = {**LASTED, "train": LOADING + training["ended"] - training["began"] + 0.5}
    t = training["began"] - LOADING - sum(LASTED.values())
    run["parts"] = [
        {"name": name, "exit_code": 0, "signal": None, "began": round(t + sum(list(seconds.values())[:place]), 3),
         "seconds": round(lasts, 3)} for place, (name, lasts) in enumerate(seconds.items())
    ]  # fmt: skip


def samples(evidence: Evidence, processes: Callable[[int], list[dict[str, Any]]], busy: int = 71) -> str:
    """nvml.jsonl, ten samples a second, from a second before the run to its end: the probe and the training work on
    the GPU, the control run does not. `processes` gets the bytes that the run holds there; busy=0 is a training that
    holds none.
    """
    training, parts = evidence["train.json"], evidence["run.json"]["parts"]
    ends = [training["began"]]  # of the epochs; the last half second of each is validation
    for epoch in training["history"]:
        ends.append(ends[-1] + epoch["seconds"])
    start, degrees = parts[0]["began"] - 1.0, 38.0
    lines = [{"gpus": [GPU], "interval": 0.1}]
    for n in range(int((parts[-1]["began"] + parts[-1]["seconds"] - start) / 0.1)):
        t = start + 0.1 * n
        part = next((part["name"] for part in reversed(parts) if t >= part["began"]), None)
        if part and len(lines) == 11:
            lines.append({"follow": round(t, 3), "by": "process tree"})
        held, work = {"probe-strict": (2**28, 24), "train": (2**30 if busy else 0, 0)}.get(part or "", (0, 0))
        if busy and training["began"] <= t:
            slow = t > training["trained"] or any(end - 0.5 < t <= end for end in ends[1:])
            work = round(busy / 3 if slow else busy - 4.5 + 3 * math.sin(7.3 * n) + 1.5 * math.sin(0.4 * n))
        degrees += (38 + work / 2 - degrees) / 80
        lines.append({"t": round(t, 3), "gpus": [{
            "index": 0, "utilization": work, "memory_used": 2**20 + held, "error": None,
            "power_mw": 60_000 + 3000 * work, "energy_mj": None, "sm_mhz": 1980 if work else 345,
            "temperature_c": round(degrees), "processes": processes(held),
        }]})  # fmt: skip
    return "".join(f"{json.dumps(line)}\n" for line in lines)


def ours(held: int) -> list[dict[str, Any]]:
    return [{"pid": 4242, "used_bytes": held, "ours": True}] if held else []


def neighbour(_held: int) -> list[dict[str, Any]]:
    return [{"pid": 777, "used_bytes": 2**30, "ours": False}]


def on_gpu(evidence: Evidence) -> Evidence:
    """What every framework's evidence of a GPU run has alike."""
    evidence["asked.json"]["options"]["device"] = evidence["asked.json"]["device"] = "gpu"
    evidence["asked.json"]["reason"] = "derived, nobody chose it"
    evidence["run.json"]["env"] = {}
    evidence["run.json"]["libraries"] = {"libcuda.so.1": True, "libnvidia-ml.so.1": True}
    training = evidence["train.json"]
    training.update(gpu_memory_peak_bytes=[100 * 2**20], devices=["GPU:0"])
    training["shares"] = [{**share, "device": "GPU:0"} for share in training["shares"]]
    times(evidence)
    evidence["nvml.jsonl"] = samples(evidence, ours)
    return evidence


def tensorflow() -> Evidence:
    evidence = recorded("tensorflow-fast-cpu")
    plain = dict(evidence)
    stays = re.compile(rf"\((?:{'|'.join(STAY)})\): |Executing op (?:{'|'.join(STAY)}) ")
    for name in LOGS:
        evidence[name] = [
            line if stays.search(line) else line.replace("device:CPU:0\n", "device:GPU:0\n") for line in plain[name]
        ]
        evidence[name.replace("probe", "control")] = plain[name]  # the recorded CPU run is what a control run leaves
    evidence["control.json"] = {**plain["probe.json"], "device": "gpu", "strict": False}
    evidence["control-train.json"] = {**plain["train.json"], "history": [], "profile": None}
    evidence["probe.err.gz"].insert(6, CREATED)
    evidence["asked.json"].update(
        recipe="tensorflow-cuda12", image="gpucheck/tensorflow:2.21.0-cuda12.5", cuda="12.5", cudnn="9.3",
        lock_sha256="0" * 64,
    )  # fmt: skip
    evidence["ran.json"]["recipe"] = "tensorflow-cuda12"
    registry = json.loads((HERE / "gpu_kernels.json").read_text())
    gpus = [{"device_name": "derived, no real GPU", "compute_capability": [8, 6]}]
    evidence["probe.json"] = {
        **plain["probe.json"], "device": "gpu", "devices": ["CPU:0", "GPU:0"], "gpus": gpus, "registry": registry,
        "gpu_build": True,
    }  # fmt: skip
    evidence["train.xplane.pb.gz"] = (TRACES / "derived-gpu.xplane.pb.gz").read_bytes()
    return on_gpu(evidence)


def pytorch() -> Evidence:
    evidence = recorded("pytorch-cpu")
    probe = evidence["probe.json"]
    trace, profile = probe["placement"]["file"], evidence["train.json"]["profile"]["file"]
    evidence["control.json"] = {**probe, "device": "gpu", "strict": False}
    evidence["control.json"]["placement"] = {**probe["placement"], "file": "control.trace.json.gz"}
    evidence["control.trace.json.gz"] = evidence[trace]
    evidence |= {name.replace("probe", "control"): evidence[name] for name in ("probe.out", "probe.err")}
    text = gzip.decompress(evidence[trace]).decode().replace('"cpu"', '"cuda:0"')
    evidence[trace] = gzip.compress(text.encode(), mtime=0)
    evidence[profile] = (TRACES / "derived-torch-gpu.kineto.json.gz").read_bytes()
    evidence["asked.json"].update(recipe="pytorch-cuda13")
    evidence["ran.json"]["recipe"] = "pytorch-cuda13"
    evidence["probe.json"] = {**probe, "device": "gpu", "devices": ["CPU:0", "GPU:0"], "gpu_build": True}
    return on_gpu(evidence)


def without(evidence: Evidence, *names: str) -> Evidence:
    return {name: content for name, content in evidence.items() if name not in names}


def no_lines() -> Evidence:
    evidence = tensorflow()
    for name in LOGS:
        evidence[name] = [line for line in evidence[name] if "/job:" not in line or "Created device" in line]
    return evidence


def conv_on_cpu() -> Evidence:
    evidence = tensorflow()
    for name in LOGS:
        log = evidence[name]
        last = max(index for index, line in enumerate(log) if "convolution: (Conv2D): " in line)
        log[last] = log[last].replace("GPU:0", "CPU:0")
    return evidence


def loss_rose() -> Evidence:
    evidence = tensorflow()
    for number, epoch in enumerate(evidence["train.json"]["history"]):
        epoch.update(loss=2.303 + number / 100, accuracy=0.1, val_loss=2.303, val_accuracy=0.1)
    evidence["train.json"].update(test_loss=2.303, test_accuracy=0.1)
    return evidence


def killed() -> Evidence:
    evidence = without(tensorflow(), "train.json", "nvml.jsonl")
    evidence["run.json"]["parts"][-1].update(exit_code=None, signal=9)
    evidence["ran.json"]["exit_code"] = 1
    return evidence


def forged_log() -> Evidence:
    """The log says GPU; the profile, NVML and the memory are those of a run on the CPU, with a neighbour on the GPU."""
    evidence = tensorflow()
    evidence["train.xplane.pb.gz"] = recorded("tensorflow-fast-cpu")["train.xplane.pb.gz"]
    evidence["train.json"]["gpu_memory_peak_bytes"] = []
    evidence["nvml.jsonl"] = samples(evidence, neighbour)
    return evidence


def control_fooled() -> Evidence:
    evidence = tensorflow()
    for name in LOGS:
        evidence[name.replace("probe", "control")] = evidence[name]
    return evidence


def no_nvml() -> Evidence:
    evidence = tensorflow()
    evidence["nvml.jsonl"] = '{"error": "NVML did not start: LIBRARY_NOT_FOUND"}\n'
    return evidence


def nothing_saw_execution() -> Evidence:
    """No CUPTI where it ran, no NVML outside: the log alone."""
    evidence = no_nvml()
    evidence["train.xplane.pb.gz"] = recorded("tensorflow-fast-cpu")["train.xplane.pb.gz"]
    evidence["train.json"]["profile"]["blind"] = "libcupti cannot be loaded: derived"
    return evidence


def gpu_went_away() -> Evidence:
    """The probe ran on the GPU; the training after it saw none."""
    evidence = tensorflow()
    evidence["train.xplane.pb.gz"] = recorded("tensorflow-fast-cpu")["train.xplane.pb.gz"]
    evidence["train.json"].update(gpu_memory_peak_bytes=[], devices=["CPU:0"])
    evidence["nvml.jsonl"] = samples(evidence, ours, busy=0)
    return evidence


DERIVED: dict[str, Callable[[], Evidence]] = {
    "derived-tensorflow-gpu": tensorflow,
    "derived-pytorch-gpu": pytorch,
    "derived-no-lines": no_lines,
    "derived-conv-on-cpu": conv_on_cpu,
    "derived-loss-rose": loss_rose,
    "derived-killed": killed,
    "derived-forged-log": forged_log,
    "derived-control-fooled": control_fooled,
    "derived-no-nvml": no_nvml,
    "derived-nothing-saw-execution": nothing_saw_execution,
    "derived-gpu-went-away": gpu_went_away,
}


def main(root: Path) -> None:
    for name, derive in DERIVED.items():
        folder = root / name / "evidence"
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in derive().items():
            if isinstance(content, bytes):
                (folder / file).write_bytes(content)
            elif isinstance(content, list):
                (folder / file).write_bytes(gzip.compress("".join(content).encode(), mtime=0))
            elif isinstance(content, str):
                (folder / file).write_text(content)
            else:
                (folder / file).write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
