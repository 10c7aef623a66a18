"""compose/: each file is valid and closed to others, asks for what gpucheck asks for, and runs without a GPU."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gpucheck import containers, gpu_requests, recipes, verification
from gpucheck.payloads import parts

if TYPE_CHECKING:
    from docker import DockerClient

ROOT = Path(__file__).parents[2]
BOOK = recipes.load()
GIVEN = {"GPUCHECK_CIFAR10": "/tmp", "GPUCHECK_METRICS": "/tmp", "GRAFANA_PASSWORD": "given"}  # noqa: S108
FILES = [
    ("monitor",),
    *((name, *more) for name in ("verify", "notebook") for more in ((), ("cpu",), ("cdi",), ("data",))),
]
TOKEN = "JUPYTER_TOKEN"  # noqa: S105 - the variable's name
Compose = Callable[..., subprocess.CompletedProcess[str]]


def config(compose: Compose, *names: str, **given: str) -> dict[str, Any]:
    said = compose(names, "config", "--format", "json", **{**GIVEN, **given})
    assert said.returncode == 0, said.stderr
    read: dict[str, Any] = json.loads(said.stdout)
    return read


@pytest.mark.parametrize("names", FILES, ids="-".join)
def test_each_file_is_valid_and_closed(compose: Compose, names: tuple[str, ...]) -> None:
    for name, service in config(compose, *names)["services"].items():
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges"], name
        assert int(service["user"]) > 0, name
        assert re.search(r":v?\d+\.\d+", service["image"]), name
        assert all(port["host_ip"] == "127.0.0.1" for port in service.get("ports", ())), name
        for volume in service["volumes"]:
            assert volume["type"] == "volume" or volume["read_only"], name
            assert "docker.sock" not in volume["source"], name
        gpus = service.get("deploy", {}).get("resources", {}).get("reservations", {}).get("devices", [])
        assert bool(gpus) == (name == "work" and "cpu" not in names)


def test_cdi_replaces_the_other_request(compose: Compose) -> None:
    (asked,) = config(compose, "verify", "cdi")["services"]["work"]["deploy"]["resources"]["reservations"]["devices"]
    assert (asked["driver"], asked["device_ids"], asked.get("count")) == ("cdi", ["nvidia.com/gpu=all"], None)


def test_the_images_are_those_of_the_recipes(compose: Compose) -> None:
    assert config(compose, "verify")["services"]["work"]["image"] == BOOK["tensorflow-cuda12"].image_tag
    assert config(compose, "notebook")["services"]["work"]["image"] == BOOK["tensorflow-cuda12-notebook"].image_tag
    told = (ROOT / "compose" / "README.md").read_text()
    assert f"GPUCHECK_IMAGE={BOOK['tensorflow-cpu'].image_tag} " in told


@pytest.mark.parametrize(
    ("name", "missing"),
    [("monitor", "GRAFANA_PASSWORD"), ("monitor", "GPUCHECK_METRICS"), ("data", "GPUCHECK_CIFAR10")],
)
def test_what_has_no_default_is_asked_for(compose: Compose, name: str, missing: str) -> None:
    names = (name,) if name == "monitor" else ("verify", name)
    said = compose(names, "config", "--quiet", **{key: value for key, value in GIVEN.items() if key != missing})
    assert said.returncode != 0
    assert f"required variable {missing} is missing a value" in said.stderr


def test_no_token_and_no_password_is_in_a_file(compose: Compose) -> None:
    assert config(compose, "notebook")["services"]["work"]["environment"][TOKEN] is None
    given = config(compose, "notebook", **{TOKEN: "mine"})["services"]["work"]["environment"]
    assert given[TOKEN] == "mine"
    grafana = config(compose, "monitor")["services"]["grafana"]["environment"]
    assert grafana["GF_SECURITY_ADMIN_PASSWORD"] == GIVEN["GRAFANA_PASSWORD"]


def test_the_payload_is_told_what_gpucheck_tells_it(compose: Compose) -> None:
    work = config(compose, "verify")["services"]["work"]
    words = [*work["entrypoint"], *work["command"]]
    told = verification._arguments(verification.Wish(), "/home/gpucheck/evidence", None)
    assert words[1:3] == told[:2]
    parser = parts.parser("payloads.tensorflow")
    assert parser.parse_args(words[3:]) == parser.parse_args(told[2:])
    assert work["environment"] == {
        "PYTHONPATH": verification.INSIDE, "PYTHONUNBUFFERED": "1", "CUDA_CACHE_PATH": verification.CUDA_CACHE
    }  # fmt: skip


class Seen(Exception):
    pass


def essentials(inspected: dict[str, Any]) -> dict[str, Any]:
    host = inspected["HostConfig"]
    same = {name: host[name] for name in ("CapDrop", "SecurityOpt", "NetworkMode", "PidsLimit", "ShmSize")}
    gpus = [{name: value for name, value in request.items() if value} for request in host["DeviceRequests"]]
    restarts = host["RestartPolicy"]["Name"] in ("", "no")
    return {**same, "user": inspected["Config"]["User"], "log": host["LogConfig"]["Type"], "gpus": gpus,
            "restarts": restarts, "privileged": host["Privileged"]}  # fmt: skip


@pytest.mark.docker
def test_the_container_is_the_one_that_gpucheck_makes(
    engine: DockerClient, base: str, compose: Compose, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gpu_requests, "knows_cdi", lambda _info: False)  # then cdi.yaml is the one
    made: dict[str, Any] = {}

    def started(name: str) -> None:
        made.update(engine.api.inspect_container(name))
        raise Seen

    with pytest.raises(Seen):
        containers.run(base, ["true"], gpus=True, client=engine, started=started)
    try:
        said = compose(("verify",), "create", GPUCHECK_IMAGE=base)
        assert said.returncode == 0, said.stderr
        name = compose(("verify",), "ps", "--all", "--quiet", "work").stdout.strip()
        assert essentials(engine.api.inspect_container(name)) == essentials(made)
    finally:
        compose(("verify",), "down", "--volumes")
