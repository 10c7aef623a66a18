"""The container engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpucheck.facts import ContainerToolkit, Docker, Dockerd, User, Version
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
STOPPED = Dockerd(
    started=None, rootless_started=None, config=None, unit="docker.service", state="inactive", hook_changed=None,
    cdi_hook_changed=None, toolkit_born=None, daemon_json_written=None,
)  # fmt: skip
TORN = ContainerToolkit(version=None, hook=False, daemon_json=(), daemon_json_error="not JSON (line 4)", cdi_specs=())
HERE = replace(DOCKER, kernel=SYSTEM.kernel)
DESKTOP = replace(DOCKER, system="Docker Desktop", kernel="6.10.14-linuxkit", context="desktop-linux")
PODMAN = replace(DOCKER, product="podman", server=Version("5.4.2"))
SNAP = replace(STOPPED, unit="snap.docker.dockerd.service")


def state(name: str) -> Dockerd:
    return replace(STOPPED, state=name)


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
    ("docker.reachable", (SYSTEM, DOWN, STOPPED), FAIL, "docker.service is inactive"),
    ("docker.reachable", (SYSTEM, DOWN, state("failed"), TORN), FAIL, "daemon.json: not JSON (line 4)"),
    ("docker.reachable", (SYSTEM, DOWN, state("masked")), FAIL, "masked"),
    ("docker.reachable", (SYSTEM, DOWN, state("active")), FAIL, "does not answer there"),
    ("docker.reachable", (SYSTEM, DOWN, state("not-found")), FAIL, "only Docker's client"),
    ("docker.reachable", (SYSTEM, DOWN, SNAP), FAIL, "the snap docker is inactive"),
    ("docker.reachable", (SYSTEM, replace(DOWN, error="Cannot connect at tcp://host:2375")), FAIL, "DOCKER_HOST"),
    ("docker.reachable", (SYSTEM, replace(DOWN, error="Docker Desktop's WSL integration is off")), FAIL, "WSL"),
    ("docker.same-kernel", (SYSTEM, HERE), PASS, "6.1.0-30-amd64"),
    ("docker.same-kernel", (SYSTEM, DESKTOP), FAIL, "linuxkit"),
    ("docker.same-kernel", (SYSTEM, replace(HERE, kernel="6.8.0", context="server")), FAIL, "context server"),
    ("docker.same-kernel", (SYSTEM, DOCKER), UNKNOWN, "kernel"),
    ("docker.same-kernel", (SYSTEM, DOWN), SKIP, "no engine"),
    ("docker.same-kernel", (CONTAINER, HERE), SKIP, "host"),
    ("docker.podman-obeys-gpus", (SYSTEM, PODMAN), PASS, "5.4.2"),
    ("docker.podman-obeys-gpus", (SYSTEM, replace(PODMAN, server=Version("5.3.2"))), FAIL, "5.4 obeys"),
    ("docker.podman-obeys-gpus", (SYSTEM, replace(PODMAN, server=Version("4.9.3"))), FAIL, "ignores --gpus"),
    ("docker.podman-obeys-gpus", (SYSTEM, DOCKER), SKIP, "not Podman"),
    ("docker.podman-obeys-gpus", (CONTAINER, PODMAN), SKIP, "host"),
    ("docker.layers-shared", (SYSTEM, DOCKER), PASS, "overlay2"),
    ("docker.layers-shared", (SYSTEM, replace(DOCKER, storage_driver="vfs")), FAIL, "vfs"),
    ("docker.layers-shared", (SYSTEM, replace(DOCKER, storage_driver=None)), SKIP, "no engine"),
    ("docker.layers-shared", (CONTAINER, DOCKER), SKIP, "host"),
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
        (DOWN, "sudo systemctl enable --now docker"),
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


@pytest.mark.parametrize(
    ("facts", "command"),
    [
        ((DENIED, User(uid=1000, groups=("user", "docker"))), "ls -l /var/run/docker.sock"),
        ((DENIED, User(uid=1000, groups=("user",))), "usermod"),
        ((DOWN, state("failed")), "systemctl status"),
        ((DOWN, state("masked")), "unmask"),
        ((DOWN, state("not-found")), "apt-get update"),
        ((DOWN, SNAP), "snap start"),
        ((replace(DOWN, context="desktop-linux"),), "docker-desktop"),
        ((replace(DOWN, context="server"),), "--context default"),
    ],
)
def test_each_way_not_to_answer_has_its_own_remedy(
    judged: Callable[..., Finding], facts: tuple[Any, ...], command: str
) -> None:
    remedy = judged("docker.reachable", SYSTEM, *facts).remedy
    assert remedy
    assert command in remedy.commands_for("debian")[0]


def test_docker_desktop_gives_way_to_the_engine_of_this_machine(judged: Callable[..., Finding]) -> None:
    remedy = judged("docker.same-kernel", SYSTEM, DESKTOP).remedy
    assert remedy
    assert remedy.commands_for("debian")[0] == "docker context use default"
    assert remedy.check == "docker --context default version"


def test_rhel_has_a_docker_command_by_podman(judged: Callable[..., Finding]) -> None:
    remedy = judged("docker.installed", SYSTEM, NONE).remedy
    assert remedy
    assert "podman-docker" in remedy.commands_for("rhel")[0]


def test_amazon_linux_has_docker_and_no_podman(judged: Callable[..., Finding]) -> None:
    """amazonlinux/amazon-linux-2023 issue 67."""
    remedy = judged("docker.installed", replace(SYSTEM, os_family="rhel", os_id="amzn"), NONE).remedy
    assert remedy
    assert remedy.commands_for("rhel")[0] == "sudo dnf install -y docker"
