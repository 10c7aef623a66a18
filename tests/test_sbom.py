"""The bills of materials beside the locks: valid CycloneDX, and what the locks say."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from gpucheck import locks, recipes

SCRIPT = Path(__file__).parents[1] / "scripts" / "sbom"
RECIPES = {recipe.lock: recipe for recipe in recipes.load().values()}


@pytest.fixture(params=RECIPES.values(), ids=list(RECIPES))
def recipe(request: pytest.FixtureRequest) -> recipes.Recipe:
    found: recipes.Recipe = request.param
    return found


def document(recipe: recipes.Recipe) -> dict[str, Any]:
    read: dict[str, Any] = json.loads(recipe.sbom_path.read_text())
    return read


def test_none_is_older_than_its_lock() -> None:
    ended = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, ""), ended.stderr


def test_it_is_what_the_standard_says(recipe: recipes.Recipe) -> None:
    fault = JsonStrictValidator(SchemaVersion.V1_6).validate_str(recipe.sbom_path.read_text())
    assert fault is None, str(fault.data.message)  # the whole of it is the whole schema


def test_it_holds_what_the_lock_installs(recipe: recipes.Recipe) -> None:
    bill, lock = document(recipe), recipe.lock_path.read_bytes()
    pins = locks.installs_on_linux(locks.read(lock.decode()), recipe.python)
    assert [(row["name"], row["version"]) for row in bill["components"]] == [(p.name, p.version) for p in pins.values()]
    for row in bill["components"]:
        (files,) = row["externalReferences"]
        assert files["type"] == "distribution"
        assert {(digest["alg"], digest["content"]) for digest in files["hashes"]} == {
            ("SHA-256", digest) for digest in pins[row["name"]].hashes
        }
    properties = {row["name"]: row["value"] for row in bill["metadata"]["component"]["properties"]}
    assert properties["io.gpucheck.lock-sha256"] == hashlib.sha256(lock).hexdigest()


def test_everything_is_reached_from_its_top(recipe: recipes.Recipe) -> None:
    bill = document(recipe)
    needs = {row["ref"]: row.get("dependsOn", []) for row in bill["dependencies"]}
    seen: set[str] = set()
    todo = [bill["metadata"]["component"]["bom-ref"]]
    while todo:
        ref = todo.pop()
        if ref not in seen:
            seen.add(ref)
            todo += needs[ref]
    assert seen == {row["bom-ref"] for row in bill["components"]} | {bill["metadata"]["component"]["bom-ref"]}


def test_it_names_no_time_and_no_place(recipe: recipes.Recipe) -> None:
    bill = document(recipe)
    assert "timestamp" not in bill["metadata"]
    urls = [reference["url"] for row in bill["components"] for reference in row["externalReferences"]]
    assert all(url.startswith("pkg:pypi/") for url in urls)


def test_one_that_is_older_than_its_lock_is_named_and_written_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = spec_from_loader("sbom", SourceFileLoader("sbom", str(SCRIPT)))
    assert spec
    assert spec.loader
    sbom = module_from_spec(spec)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    spec.loader.exec_module(sbom)
    lock, stray = tmp_path / "lock.txt", tmp_path / "gone.txt.cdx.json"
    lock.write_text(f"a==1 \\\n    --hash=sha256:{'0' * 64}\n    # via -r lock.in\n")
    monkeypatch.setattr(sbom, "wanted", lambda: {lock: "3.12"})
    monkeypatch.setattr(recipes, "IMAGES", tmp_path)
    monkeypatch.setattr(sys, "argv", ["sbom"])
    assert sbom.main() == 0
    first = (tmp_path / "lock.txt.cdx.json").read_bytes()
    lock.write_text(f"a==2 \\\n    --hash=sha256:{'0' * 64}\n    # via -r lock.in\n")
    stray.write_text("")
    capsys.readouterr()
    monkeypatch.setattr(sys, "argv", ["sbom", "--check"])
    assert sbom.main() == 1
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [f"{lock.name}.cdx.json", stray.name]
    monkeypatch.setattr(sys, "argv", ["sbom"])
    assert sbom.main() == 0
    assert (tmp_path / "lock.txt.cdx.json").read_bytes() != first
    assert not stray.exists()
