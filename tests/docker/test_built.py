"""The list of what gpucheck built, and its pruning, on a real engine: ours go, and nothing else."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

from gpucheck import building, built, containers, recipes
from gpucheck.facts import Version

if TYPE_CHECKING:
    from docker import DockerClient

pytestmark = pytest.mark.docker
Make = Callable[..., recipes.Recipe]
Derive = Callable[[str, str], str]
SMALL = """ARG BASE
FROM ${BASE}
ARG RECIPE
ARG FRAMEWORK_VERSION
ARG DIGEST
LABEL io.gpucheck.recipe=${RECIPE} io.gpucheck.framework-version=${FRAMEWORK_VERSION} io.gpucheck.digest=${DIGEST}
"""


@pytest.fixture(params=["buildkit", "classic"])
def builder(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Each of the engine's builders."""
    if request.param == "classic":
        monkeypatch.setattr(building, "BUILDKIT_API", Version("99"))
    return str(request.param)


@pytest.fixture
def derive(engine: DockerClient) -> Iterator[Derive]:
    """Somebody's own image of one of ours: its tag, and the line that it adds."""
    made: list[str] = []

    def build(tag: str, line: str) -> str:
        made.append(tag)
        file = io.BytesIO(f"FROM {tag.partition('-of-')[2].replace('_', ':')}\n{line}\n".encode())
        return str(engine.images.build(fileobj=file, tag=tag.partition("-of-")[0], rm=True)[0].id)

    yield build
    for tag in made:
        engine.images.remove(tag.partition("-of-")[0], force=True)


def ours(engine: DockerClient, *ids: str) -> dict[str, built.Built]:
    return {image.id: image for image in built.images(engine) if image.id in ids}


@pytest.mark.usefixtures("builder")
def test_what_was_built_is_listed_and_what_others_made_of_it_is_not(
    engine: DockerClient, base: str, small: Make, derive: Derive
) -> None:
    recipe = small("xgboost-cpu", dockerfile=SMALL)
    image = containers.build(recipe, base=base, plan="it was named", client=engine)
    others = [derive(f"test-mine-{number}-of-{recipe.image_tag.replace(':', '_')}", line)
              for number, line in enumerate(("RUN true", "LABEL of=mine"))]  # fmt: skip
    listed = ours(engine, image, *others)
    assert listed.keys() == {image}, engine.images.get(image).history()
    (found,) = listed.values()
    assert (found.tags, found.recipe, found.plan) == ((recipe.image_tag,), "xgboost-cpu", "it was named")
    assert found.created is not None
    assert found.size > 10**6
    assert built.up_to_date(found, {recipe.name: recipe}) is True


def test_old_builds_go_and_nothing_else(engine: DockerClient, base: str, small: Make) -> None:
    recipe = small("xgboost-cpu", dockerfile=SMALL)
    old = containers.build(recipe, base=base, client=engine)
    recipe.lock_path.write_text("# changed\n")
    new = containers.build(recipe, base=base, client=engine)
    assert old != new
    listed = ours(engine, old, new)
    assert (listed[old].tags, listed[new].tags) == ((), (recipe.image_tag,))
    assert built.going(listed.values(), tagged=False) == (listed[old],)
    container = engine.containers.create(old, ["true"], labels={containers.LABEL: "run"})
    try:
        assert built.going(ours(engine, old, new).values(), tagged=False) == ()
        assert built.remove(listed[old], engine), "it has a container since it was listed"
    finally:
        container.remove()
    assert built.remove(listed[old], engine) is None
    assert built.remove(listed[old], engine) is None, "somebody else was quicker"
    assert ours(engine, old, new).keys() == {new}
    engine.images.get(base)


def test_a_name_that_somebody_gave_it_stays(engine: DockerClient, base: str, small: Make) -> None:
    recipe = small("xgboost-cpu", dockerfile=SMALL)
    image = containers.build(recipe, base=base, client=engine)
    engine.images.get(image).tag("test-mine", "1")
    try:
        found = ours(engine, image)[image]
        assert found.also == ("test-mine:1",)
        assert built.remove(found, engine) is None
        assert engine.images.get("test-mine:1").tags == ["test-mine:1"]
        assert ours(engine, image) == {}
    finally:
        engine.images.remove("test-mine:1")
