"""The recipes of images/recipes.toml: one row, one image."""

from __future__ import annotations

import difflib
import hashlib
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from datetime import date
from pathlib import Path
from typing import Any

from gpucheck.facts import Version
from gpucheck.model import Failure

_PACKAGE = Path(__file__).parent
IMAGES = next(folder for folder in (_PACKAGE / "images", _PACKAGE.parent / "images") if folder.is_dir())
TITLES = {
    "tensorflow": "TensorFlow", "pytorch": "PyTorch", "torch": "PyTorch", "jax": "JAX", "keras": "Keras",
    "xgboost": "XGBoost",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """One row. cuda, cudnn, min_driver and compute_capabilities are None where device is "cpu"; cudnn also where the
    framework uses none."""

    name: str
    framework: str
    version: str
    device: str  # "cpu" or "cuda"
    python: str  # of the base
    pythons: tuple[str, ...]  # that the lock has wheels for
    base: str
    dockerfile: str  # in the images folder, as lock is
    lock: str
    source: str
    checked: date
    cuda: str | None = None
    cudnn: str | None = None
    min_driver: Version | None = None
    compute_capabilities: tuple[Version, Version] | None = None  # from the first up to, not including, the second
    backend: str | None = None  # Keras's
    variant: str | None = None  # "notebook": JupyterLab beside the framework
    download: int | None = None  # MB of all wheels, and in `installed` what they unpack to; None: nobody measured
    installed: int | None = None
    hint: str | None = None  # what to do where pip finds no such wheel
    folder: Path = IMAGES

    @property
    def image_tag(self) -> str:
        what = [self.version, self.backend, f"cuda{self.cuda}" if self.cuda else self.device, self.variant]
        return f"gpucheck/{self.framework}:{'-'.join(filter(None, what))}"

    @property
    def title(self) -> str:
        """ "PyTorch 2.15.0", "Keras 3.15.1 on JAX"."""
        on = f" on {TITLES.get(self.backend, self.backend)}" if self.backend else ""
        return f"{TITLES.get(self.framework, self.framework)} {self.version}{on}"

    @property
    def lock_path(self) -> Path:
        return self.folder / self.lock

    @property
    def lock_sha256(self) -> str:
        return hashlib.sha256(self.lock_path.read_bytes()).hexdigest()

    @property
    def sbom_path(self) -> Path:
        """The CycloneDX list of what the lock installs."""
        return self.folder / f"{self.lock}.cdx.json"

    @property
    def files(self) -> dict[str, Path]:
        """What a build reads, by its path in the images folder: the Dockerfile and all beside it, lock and SBOM."""
        beside = (self.folder / self.dockerfile).parent.iterdir()
        paths = [path for path in (self.lock_path, self.sbom_path, *beside) if path.is_file()]
        return {path.relative_to(self.folder).as_posix(): path for path in sorted(set(paths))}

    def fits(self, capability: Version) -> bool:
        """Whether the image has machine code for GPUs of this compute capability."""
        if self.compute_capabilities is None:
            return False
        low, below = self.compute_capabilities
        return low <= capability < below

    @property
    def arguments(self) -> dict[str, str]:
        """The Dockerfile's build arguments that follow from the row; the base and the host's settings are not here."""
        given = {
            "RECIPE": self.name, "FRAMEWORK": self.framework, "FRAMEWORK_VERSION": self.version, "DEVICE": self.device,
            "LOCK": self.lock, "CUDA": self.cuda, "CUDNN": self.cudnn, "MIN_DRIVER": self.min_driver,
            "BACKEND": self.backend, "VARIANT": self.variant,
            "LOCK_SHA256": self.lock_sha256,
        }  # fmt: skip
        return {name: str(value) for name, value in given.items() if value is not None}

    @property
    def digest(self) -> str:
        """sha256 of all that makes the image, save the base: an image with another digest is out of date."""
        whole = hashlib.sha256()
        for name, path in self.files.items():
            whole.update(f"\0{name}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
        for name, value in sorted(self.arguments.items()):
            whole.update(f"\0{name}={value}".encode())
        return whole.hexdigest()


def load(folder: Path = IMAGES) -> dict[str, Recipe]:
    """The recipes by name, in the file's order. Raises ValueError where a row is not as it must be."""
    recipes: list[Recipe] = []
    rows: dict[str, dict[str, Any]] = {}
    for row in tomllib.loads((folder / "recipes.toml").read_text())["recipe"]:
        like = row.pop("like", None)
        if like is not None and like not in rows:
            raise ValueError(f"recipes.toml: {row.get('name')}: there is no recipe {like!r} before it")
        other = rows.get(like, {})
        sizes = {"download", "installed"} if "lock" in row else set()  # of another lock they are others
        whole = {name: value for name, value in other.items() if name not in sizes} | row
        recipes.append(_recipe(whole, folder))
        rows[whole["name"]] = whole
    book = {recipe.name: recipe for recipe in recipes}
    if len(book) != len(recipes):
        raise ValueError("recipes.toml: two recipes have the same name")
    return book


def told(recipe: Recipe | None) -> dict[str, str | None]:
    """What the evidence of a run says of the recipe that was asked for."""
    names = ("name", "lock_sha256", "cuda", "cudnn")
    name, lock, cuda, cudnn = (getattr(recipe, name) if recipe else None for name in names)
    return {"recipe": name, "lock_sha256": lock, "cuda": cuda, "cudnn": cudnn}


def find(book: Mapping[str, Recipe], name: str) -> Recipe:
    """The recipe of that name. Raises Failure, which suggests the nearest."""
    if name in book:
        return book[name]
    near = difflib.get_close_matches(name, book, n=1, cutoff=0.4)
    tip = f"did you mean {near[0]}?" if near else "`gpucheck build --list` shows them"
    raise Failure(f"no recipe is called {name!r}: there are {', '.join(book)}", tip)


def foreign(book: Mapping[str, Recipe], name: str) -> str | None:
    """`name` where it is anybody's image: with a tag, a digest or a path. None where it is, or should be, a recipe."""
    return name if name not in book and any(mark in name for mark in ":/@") else None


def _recipe(row: Mapping[str, Any], folder: Path) -> Recipe:
    where = f"recipes.toml: {row.get('name', 'a recipe without a name')}"
    known = {field.name: field for field in fields(Recipe) if field.name != "folder"}
    missing = {name for name, field in known.items() if field.default is MISSING} - row.keys()
    if missing or row.keys() - known.keys():
        raise ValueError(f"{where}: missing {sorted(missing)}, unknown {sorted(row.keys() - known.keys())}")
    wanted: dict[str, type] = {
        "pythons": list, "checked": date, "compute_capabilities": dict, "download": int, "installed": int
    }  # fmt: skip
    for name, value in row.items():
        if type(value) is not wanted.get(name, str):
            raise ValueError(f"{where}: {name} is {value!r}")
    cuda_only = {"cuda", "min_driver", "compute_capabilities"}
    given = row.keys() & (cuda_only | {"cudnn"})
    if not {"cpu": not given, "cuda": given >= cuda_only}.get(row["device"], False):
        raise ValueError(f"{where}: device is {row['device']!r}, and cuda alone has {', '.join(sorted(cuda_only))}")
    if (row["framework"] == "keras") != ("backend" in row):
        raise ValueError(f"{where}: keras alone has a backend")
    for path in (row["dockerfile"], row["lock"]):
        if not (folder / path).is_file():
            raise ValueError(f"{where}: {path} is not there")
    columns: dict[str, Any] = {**row, "pythons": tuple(row["pythons"]), "folder": folder}
    if row["device"] == "cuda":
        capabilities = row["compute_capabilities"]
        if capabilities.keys() != {"min", "below"}:
            raise ValueError(f"{where}: compute_capabilities has min and below")
        columns["min_driver"] = Version(row["min_driver"])
        columns["compute_capabilities"] = (Version(capabilities["min"]), Version(capabilities["below"]))
    return Recipe(**columns)
