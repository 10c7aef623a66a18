"""What the proof costs: each witness against the same training without it, and `prove` against the bare command.

usage: scripts/bench overhead [--python PYTHON] [--rounds N] [--steps N] [FRAMEWORK...]

The profiler: seconds of the epochs of a training with and without its window, in turn. NVML from outside: CPU seconds
of a sample of the child that takes ten a second, against one core; on a machine without NVML there is nothing to take.
prove: CPU seconds of the bare command and of the same under `gpucheck prove`, in turn, and the seconds that the hook
itself counts. CPU seconds where the machine may be shared.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import rows
from bench.training import ROOT, interpreter
from gpucheck import environments

NETWORKS = ("tensorflow", "pytorch", "jax")
QUIET = {"OMP_WAIT_POLICY": "passive"}  # threads that wait by spinning measure the neighbours, not the work
LOOP = """import sys, torch
torch.manual_seed(0)
net = torch.nn.Sequential(torch.nn.Conv2d(3, 32, 3), torch.nn.ReLU(), torch.nn.Conv2d(32, 64, 3), torch.nn.ReLU(),
                          torch.nn.Flatten(), torch.nn.LazyLinear(10))
x, y = torch.randn(64, 3, 32, 32), torch.randint(0, 10, (64,))
net(x)
optimizer = torch.optim.Adam(net.parameters())
for step in range(int(sys.argv[1])):
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(net(x), y).backward()
    optimizer.step()
"""


def trained(python: str, framework: str, *more: str) -> float:
    """Seconds of all epochs of a short training, the profiler's window among them."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            python, "-m", f"payloads.{framework}", "--out", folder, "--stem", "train", "--part", "train",
            "--device", "cpu", "--epochs", "4", *more,
        ]  # fmt: skip
        environment = environments.clean_environment(PYTHONPATH=str(ROOT / "gpucheck"), **QUIET)
        subprocess.run(command, env=environment, check=True, capture_output=True)
        report = json.loads((Path(folder) / "train.json").read_text())
    return sum(float(epoch["seconds"]) for epoch in report["history"])


def cpu_of(command: Sequence[str]) -> float:
    """CPU seconds of a command and all that it waits for."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env={**os.environ, **QUIET}, check=False, capture_output=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frameworks", nargs="*", default=list(NETWORKS), metavar="FRAMEWORK")
    parser.add_argument("--python", help="an interpreter that has the frameworks")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=1500, help="of the loop that prove watches")
    options = parser.parse_args()
    add, command = rows.Rows().add, ("scripts/bench", "overhead")
    for framework in options.frameworks:
        python = interpreter(framework, options.python)
        pairs = [
            (trained(python, framework), trained(python, framework, "--no-profile")) for _ in range(options.rounds)
        ]
        with_it, without = (statistics.median(values) for values in zip(*pairs, strict=True))
        add(f"profiler's window in a {framework} training of 4 epochs", with_it, "s", "the same without", without,
            "<= 1.03 (ratio)", command)  # fmt: skip
    python = interpreter("pytorch", options.python)
    loop = (python, "-c", LOOP, str(options.steps))
    bare, watched, told = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        proving = (sys.executable, "-m", "gpucheck", "prove", "--report", str(report), "--format", "json", "--", *loop)
        for _ in range(options.rounds):
            bare.append(cpu_of(loop))
            watched.append(cpu_of(proving))
            told.append(float(json.loads(report.read_text())["facts"]["known"]["Run"]["overhead"]))
    base = statistics.median(bare)
    add("prove of a PyTorch loop, CPU, with the judging", statistics.median(watched), "CPU s", "the bare command", base,
        "reported", command)  # fmt: skip
    add("prove, seconds that the hook counts in the command", statistics.median(told), "s", "the bare command", base,
        "<= 0.03 (ratio)", command)  # fmt: skip


if __name__ == "__main__":
    main()
