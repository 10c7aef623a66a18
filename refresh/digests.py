"""The digests of base images, as a registry tells them through the Docker engine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gpucheck import containers, recipes
from gpucheck.model import Failure


def lines() -> Iterator[str]:
    """For each base of images/recipes.toml without a digest the line to put in its place. Raises Failure."""
    import docker.errors

    bases = sorted({recipe.base for recipe in recipes.load().values() if "@" not in recipe.base})
    engine = containers.connect()
    ask: Any = engine.api.inspect_distribution
    try:
        for base in bases:
            told = ask(base)
            yield f'base = "{base}@{told["Descriptor"]["digest"]}"\n'
    except docker.errors.APIError as error:
        raise Failure(
            f"the engine was told no digest of {base}: {error.explanation}",
            "run it on a machine whose engine reaches that registry; a mirror is set in the engine's daemon.json", 1,
        ) from error  # fmt: skip
    finally:
        engine.close()
