"""What every payload does alike: probe it strictly, run it again with the GPU hidden, then train as a user would.
Where other nodes were named it joins them first.

Each payload is `python -m payloads.<name> --out DIR [--device cpu] ...` and gives main() these functions:
    probe(options, say)   a few steps with every op logged; writes <stem>.json and its raw logs beside it
    train(options, say)   the training; with options.steps it ends after so many steps. Writes <stem>.json last
    world(options, say)   what nodes do together, as payloads/world.py has it; writes world.json
Each part is a process of its own, with `options.stem` as the name of what it writes: strict, probe, control (the
probe with the GPU hidden), control-train (a few steps of the training, likewise), train.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from . import parts, recipe

STEMS = ("world", "strict", "probe", "control", "control-train", "train", "run")  # of what a run writes
CONTROL_STEPS = 30
WORLD_WAITS = 3  # for the nodes to meet, for a collective that hangs, and for the rest
MODULES = {"pytorch": "torch"}  # a payload's name where it is not its framework's module
# JAX with its CUDA plugin raises in some versions where CUDA finds no device, and falls to the CPU only when told.
HIDDEN = {"CUDA_VISIBLE_DEVICES": "-1", "JAX_PLATFORMS": "cpu"}
# TensorFlow and JAX would each take a GPU's memory whole at their start, also from those who share it.
SHARING = {"TF_FORCE_GPU_ALLOW_GROWTH": "true", "XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
LOUD = {"TF_CPP_MIN_LOG_LEVEL": "0"}
# They change what is compiled or logged, and the probe must log every op.
UNSET = ("TF_CPP_VMODULE", "TF_CPP_MAX_VLOG_LEVEL", "TF_XLA_FLAGS")
Work = Callable[[Any, parts.Say], None]


def main(
    name: str, probe: Work, train: Work, *, quiet: Mapping[str, str] | None = None,
    strict: Mapping[str, str] | None = None, prepare: Callable[[Any], None] | None = None,
    backends: tuple[str, ...] = (), world: Work | None = None,
) -> int:  # fmt: skip
    """`quiet` is set for every part, `strict` for the strict probe; `prepare` may change the options first."""
    parser = parts.parser(f"payloads.{name}")
    if backends:
        parser.add_argument("--backend", choices=backends, default=backends[0], help="Keras's")
    options = parser.parse_args()
    chosen = recipe.chosen(options)
    options.epochs_asked = chosen.epochs
    if prepare:
        prepare(options)
    if options.world and not world:
        parser.error(f"{name} joins no other nodes")
    if options.part == "world" and world:
        parts.bound()
        world(options, parts.speaker(options.progress))
        return 0
    if options.part:
        (train if options.part == "train" else probe)(options, parts.speaker(options.progress))
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    wanted = [MODULES.get(name, name), *([getattr(options, "backend", None)] if backends else [])]
    for missing in (module for module in wanted if importlib.util.find_spec(str(module)) is None):
        parts.tell(f"there is no {missing} in {sys.executable}")
        return 1
    for stem in STEMS:  # an earlier run is not this one
        for old in options.out.glob(f"{stem}.*"):
            old.unlink()
    shared = {variable: os.environ.get(variable, value) for variable, value in SHARING.items()}
    quiet = {**shared, **(quiet or {}), **({"KERAS_BACKEND": options.backend} if backends else {})}
    return parts.run(name, options.out, lambda done: observe(done, options, quiet, {**quiet, **(strict or {})}))


def observe(done: list[dict[str, Any]], options: Any, quiet: Mapping[str, str], strict: Mapping[str, str]) -> None:
    out = options.out

    def part(
        name: str, kind: str, stem: str, env: Mapping[str, str], *more: str, unset: tuple[str, ...] = UNSET
    ) -> bool:
        return parts.start(done, name, ["--part", kind, "--stem", stem, *more], out / stem, unset, env)

    if options.world:  # however it ends: what this node can do by itself is another question
        deadline = WORLD_WAITS * options.world_seconds
        parts.start(done, "world", ["--part", "world", "--stem", "world"], out / "world", (), quiet, deadline)
    if not part("probe-strict", "probe", "probe", {**strict, **LOUD}, "--strict"):
        return
    if (out / "strict.json").exists():  # refused: what was logged until then is kept under that name
        for old in out.glob("probe.*"):
            os.replace(old, old.with_name(old.name.replace("probe.", "strict.", 1)))
        if not part("probe-soft", "probe", "probe", {**quiet, **LOUD}):
            return
    if options.device == "gpu" and options.control:
        hidden = {**quiet, **LOUD, **HIDDEN}
        if not part("control", "probe", "control", hidden):
            return
        if not part("control-train", "train", "control-train", hidden, "--steps", str(CONTROL_STEPS)):
            return
    part("train", "train", "train", quiet, unset=())
