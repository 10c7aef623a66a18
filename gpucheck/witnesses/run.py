"""What was asked for and how it ended: asked.json and ran.json are gpucheck's own, run.json is the payload's."""

from __future__ import annotations

from pathlib import Path

from gpucheck.facts import Part, Run
from gpucheck.host import CannotLook
from gpucheck.witnesses import placement
from gpucheck.witnesses.evidence import Document, document

# What the framework's name is in Python where the command line has another.
MODULES = {"pytorch": "torch"}
BACKENDS = {"tensorflow-log": "tensorflow", "execution-trace": "torch", "executables": "jax"}
HIDES = {"CUDA_VISIBLE_DEVICES": ("", "-1"), "NVIDIA_VISIBLE_DEVICES": ("void", "none")}
FORCES = {  # and the frameworks that heed it
    "KERAS_TORCH_DEVICE": ("keras", "torch"), "JAX_PLATFORMS": ("jax",), "JAX_PLATFORM_NAME": ("jax",),
}  # fmt: skip


def look(folder: Path) -> Run:
    """A payload that died may leave no run.json and no probe.json: that is how the run ended, not a reason not to look.

    Raises CannotLook where what gpucheck wrote is missing or torn, or run.json is though the payload ended well.
    """
    asked, ran = document(folder, "asked.json"), document(folder, "ran.json")
    exit_code, signal = ran.maybe("exit_code", int), ran.maybe("signal", int)
    died = exit_code != 0
    probe = _left(folder, "probe.json")
    run = _left(folder, "run.json") if died else document(folder, "run.json")
    frameworks = _frameworks(asked, probe)
    env = _environment(run)
    return Run(
        frameworks=frameworks, devices_asked=_devices(asked),
        framework_version=probe.get("framework_version", str) if probe else None,
        device=_one_of(asked, "device", "gpu", "cpu"), where=_one_of(asked, "where", "container", "host"),
        where_why=asked.maybe("where_why", str),
        image_asked=asked.maybe("image_id", str), image_ran=ran.maybe("image_id", str),
        recipe_asked=asked.maybe("recipe", str), recipe_ran=ran.maybe("recipe", str),
        exit_code=exit_code, signal=signal, oom_killed=ran.get("oom_killed", bool),
        last_line=next(iter(reversed(ran.texts("last_lines"))), None),
        parts=tuple(map(_part, run.each("parts"))) if run else (),
        devices_seen=probe.texts("devices") if probe else (),
        hidden_by=next((f"{name}={env[name]}" for name, values in HIDES.items() if env.get(name) in values), None),
        missing_libraries=_missing(run), muted=_muted(env), forced=_forced(env, frameworks, probe),
    )  # fmt: skip


def _frameworks(asked: Document, probe: Document | None) -> tuple[str, ...]:
    """Keras with the backend it ran on, by the kind of evidence that the backend left."""
    name = asked.get("framework", str)
    if name != "keras" or probe is None:
        return (MODULES.get(name, name),)
    backend = BACKENDS.get(placement.kind(probe))
    return (name, backend) if backend else (name,)


def _devices(asked: Document) -> int:
    """Those that verification.py writes are texts. Evidence from before has none."""
    text = str(asked.inner("options").data.get("devices", "1")) if "options" in asked.data else "1"
    if not text.isdecimal() or not 0 < int(text) < 1000:
        raise CannotLook(f"asked.json has {text!r:.40} as devices")
    return int(text)


def _environment(run: Document | None) -> dict[str, str]:
    found = run.older("env", dict, {}) if run else {}
    return {name: value for name, value in found.items() if type(value) is str}


def _missing(run: Document | None) -> tuple[str, ...]:
    found = run.older("libraries", dict, {}) if run else {}
    return tuple(name for name, loads in found.items() if loads is False)


def _muted(env: dict[str, str]) -> str | None:
    level = env.get("TF_CPP_MIN_LOG_LEVEL", "")
    return f"TF_CPP_MIN_LOG_LEVEL={level}" if level.isdecimal() and int(level) >= 1 else None


def _forced(env: dict[str, str], frameworks: tuple[str, ...], probe: Document | None) -> str | None:
    """What the payload says, or a variable that these frameworks heed: all of those that it names."""
    if probe and (told := probe.data.get("forced")):
        return str(told)[:300]
    names = [name for name, heeding in FORCES.items() if set(heeding) <= set(frameworks)]
    return next((f"{name}={env[name]}" for name in names if env.get(name, "").lower().split(",")[0] == "cpu"), None)


def _one_of(document: Document, key: str, *values: str) -> str:
    value = document.get(key, str)
    if value not in values:
        raise CannotLook(f"{document.name} has {value!r:.40} as {key}")
    return value


def _left(folder: Path, name: str) -> Document | None:
    try:
        return document(folder, name)
    except CannotLook:
        return None


def _part(row: Document) -> Part:
    return Part(
        name=row.get("name", str), exit_code=row.maybe("exit_code", int), signal=row.maybe("signal", int),
        seconds=row.get("seconds", float),
    )  # fmt: skip
