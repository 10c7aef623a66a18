"""`build --check` on really built images: a whole one, and each kind of damage by its name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from gpucheck import containers, installed, recipes
from gpucheck.model import Failure

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = pytest.mark.docker
Make = Callable[..., recipes.Recipe]
Alter = Callable[[str], str]
SITE = "/opt/venv/lib/python3*/site-packages"


def rows(lock: str, *names: str) -> str:
    """Those packages of a lock of ours."""
    text = recipes.load()[lock].lock_path.read_text()
    return "".join(re.findall(rf"^(?:{'|'.join(names)})==.*\n(?:    --hash.*\n)+", text, re.MULTILINE))


@pytest.fixture
def recipe(small: Make) -> recipes.Recipe:
    return small("jax-cpu", lock=rows("jax-cpu", "absl-py", "opt-einsum"))


@pytest.fixture
def image(engine: DockerClient, base: str, recipe: recipes.Recipe) -> str:
    return containers.build(recipe, base=base, client=engine)


@pytest.fixture
def alter(engine: DockerClient, image: str) -> Iterator[Alter]:
    """The image after a shell's lines, as root."""
    made = []

    def run(lines: str) -> str:
        container = engine.containers.create(
            image,
            ["-ec", f"cd {SITE}\n{lines}"],
            entrypoint=["sh"],
            user="0",
            network_mode="none",
            labels={containers.LABEL: "run"},
        )
        try:
            container.start()
            assert container.wait()["StatusCode"] == 0, container.logs().decode()
            made.append(str(container.commit().id))
        finally:
            container.remove(force=True)
        return made[-1]

    yield run
    for one in made:
        engine.images.remove(one)


@pytest.mark.timeout(600)
def test_each_fault_of_an_image_is_named(
    engine: DockerClient, recipe: recipes.Recipe, image: str, alter: Alter, left: Callable[[], list[object]]
) -> None:
    whole = installed.check(image, recipe, engine)
    assert whole.problems == ()
    assert "compared with nothing" in whole.examined
    faults = {
        "echo '#' >> absl/flags/_flag.py": r"^absl/flags/_flag\.py is not as",
        "rm absl/app.py": r"^absl/app\.py is missing",
        "echo > evil.pth": r"^evil\.pth is in site-packages and in no RECORD",
        "mkdir evil-1.dist-info; cd evil-1.dist-info; echo Name: evil > METADATA; echo > RECORD":
            r"^evil 1 is installed, and the lock does not name it",
        "rm -r opt_einsum*": r"^opt-einsum \S+ is in the lock, and not installed",
        "echo >> /usr/share/gpucheck/lock.txt": r"lock\.txt is not the recipe's",
    }  # fmt: skip
    for lines, told in faults.items():
        problems = installed.check(alter(lines), recipe, engine).problems
        assert any(re.search(told, problem) for problem in problems), (lines, problems)
    assert left() == []


@pytest.mark.timeout(600)
def test_an_image_of_an_older_lock_is_named(engine: DockerClient, recipe: recipes.Recipe, image: str) -> None:
    recipe.lock_path.write_text(re.sub(r"absl-py==\S+", "absl-py==99.0", recipe.lock_path.read_text()))
    problems = installed.check(image, recipe, engine).problems
    assert "another lock.txt" in problems[0]
    assert any(re.match(r"absl-py \S+ is installed, and the lock has 99\.0", problem) for problem in problems)


def test_what_is_no_image_of_ours_cannot_be_examined(engine: DockerClient, recipe: recipes.Recipe, base: str) -> None:
    with pytest.raises(Failure):
        installed.check(base, recipe, engine)
    with pytest.raises(Failure, match="no image gpucheck/none:0"):
        installed.check("gpucheck/none:0", recipe, engine)
