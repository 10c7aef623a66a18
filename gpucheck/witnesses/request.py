"""What was asked for, as the words that ask for it again: asked.json is gpucheck's own; the versions are the run's."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from gpucheck.facts import Request
from gpucheck.host import CannotLook
from gpucheck.witnesses import told
from gpucheck.witnesses.evidence import Document, document

# By the name in asked.json: the option, and its default, which is left out. A test compares them with the command's.
VERIFY: Mapping[str, tuple[str, str | None]] = {
    "framework": ("--framework", None), "backend": ("--backend", None), "device": ("--device", "gpu"),
    "devices": ("--devices", "1"), "where": ("--on", "auto"), "python": ("--python", None), "image": ("--image", None),
    "base": ("--base", None), "ca_bundle": ("--ca-bundle", None), "network": ("--network", None),
    "data": ("--data", "auto"), "recipe": ("--recipe", "fast"), "epochs": ("--epochs", None),
    "batch_size": ("--batch-size", None), "validation_split": ("--validation-split", "0.0"), "seed": ("--seed", "0"),
    "limit": ("--limit", None), "timeout": ("--timeout", "3600.0"),
    "world": ("--world", None),
}  # fmt: skip
PROVE: Mapping[str, tuple[str, str | None]] = {
    "device": ("--device", "gpu"), "image": ("--image", None), "folder": ("--with", None),
    "timeout": ("--timeout", None),
}  # fmt: skip
BLOCK, CELL = "with gpucheck.prove():", "%%gpucheck"  # a block of a program, a notebook's cell
NO_CONTROL = "--no-control"
NOTEBOOK = "/payloads/hook/notebook.py"  # what runs a notebook that the user named
PASSWORD = re.compile(r"(://[^/\s:@]*):[^/\s]*@")
LOCK = re.compile(r"[0-9a-f]{64}")


def look(folder: Path) -> Request:
    """Raises CannotLook where what gpucheck wrote is missing or torn."""
    asked = document(folder, "asked.json")
    proven = "command" in asked.data
    lock = _maybe(asked, "lock_sha256")
    if lock is not None and not LOCK.fullmatch(lock):
        raise CannotLook(f"asked.json has {lock!r:.40} as lock_sha256")
    return Request(
        command=_prove(asked) if proven else _verify(asked), image=_maybe(asked, "image"),
        recipe=_maybe(asked, "recipe"), reason=_maybe(asked, "reason"), lock_sha256=lock,
        versions=tuple(dict.fromkeys((*(_imported(folder) if proven else _measured(folder, asked)), *_cuda(asked)))),
    )  # fmt: skip


def _verify(asked: Document) -> tuple[str, ...]:
    """Evidence that is older than the options has the framework and the device alone."""
    options = _options(asked) or {name: asked.get(name, str) for name in ("framework", "device")}
    hidden = {name: PASSWORD.sub(r"\1:***@", value) for name, value in options.items()}
    control = (NO_CONTROL,) if options.get("control") == "False" else ()
    return ("gpucheck", "verify", *_words(VERIFY, hidden), *control)


def _prove(asked: Document) -> tuple[str, ...]:
    """The user's own words as they are; a line of --shell and a notebook as what they stand for."""
    words = asked.texts("command")
    if words[:1] in ((BLOCK,), (CELL,)):
        return words
    if len(words) > 2 and words[1].endswith(NOTEBOOK):
        words = words[2:]
    return ("gpucheck", "prove", *_words(PROVE, _options(asked)), "--", *words)


def _options(asked: Document) -> dict[str, str]:
    values = asked.inner("options").data if "options" in asked.data else {}
    if not all(type(value) in (str, int) for value in values.values()):
        raise CannotLook("asked.json has something else than texts in options")
    options = Document(asked.name, {name: str(value) for name, value in values.items()})
    return {name: options.get(name, str) for name in values}


def _words(flags: Mapping[str, tuple[str, str | None]], options: Mapping[str, str]) -> Iterator[str]:
    for name, (flag, default) in flags.items():
        if name in options and options[name] != default:
            yield from (flag, options[name])


def _measured(folder: Path, asked: Document) -> Iterator[str]:
    """As the framework itself told, and then the Python that it ran in; nothing where the run left neither."""
    probe, run = _left(folder, "probe.json"), _left(folder, "run.json")
    named = (
        (asked.get("framework", str), probe, "framework_version"),
        (probe.data.get("backend") if probe else None, probe, "backend_version"),
        ("keras", probe, "keras_version"),
        ("python", run, "python"),
    )
    for name, found, key in named:
        if type(name) is str and found and type(found.data.get(key)) is str:
            yield f"{name} {found.get(key, str)}"


def _imported(folder: Path) -> Iterator[str]:
    """By the processes of the command."""
    try:
        processes = told.read(folder)
    except CannotLook:
        return
    for process in processes:
        yield from process.process().frameworks


def _cuda(asked: Document) -> Iterator[str]:
    """Of the recipe."""
    for name in ("cuda", "cudnn"):
        if version := _maybe(asked, name):
            yield f"{name} {version}"


def _maybe(asked: Document, key: str) -> str | None:
    """None where it is that, or the evidence is older than the key."""
    return asked.maybe(key, str) if key in asked.data else None


def _left(folder: Path, name: str) -> Document | None:
    try:
        return document(folder, name)
    except CannotLook:
        return None
