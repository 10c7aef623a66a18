"""What every payload does alike, with a toy for a framework: the order of its parts, and what each part is told."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "gpucheck"
PROGRAM = """
import os, sys
from payloads import parts, program

def probe(options, say):
    print(options.stem, options.strict, os.environ.get("CUDA_VISIBLE_DEVICES"))
    refused = "no such device" if options.strict and options.device == "gpu" else None
    (options.out / f"{options.stem}.trace.json.gz").touch()
    parts.write(options.out / ("strict.json" if refused else f"{options.stem}.json"), {"refused": refused})

def train(options, say):
    print(options.stem, options.steps, options.epochs_asked)

if __name__ == "__main__":
    sys.exit(program.main("json", probe, train))
"""


def test_what_would_silence_the_placement_log_does_not_reach_the_probe(tmp_path: Path) -> None:
    """The real payload over a module called tensorflow that only tells its environment: to each part of it."""
    (tmp_path / "tensorflow.py").write_text("import json, os, sys\nprint(json.dumps(dict(os.environ)))\nsys.exit()\n")
    silencing = {"TF_XLA_FLAGS": "--tf_xla_auto_jit=2", "TF_CPP_VMODULE": "x=1", "TF_CPP_MAX_VLOG_LEVEL": "0"}
    environment = {
        **os.environ, **silencing, "TF_CPP_MIN_LOG_LEVEL": "3", "PYTHONPATH": f"{PACKAGE}{os.pathsep}{tmp_path}",
    }  # fmt: skip
    command = [sys.executable, "-m", "payloads.tensorflow", "--out", str(tmp_path / "out"), "--limit", "64"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout + done.stderr
    stems = ("probe", "control", "control-train", "train")
    seen = {stem: json.loads((tmp_path / "out" / f"{stem}.out").read_text()) for stem in stems}
    for stem in ("probe", "control", "control-train"):
        assert not seen[stem].keys() & silencing.keys()
        assert seen[stem]["TF_CPP_MIN_LOG_LEVEL"] == "0"
    for stem in ("control", "control-train"):
        assert seen[stem]["CUDA_VISIBLE_DEVICES"] == "-1"
    assert seen["probe"].get("CUDA_VISIBLE_DEVICES") == os.environ.get("CUDA_VISIBLE_DEVICES")
    assert all(told["TF_FORCE_GPU_ALLOW_GROWTH"] == "true" for told in seen.values())
    assert silencing.items() <= seen["train"].items()  # the training is as the user has set it
    assert silencing.items() <= json.loads((tmp_path / "out" / "run.json").read_text())["env"].items()


def observed(folder: Path, *options: str) -> dict[str, str]:
    """What each part has printed, by its stem."""
    (folder / "observed.py").write_text(PROGRAM)
    path = os.pathsep.join([str(PACKAGE), str(folder)])
    environment = {key: value for key, value in os.environ.items() if key != "CUDA_VISIBLE_DEVICES"}
    done = subprocess.run(
        [sys.executable, "-m", "observed", "--out", str(folder / "out"), *options], capture_output=True, text=True,
        env={**environment, "PYTHONPATH": path}, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    return {path.stem: path.read_text().strip() for path in (folder / "out").glob("*.out")}


def test_what_was_refused_is_kept_under_its_own_name_and_asked_again_softly(tmp_path: Path) -> None:
    assert observed(tmp_path, "--device", "gpu", "--epochs", "4") == {
        "strict": "probe True None", "probe": "probe False None", "control": "control False -1",
        "control-train": "control-train 30 4", "train": "train None 4",
    }  # fmt: skip
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"strict.json", "strict.trace.json.gz", "probe.json", "probe.trace.json.gz", "control.json"} <= left
    assert json.loads((tmp_path / "out" / "strict.json").read_text())["refused"] == "no such device"


def test_nothing_of_an_earlier_run_is_left(tmp_path: Path) -> None:
    observed(tmp_path, "--device", "gpu")
    again = observed(tmp_path, "--device", "cpu", "--epochs", "5")
    assert again == {"probe": "probe True None", "train": "train None 5"}
    left = {path.name for path in (tmp_path / "out").iterdir()}
    assert left == {
        "probe.out", "probe.err", "probe.json", "probe.trace.json.gz", "train.out", "train.err", "run.json",
    }  # fmt: skip


def test_a_control_can_be_left_out(tmp_path: Path) -> None:
    assert observed(tmp_path, "--device", "gpu", "--no-control").keys() == {"strict", "probe", "train"}
