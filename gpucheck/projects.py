"""A first project that runs: its files by name, from the templates in data/project, and written all or none."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from string import Template
from typing import Any

from gpucheck import recipes
from gpucheck.model import Failure
from gpucheck.recipes import Recipe

TEMPLATES = Path(__file__).parent / "data" / "project"
FRAMEWORKS = {"tensorflow": "TensorFlow, with Keras", "pytorch": "PyTorch", "jax": "JAX"}
RUNS = {
    "compose": "in a container, by Docker Compose", "host": "on this machine itself",
    "ci": "on a runner of yours, by GitHub Actions",
}  # fmt: skip
KINDS = {"script": "train.py", "notebook": "train.ipynb"}
CELL = re.compile(r"^# %% (.+)\n", re.MULTILINE)
FOR_NOTEBOOKS = ("jupyterlab", "ipykernel", "nbclient")


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """What `gpucheck init` was asked for."""

    name: str
    framework: str
    runs: str
    kind: str

    @property
    def recipe(self) -> Recipe:
        """The first of the framework for GPUs, as `gpucheck build` would take it."""
        variant = "notebook" if (self.runs, self.kind) == ("compose", "notebook") else None
        return next(
            recipe for recipe in recipes.load().values()
            if (recipe.framework, recipe.device, recipe.variant) == (self.framework, "cuda", variant)
        )  # fmt: skip


def name_of(folder: Path) -> str:
    """What Compose may call the project that is in this folder."""
    return re.sub(r"[^a-z0-9]+", "-", folder.resolve().name.lower())[:60].strip("-") or "project"


def files(project: Project) -> dict[str, str]:
    """The text of each file by its path in the project."""
    return dict(_files(project))


def _files(project: Project) -> Iterator[tuple[str, str]]:
    train, recipe = KINDS[project.kind], project.recipe
    words = {
        "name": project.name, "framework": project.framework, "title": recipe.title, "recipe": recipe.name,
        "image": recipe.image_tag, "train": train, "where": RUNS[project.runs],
        "run": train if project.kind == "notebook" else f"python {train}",
    }  # fmt: skip
    steps = f"steps.compose.{project.kind}.md" if project.runs == "compose" else f"steps.{project.runs}.md"
    yield "README.md", _filled("README.md", {**words, "steps": _filled(steps, words).strip()})
    code = _template(f"train.{project.framework}.txt")
    yield train, code if project.kind == "script" else _notebook(code)
    yield ".gitignore", _template("gitignore.txt")
    if project.runs == "compose":
        yield "compose.yaml", _filled(f"compose.{project.kind}.yaml", words)
        yield "Dockerfile", _filled(f"Dockerfile.{project.kind}.txt", words)
        yield ".dockerignore", _filled("dockerignore.txt", words)
        return
    yield "requirements.txt", _filled("requirements.txt", {**words, "packages": "\n".join(_packages(project))})
    if project.runs == "ci":
        yield ".github/workflows/gpu.yaml", _filled("workflow.yaml", words)


def _packages(project: Project) -> Iterator[str]:
    """What the recipe's lock was made of; of a notebook also what runs it, without a version."""
    asked = project.recipe.lock_path.with_suffix(".in").read_text().splitlines()
    yield from (line for line in asked if line and not line.startswith("#"))
    yield from FOR_NOTEBOOKS if project.kind == "notebook" else ()


def _notebook(code: str) -> str:
    """The script's parts as cells, each under its title."""
    about, *parts = CELL.split(code)
    texts = [("markdown", about.strip().strip('"'))]
    for title, part in zip(parts[::2], parts[1::2], strict=True):
        texts += [("markdown", f"## {title}"), ("code", part.strip())]
    texts.append(("markdown", _template("last_cell.md").strip()))
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    cells = [_cell(*each) for each in texts]
    document = {"cells": cells, "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(document, indent=1) + "\n"


def _cell(kind: str, text: str) -> dict[str, Any]:
    code: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    name = hashlib.sha256(text.encode()).hexdigest()[:8]
    return {"cell_type": kind, "id": name, "metadata": {}, **code, "source": text.splitlines(keepends=True)}


def _template(name: str) -> str:
    return (TEMPLATES / name).read_text()


def _filled(name: str, words: Mapping[str, str]) -> str:
    return Template(_template(name)).substitute(words)


def in_the_way(folder: Path, texts: Mapping[str, str]) -> list[str]:
    """Names that are taken by something else than what would be written. Raises Failure where none can be."""
    taken = []
    for name, text in texts.items():
        for above in (folder, *(folder / parent for parent in PurePosixPath(name).parents)):
            if above.exists() and not above.is_dir():
                raise Failure(f"{above} is no folder", "give another folder")
        path = folder / name
        if path.is_dir() and not path.is_symlink():
            raise Failure(f"{path} is a folder, and a file of that name would be written", "give another folder")
        if (path.exists() or path.is_symlink()) and not _is(path, text):
            taken.append(name)
    return taken


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """All of them beside their places first, so that a full disk leaves everything as it was. Raises OSError."""
    made: list[Path] = []
    partial = {folder / name: folder / name for name in texts}
    try:
        for name, text in texts.items():
            path = folder / name
            made += [above for above in reversed((path.parent, *path.parent.parents)) if not above.exists()]
            path.parent.mkdir(parents=True, exist_ok=True)
            partial[path] = path.with_name(f".{path.name}.partial")
            partial[path].write_text(text)
        for path, whole in partial.items():
            whole.replace(path)
        made.clear()
    finally:
        for path, whole in partial.items():
            if whole != path:
                whole.unlink(missing_ok=True)
        for above in reversed(made):
            with suppress(OSError):  # not empty
                above.rmdir()


def _is(path: Path, text: str) -> bool:
    try:
        return path.read_bytes() == text.encode()
    except OSError:
        return False
