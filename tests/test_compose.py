"""compose/, without an engine: dashboard and alerts ask for what is written, and gather.py reads a command line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

ROOT = Path(__file__).parents[1]
COMPOSE = ROOT / "compose"
BOARD = json.loads((COMPOSE / "monitor" / "dashboard.json").read_text())
ALERTS = yaml.safe_load((COMPOSE / "monitor" / "rules.yml").read_text())["groups"][0]["rules"]
ADDED = {"instance", "job", "alertname"}  # by Prometheus


@pytest.fixture
def written(gpucheck: Callable[..., tuple[int, str, str]]) -> dict[str, dict[str, set[str]]]:
    """Each metric of a recorded machine: its labels and their values."""
    recording = ROOT / "tests" / "machines" / "h100x8-gpu-lost" / "recording.json"
    found: dict[str, dict[str, set[str]]] = {}
    for family in text_string_to_metric_families(gpucheck("doctor", "--from", recording, "--format", "prometheus")[1]):
        for sample in family.samples:
            for label, value in sample.labels.items():
                found.setdefault(sample.name, {}).setdefault(label, set()).add(value)
    return found


def queries() -> Iterator[tuple[str, str]]:
    """Each expression, and the text that names labels of its result."""
    for panel in BOARD["panels"]:
        fields = [step["options"]["includeByName"] for step in panel.get("transformations", ())]
        columns = "".join(f"{{{{{name}}}}}" for names in fields for name in names)
        for target in panel["targets"]:
            yield target["expr"], target.get("legendFormat", "") + columns
    for alert in ALERTS:
        yield alert["expr"], " ".join(alert["annotations"].values())


@pytest.mark.parametrize(("expression", "text"), [*queries()])
def test_what_is_asked_for_is_written(written: dict[str, dict[str, set[str]]], expression: str, text: str) -> None:
    names = re.findall(r"\bgpucheck_\w+", expression)
    assert names
    for name in names:
        assert name in written
        asked = re.findall(r"(?:\{\{|\$labels\.)\s*([a-z]+)\b", text.replace("{{ $labels", "$labels"))
        assert set(asked) - ADDED <= set(written[name])
    for name, selector in re.findall(r"(\w+)\{([^}]*)\}", expression):
        for label, value in re.findall(r'(\w+)(?:=|=~|!=)"([^"]*)"', selector):
            assert label in written[name]
            assert value == "$host" or value in written[name][label], f"{label}={value}"


def test_every_figure_of_a_gpu_is_shown(written: dict[str, dict[str, set[str]]]) -> None:
    asked = " ".join(expression for expression, _ in queries())
    assert {name for name in written if name.startswith("gpucheck_") and name not in asked} == {"gpucheck_info"}


def test_the_variable_and_the_data_source_are_there(written: dict[str, dict[str, set[str]]]) -> None:
    (variable,) = BOARD["templating"]["list"]
    name, label = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["definition"]).groups()  # type: ignore[union-attr]
    assert label in written[name]
    (source,) = yaml.safe_load((COMPOSE / "monitor" / "datasource.yml").read_text())["datasources"]
    used = {target["datasource"]["uid"] for panel in BOARD["panels"] for target in panel["targets"]}
    assert used == {source["uid"]}
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])


def module(name: str) -> Any:
    spec = spec_from_loader(name, SourceFileLoader(name, str(COMPOSE / f"{name}.py")))
    assert spec
    assert spec.loader
    made = module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


def test_the_question_is_read_from_the_command_line() -> None:
    words = ["python", "-m", "payloads.keras", "--out", "/x", "--device", "gpu", "--device=cpu", "--no-control",
             "--batch-size", "64", "--backend", "jax"]  # fmt: skip
    container = {"Config": {"Entrypoint": words[:5], "Cmd": words[5:], "Image": "one:1"}}
    asked = module("gather").asked(container, {"Id": "sha256:1", "Config": {"Labels": {"io.gpucheck.recipe": "r"}}})
    assert (asked["framework"], asked["frameworks"], asked["device"]) == ("keras", ["keras", "jax"], "cpu")
    assert asked["options"] == {
        "device": "cpu", "devices": "1", "control": "False", "batch_size": "64", "backend": "jax", "framework": "keras",
        "image": "r",
    }  # fmt: skip
    assert (asked["image"], asked["image_id"], asked["recipe"]) == ("one:1", "sha256:1", "r")
