"""Make the derived-* runs from the recorded tensorflow-cpu: `python tests/runs/derive.py [FOLDER]`.

They were NOT recorded on a GPU. derived-tensorflow-gpu is the recorded CPU run with its ops' lines rewritten to GPU:0,
as a good GPU run would log them; the others are that run, each with one thing wrong. gpu_kernels.json is measured: the
registry of TensorFlow 2.21.0's CUDA wheel, as the payload writes it, for the ops of this log.
"""

from __future__ import annotations

import gzip
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
RECORDED = HERE / "tensorflow-cpu" / "evidence"
LOGS = ("probe.out.gz", "probe.err.gz")
# What eager TensorFlow does on the CPU before and beside the model on a GPU machine too: seeds and small constants.
STAY = ("_EagerConst", "FloorMod", "StatelessRandomGetKeyCounter")
# As TensorFlow 2.21 writes it where it finds a GPU (format from published logs).
CREATED = (
    "I0000 00:00:1795226952.000000    3694 gpu_device.cc:2020] Created device /job:localhost/replica:0/task:0/"
    "device:GPU:0 with 22446 MB memory:  -> device: 0, name: derived, no real GPU, pci bus id: 0000:03:00.0, "
    "compute capability: 8.6\n"
)
Evidence = dict[str, Any]  # the files by name: a log's lines, a document's object


def recorded() -> Evidence:
    evidence: Evidence = {}
    for path in sorted(RECORDED.iterdir()):
        if path.name in LOGS:
            evidence[path.name] = gzip.decompress(path.read_bytes()).decode().splitlines(keepends=True)
        elif path.suffix == ".json":
            evidence[path.name] = json.loads(path.read_text())
    return evidence


def gpu() -> Evidence:
    evidence = recorded()
    stays = re.compile(rf"\((?:{'|'.join(STAY)})\): |Executing op (?:{'|'.join(STAY)}) ")
    for name in LOGS:
        evidence[name] = [
            line if stays.search(line) else line.replace("device:CPU:0\n", "device:GPU:0\n") for line in evidence[name]
        ]
    evidence["probe.err.gz"].insert(6, CREATED)
    evidence["asked.json"].update(device="gpu", recipe="tensorflow-cuda12", image="gpucheck/tensorflow:2.21.0-cuda12.5")
    evidence["asked.json"]["options"]["device"] = "gpu"
    evidence["ran.json"]["recipe"] = "tensorflow-cuda12"
    evidence["train.json"]["gpu_memory_peak_bytes"] = [100 * 2**20]
    registry = json.loads((HERE / "gpu_kernels.json").read_text())
    gpus = [{"device_name": "derived, no real GPU", "compute_capability": [8, 6]}]
    evidence["probe.json"].update(device="gpu", devices=["CPU:0", "GPU:0"], gpus=gpus, registry=registry)
    return evidence


def no_lines() -> Evidence:
    evidence = gpu()
    for name in LOGS:
        evidence[name] = [line for line in evidence[name] if "/job:" not in line or "Created device" in line]
    return evidence


def conv_on_cpu() -> Evidence:
    evidence = gpu()
    for name in LOGS:
        log = evidence[name]
        last = max(index for index, line in enumerate(log) if "convolution: (Conv2D): " in line)
        log[last] = log[last].replace("GPU:0", "CPU:0")
    return evidence


def loss_rose() -> Evidence:
    evidence = gpu()
    for number, epoch in enumerate(evidence["train.json"]["history"]):
        epoch.update(loss=2.303 + number / 100, accuracy=0.1, val_loss=2.303, val_accuracy=0.1)
    evidence["train.json"].update(test_loss=2.303, test_accuracy=0.1)
    return evidence


def killed() -> Evidence:
    evidence = gpu()
    del evidence["train.json"]
    evidence["run.json"]["parts"][-1].update(exit_code=None, signal=9)
    evidence["ran.json"]["exit_code"] = 1
    return evidence


DERIVED: dict[str, Callable[[], Evidence]] = {
    "derived-tensorflow-gpu": gpu,
    "derived-no-lines": no_lines,
    "derived-conv-on-cpu": conv_on_cpu,
    "derived-loss-rose": loss_rose,
    "derived-killed": killed,
}


def main(root: Path) -> None:
    for name, derive in DERIVED.items():
        folder = root / name / "evidence"
        folder.mkdir(parents=True, exist_ok=True)
        for file, content in derive().items():
            if file in LOGS:
                (folder / file).write_bytes(gzip.compress("".join(content).encode(), mtime=0))
            else:
                (folder / file).write_text(json.dumps(content, indent=1) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE)
