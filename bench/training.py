"""How long the training takes to reach the tutorial's validation accuracy, against the tutorial's own ten epochs.

usage: scripts/bench training --data DIR [--device cpu|gpu] [--python PYTHON] [FRAMEWORK...]

Each framework's `fast` recipe is run whole, in a process of its own; the baseline is TensorFlow's `tutorial` recipe,
in the same run. Wall seconds are of the epochs alone until the accuracy is first reached (validation not counted), CPU
seconds are of the whole process, its imports and validation too. With --python one interpreter serves them all.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

from bench import rows
from gpucheck import environments, recipes
from gpucheck.cli.verify import cache_folder

ROOT = Path(__file__).resolve().parent.parent
TARGET = 0.7147  # the tutorial's own validation accuracy after its ten epochs, as published
NETWORKS = {"tensorflow": "tensorflow-cpu", "pytorch": "pytorch-cpu", "jax": "jax-cpu"}


class Trained(NamedTuple):
    seconds: float  # of the epochs until TARGET was reached, or of all of them
    reached: bool
    best: float
    cpu_seconds: float  # of the whole process
    images_per_second: float


def interpreter(framework: str, given: str | None) -> str:
    if given:
        return given
    recipe = recipes.load()[NETWORKS[framework]]
    say = lambda line, _share: print(line, file=sys.stderr)  # noqa: E731, T201
    return str(environments.prepare(recipe.lock_path, recipe.pythons, cache_folder(), say, recipe.hint))


def train(framework: str, recipe: str, options: argparse.Namespace) -> Trained:
    with tempfile.TemporaryDirectory() as folder:
        command = [
            interpreter(framework, options.python), "-m", f"payloads.{framework}", "--out", folder, "--stem", "train",
            "--part", "train", "--recipe", recipe, "--device", options.device, "--data", str(options.data),
        ]  # fmt: skip
        environment = environments.clean_environment(PYTHONPATH=str(ROOT / "gpucheck"))
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        with open(os.devnull, "wb") as nothing:
            subprocess.run(command, env=environment, check=True, stdout=nothing, stderr=nothing)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        report: dict[str, Any] = json.loads((Path(folder) / "train.json").read_text())
    history = report["history"]
    first = next((n for n, epoch in enumerate(history) if epoch["val_accuracy"] >= TARGET), None)
    counted = history if first is None else history[: first + 1]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Trained(
        sum(epoch["seconds"] for epoch in counted), first is not None,
        max(epoch["val_accuracy"] for epoch in history), cpu, report["images_per_second"],
    )  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("frameworks", nargs="*", default=list(NETWORKS), metavar="FRAMEWORK")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="CIFAR-10's binary layout")
    parser.add_argument("--device", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--python", help="an interpreter that has the frameworks")
    options = parser.parse_args()
    command = ("scripts/bench", "training", "--device", options.device, "--data", "DIR")
    where = options.device.upper()
    add = rows.Rows().add
    fast = {framework: train(framework, "fast", options) for framework in options.frameworks}
    tutorial = train("tensorflow", "tutorial", options)
    whole = f"the tutorial's ten epochs ({tutorial.best:.4f} at best)"
    add(f"{where}: tutorial, ten epochs", tutorial.seconds, "s", "itself", tutorial.seconds, "", command)
    add(f"{where}: tutorial, CPU time", tutorial.cpu_seconds, "CPU s", "itself", tutorial.cpu_seconds, "", command)
    for framework, run in fast.items():
        goal = "<= 0.2 (ratio)" if framework == "tensorflow" else "a line each"
        told = f"to {TARGET}" if run.reached else f"all epochs, {run.best:.4f} at best, {TARGET} NOT REACHED"
        add(f"{where}: {framework} fast, {told}", run.seconds, "s", whole, tutorial.seconds, goal, command)
        add(f"{where}: {framework} fast, CPU time", run.cpu_seconds, "CPU s", whole, tutorial.cpu_seconds, "", command)
        against = tutorial.images_per_second
        add(
            f"{where}: {framework} fast, speed", run.images_per_second, "images/s", "the tutorial", against, "", command
        )


if __name__ == "__main__":
    main()
