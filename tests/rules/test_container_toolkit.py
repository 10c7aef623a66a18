"""How GPUs reach a container."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpucheck.facts import CdiSpec, ContainerToolkit, Docker, Driver, Version
from gpucheck.model import Finding, Status
from tests.rules.literals import CONTAINER, SYSTEM, UVM

PASS, FAIL, SKIP, UNKNOWN = Status

DOCKER = Docker(
    client=Version("27.0"), server=Version("27.0"), product="docker", api=Version("1.46"), error=None,
    context="default", runtimes=("runc",), default_runtime="runc", cdi_spec_dirs=(), cdi_devices=(),
    cgroup_driver="systemd", storage_driver="overlay2", rootless=False, warnings=(),
)  # fmt: skip
SPEC = CdiSpec(
    path="/etc/cdi/nvidia.yaml", error=None, version="0.6.0", kind="nvidia.com/gpu", devices=("0", "all"),
    missing_paths=(), driver_version=Version("570.124.06"), device_nodes=(),
)  # fmt: skip
TORN = replace(SPEC, path="/etc/cdi/intel.yaml", kind=None, error="not YAML (line 3)")
TOOLKIT = ContainerToolkit(version=Version("1.17.8"), hook=False, daemon_json=(), daemon_json_error=None, cdi_specs=())
NONE = replace(TOOLKIT, version=None)
DRIVER = Driver(version=Version("570.124.06"), open_module=True, libraries=(), devices=(UVM,))


def with_spec(**fields: Any) -> ContainerToolkit:
    return replace(TOOLKIT, cdi_specs=(replace(SPEC, **fields),))


CASES: list[tuple[str, tuple[Any, ...], Status, str]] = [
    ("container_toolkit.installed", (SYSTEM, TOOLKIT), PASS, "1.17.8"),
    ("container_toolkit.installed", (SYSTEM, replace(NONE, hook=True)), PASS, "hook"),
    ("container_toolkit.installed", (SYSTEM, replace(NONE, cdi_specs=(SPEC,))), PASS, "/etc/cdi/nvidia.yaml"),
    ("container_toolkit.installed", (SYSTEM, NONE), FAIL, "neither"),
    ("container_toolkit.installed", (CONTAINER, NONE), SKIP, "host"),
    (
        "container_toolkit.gpus-injectable",
        (SYSTEM, replace(DOCKER, runtimes=("nvidia", "runc")), TOOLKIT),
        PASS,
        "runtime",
    ),
    # dockerd looks for the hook when it starts, in its own PATH.
    ("container_toolkit.gpus-injectable", (SYSTEM, DOCKER, replace(TOOLKIT, hook=True)), UNKNOWN, "restart Docker"),
    (
        "container_toolkit.gpus-injectable",
        (SYSTEM, replace(DOCKER, runtimes=("nvidia", "runc")), replace(TOOLKIT, hook=True)),
        PASS,
        "runtime",
    ),
    (
        "container_toolkit.gpus-injectable",
        (SYSTEM, replace(DOCKER, cdi_devices=("amd.com/gpu=0", "nvidia.com/gpu=all")), TOOLKIT),
        PASS,
        "nvidia.com/gpu=all",
    ),
    (
        "container_toolkit.gpus-injectable",
        (SYSTEM, replace(DOCKER, server=Version("28.2.0"), api=Version("1.50")), with_spec()),
        FAIL,
        "/etc/cdi/nvidia.yaml is here, not read by it",
    ),
    # Before 28.2 Docker reads no CDI spec unless told to.
    (
        "container_toolkit.gpus-injectable",
        (SYSTEM, replace(DOCKER, server=Version("28.1.1")), with_spec()),
        FAIL,
        "runc",
    ),
    (
        "container_toolkit.gpus-injectable",
        (SYSTEM, DOCKER, replace(TOOLKIT, daemon_json=("nvidia",))),
        FAIL,
        "daemon.json",
    ),
    (
        "container_toolkit.gpus-injectable",
        (SYSTEM, DOCKER, replace(TOOLKIT, daemon_json_error="not JSON")),
        FAIL,
        "not JSON",
    ),
    ("container_toolkit.gpus-injectable", (SYSTEM, replace(DOCKER, product="podman"), with_spec()), PASS, "CDI"),
    ("container_toolkit.gpus-injectable", (SYSTEM, replace(DOCKER, product="podman"), TOOLKIT), FAIL, "Podman"),
    (
        "container_toolkit.gpus-injectable",
        (SYSTEM, replace(DOCKER, product="podman"), with_spec(error="not YAML", kind=None)),
        FAIL,
        "Podman",
    ),
    ("container_toolkit.gpus-injectable", (SYSTEM, replace(DOCKER, rootless=True), TOOLKIT), FAIL, "runc"),
    ("container_toolkit.gpus-injectable", (CONTAINER, DOCKER, TOOLKIT), SKIP, "host"),
    ("container_toolkit.cdi-fresh", (SYSTEM, with_spec(), DRIVER), PASS, "570.124.06"),
    (
        "container_toolkit.cdi-fresh",
        (SYSTEM, with_spec(driver_version=Version("550.54.14")), DRIVER),
        FAIL,
        "550.54.14",
    ),
    (
        "container_toolkit.cdi-fresh",
        (SYSTEM, with_spec(missing_paths=("/usr/bin/nvidia-smi",)), DRIVER),
        FAIL,
        "/usr/bin/nvidia-smi",
    ),
    # nvidia-smi works with such a spec, and cuInit fails with 999.
    (
        "container_toolkit.cdi-fresh",
        (SYSTEM, with_spec(device_nodes=(replace(UVM, major=510),)), DRIVER),
        FAIL,
        "510:0",
    ),
    ("container_toolkit.cdi-fresh", (SYSTEM, with_spec(device_nodes=(UVM,)), DRIVER), PASS, "1 CDI spec"),
    ("container_toolkit.cdi-fresh", (SYSTEM, with_spec(error="not YAML (line 3)", kind=None), DRIVER), FAIL, "line 3"),
    ("container_toolkit.cdi-fresh", (SYSTEM, with_spec(kind="amd.com/gpu"), DRIVER), SKIP, "no CDI spec"),
    # Another vendor's torn spec is none of ours.
    (
        "container_toolkit.cdi-fresh",
        (SYSTEM, replace(TOOLKIT, cdi_specs=(TORN, SPEC)), DRIVER),
        PASS,
        "1 CDI spec",
    ),
    ("container_toolkit.cdi-fresh", (CONTAINER, with_spec(), DRIVER), SKIP, "host"),
]


@pytest.mark.parametrize(("rule", "facts", "status", "says"), CASES)
def test_rule(judged: Callable[..., Finding], rule: str, facts: tuple[Any, ...], status: Status, says: str) -> None:
    finding = judged(rule, *facts)
    assert finding.status is status, finding.message
    assert says in finding.message


def test_a_spec_is_written_again_only_where_the_tool_is(judged: Callable[..., Finding]) -> None:
    old = with_spec(driver_version=Version("550.54.14"))
    with_tool, without = (
        judged("container_toolkit.cdi-fresh", SYSTEM, toolkit, DRIVER).remedy
        for toolkit in (old, replace(old, version=None))
    )
    assert with_tool
    assert without
    assert "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml" in with_tool.commands_for("debian")[0]
    assert without.commands_for("debian") == ()


def test_a_toolkit_that_left_its_spec_behind_is_installed_again(judged: Callable[..., Finding]) -> None:
    left = replace(with_spec(missing_paths=("/usr/bin/nvidia-cdi-hook",)), version=None)
    remedy = judged("container_toolkit.cdi-fresh", SYSTEM, left, DRIVER).remedy
    assert remedy
    *install, generate = remedy.commands_for("debian")
    assert install[-1] == "sudo apt-get install -y nvidia-container-toolkit"
    assert generate == "sudo nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml"


@pytest.mark.parametrize(("docker", "restarted"), [(DOCKER, True), (None, False)])
def test_a_toolkit_is_registered_with_a_docker_at_work(
    judged: Callable[..., Finding], docker: Docker | None, restarted: bool
) -> None:
    remedy = judged("container_toolkit.installed", SYSTEM, NONE, *([docker] if docker else [])).remedy
    assert remedy
    assert ("sudo systemctl restart docker" in remedy.commands_for("debian")) is restarted
    assert remedy.impact == ("service" if restarted else "none")


def test_a_spec_that_cannot_be_read_is_looked_at_and_not_overwritten(judged: Callable[..., Finding]) -> None:
    torn = with_spec(path="/etc/cdi/my nvidia.yaml", error="not YAML (line 3)", kind=None)
    remedy = judged("container_toolkit.cdi-fresh", SYSTEM, torn, DRIVER).remedy
    assert remedy
    commands = " ".join(remedy.commands_for("debian"))
    assert "'/etc/cdi/my nvidia.yaml'" in commands
    assert "--output" not in commands


@pytest.mark.parametrize(
    ("rootless", "command"), [(False, "sudo systemctl restart"), (True, "systemctl --user restart")]
)
def test_the_engine_that_runs_is_the_one_configured(
    judged: Callable[..., Finding], rootless: bool, command: str
) -> None:
    docker = replace(DOCKER, rootless=rootless)
    remedy = judged("container_toolkit.gpus-injectable", SYSTEM, docker, TOOLKIT).remedy
    assert remedy
    assert any(line.startswith(command) for line in remedy.commands_for("debian"))


def test_the_toolkit_is_fetched_with_programs_that_are_installed_first(judged: Callable[..., Finding]) -> None:
    remedy = judged("container_toolkit.installed", SYSTEM, NONE).remedy
    assert remedy
    assert "curl gnupg" in remedy.commands_for("debian")[0]
