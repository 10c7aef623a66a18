"""What the hook told of each Python process of a followed command: p<pid>.json, and what lies beside it.

CUDA_VISIBLE_DEVICES renumbers: with "2,3" a process calls the machine's GPU 2 its GPU:0. Where it is a list of indices
the names here are the machine's again, in CUDA's order; with UUIDs they stay the process's own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gpucheck.facts import Process
from gpucheck.host import CannotLook
from gpucheck.witnesses.evidence import Document, document
from gpucheck.witnesses.run import FORCES, HIDES

HOOKED = "hooked"  # a line for each Python process in which the hook was started: its pid, and what went wrong
_OWN = re.compile(r"p\d+(-\d+)?\.json")
MOST = 5000  # processes


@dataclass(frozen=True, slots=True)
class Told:
    document: Document
    frameworks: Mapping[str, str]  # version by name, of those that it imported
    at_work: tuple[str, ...]  # those that it initialised or used
    builds: Mapping[str, bool]  # whether the wheel has GPU kernels, where that is known
    variables: Mapping[str, str]
    names: Mapping[str, str]  # the machine's name of each GPU by the process's, where they may differ

    @property
    def hidden_by(self) -> str | None:
        found = (
            f"{name}={self.variables[name]}" for name, values in HIDES.items() if self.variables.get(name) in values
        )
        return next(found, None)

    @property
    def forced(self) -> str | None:
        """By a variable that frameworks of this process heed."""
        heeded = (name for name, heeding in FORCES.items() if set(heeding) <= set(self.frameworks))
        first = ((name, self.variables.get(name, "").lower().split(",")[0]) for name in heeded)
        return next((f"{name}={self.variables[name]}" for name, value in first if value == "cpu"), None)

    @property
    def muted(self) -> str | None:
        level = self.variables.get("TF_CPP_MIN_LOG_LEVEL", "")
        told = "tensorflow" in self.frameworks and level.isdecimal() and int(level) >= 1
        return f"TF_CPP_MIN_LOG_LEVEL={level}" if told else None

    def named(self, device: str) -> str:
        return self.names.get(device, device)

    def process(self) -> Process:
        told = self.document
        return Process(
            pid=told.get("pid", int), argv=told.texts("argv"),
            frameworks=tuple(f"{name} {version}".strip() for name, version in self.frameworks.items()),
            devices_seen=tuple(map(self.named, told.texts("devices"))), hidden_by=self.hidden_by,
            ended=told.get("ended", bool), problems=told.texts("problems"),
        )  # fmt: skip


def read(folder: Path) -> tuple[Told, ...]:
    """In the order of their starts. Raises CannotLook where one of them is torn: the hook writes each whole."""
    names = sorted(path.name for path in folder.glob("p*.json") if _OWN.fullmatch(path.name))
    if len(names) > MOST:
        raise CannotLook(f"{len(names)} processes told of themselves; gpucheck reads {MOST}")
    found = [_told(document(folder, name)) for name in names]
    return tuple(sorted(found, key=lambda told: told.document.get("started", float)))


def why_none(folder: Path) -> str:
    """Why there is no process that imported a framework."""
    try:
        seen = (folder / HOOKED).read_text("utf-8", "replace").splitlines()
    except OSError:
        return "no Python process was seen; the hook is in Python alone, and not with its options -I, -E and -S"
    wrong = [line.partition("\t")[2] for line in seen if line.partition("\t")[2]]
    if wrong:
        return f"the hook did not start in {len(wrong)} of {len(seen)} Python processes: {wrong[0][:200]}"
    return f"the Python processes seen ({len(seen)}) imported none of TensorFlow, PyTorch, JAX, Keras and XGBoost"


def _told(found: Document) -> Told:
    frameworks = _texts(found, "frameworks")
    variables = _texts(found, "variables")
    known = {*found.texts("at_work"), *(["xgboost"] if found.get("ops", list) else [])}
    if "keras" not in _texts(found, "brought_by"):  # TensorFlow imports it whether the program uses it or not
        known.add("keras")
    used = tuple(name for name in frameworks if name in known)
    builds = {name: built for name, built in found.get("gpu_builds", dict).items() if type(built) is bool}
    return Told(found, frameworks, used, builds, variables, _machines(variables.get("CUDA_VISIBLE_DEVICES", "")))


def _texts(found: Document, key: str) -> dict[str, str]:
    values = found.get(key, dict)
    if not all(type(value) is str for value in values.values()):
        raise CannotLook(f"{found.name} has something else than texts in {key}")
    return dict(values)


def _machines(visible: str) -> dict[str, str]:
    """CUDA reads the list up to the first entry that is no index."""
    names = {}
    for place, entry in enumerate(visible.split(",")):
        if not entry.strip().isdecimal():
            break
        names[f"GPU:{place}"] = f"GPU:{int(entry)}"
    return names
