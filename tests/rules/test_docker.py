"""The container engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpucheck.facts import Docker, Version
from gpucheck.model import Finding, Status
from tests.rules.literals import CONTAINER, SYSTEM

PASS, FAIL, SKIP, UNKNOWN = Status

DOCKER = Docker(
    client=Version("28.2.2"), server=Version("28.2.2"), product="docker", api=Version("1.50"), error=None,
    context="default", runtimes=("runc",), default_runtime="runc", cdi_spec_dirs=("/etc/cdi",), cdi_devices=(),
    cgroup_driver="systemd", storage_driver="overlay2", rootless=False, warnings=(),
)  # fmt: skip
NONE = replace(DOCKER, client=None, server=None, product=None, api=None)
DOWN = replace(DOCKER, server=None, error="Cannot connect to the Docker daemon at unix:///var/run/docker.sock")
DENIED = replace(DOCKER, server=None, error="permission denied while trying to connect to the Docker daemon socket")

CASES: list[tuple[str, tuple[Any, ...], Status, str]] = [
    ("docker.installed", (SYSTEM, DOCKER), PASS, "28.2.2"),
    ("docker.installed", (SYSTEM, NONE), FAIL, "no docker command"),
    ("docker.installed", (CONTAINER, NONE), SKIP, "host"),
    ("docker.reachable", (SYSTEM, DOCKER), PASS, "1.50"),
    ("docker.reachable", (SYSTEM, DOWN), FAIL, "Cannot connect"),
    ("docker.reachable", (SYSTEM, replace(DOWN, context="desktop-linux")), FAIL, "desktop-linux"),
    ("docker.reachable", (SYSTEM, replace(DOWN, context="rootless")), FAIL, "rootless"),
    ("docker.reachable", (SYSTEM, DENIED), FAIL, "may not"),
    ("docker.reachable", (CONTAINER, DOWN), SKIP, "host"),
]


@pytest.mark.parametrize(("rule", "facts", "status", "says"), CASES)
def test_rule(judged: Callable[..., Finding], rule: str, facts: tuple[Any, ...], status: Status, says: str) -> None:
    finding = judged(rule, *facts)
    assert finding.status is status, finding.message
    assert says in finding.message


@pytest.mark.parametrize(
    ("docker", "command"),
    [
        (DENIED, "usermod"),
        (DOWN, "sudo systemctl start docker"),
        (replace(DOWN, context="rootless"), "systemctl --user start docker"),
        (replace(DOWN, error="Cannot connect at unix:///run/user/1000/docker.sock"), "systemctl --user start docker"),
    ],
)
def test_no_permission_and_no_engine_have_different_remedies(
    judged: Callable[..., Finding], docker: Docker, command: str
) -> None:
    remedy = judged("docker.reachable", SYSTEM, docker).remedy
    assert remedy
    assert command in remedy.commands_for("debian")[0]


def test_rhel_has_a_docker_command_by_podman(judged: Callable[..., Finding]) -> None:
    remedy = judged("docker.installed", SYSTEM, NONE).remedy
    assert remedy
    assert "podman-docker" in remedy.commands_for("rhel")[0]
