"""What an engine makes of the toolkit, of CDI specs, of cgroups and of SELinux."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from gpucheck.facts import CdiSpec, ContainerToolkit, Docker, Dockerd, Selinux, Version
from gpucheck.model import Finding, Status
from gpucheck.rules import engines
from tests.rules.literals import CONTAINER, CTL, DRIVER, GPU0, SYSTEM, UVM, WSL

PASS, FAIL, SKIP, UNKNOWN = Status

DOCKER = Docker(
    client=Version("26.1.4"), server=Version("26.1.4"), product="docker", api=Version("1.45"), error=None,
    context="default", runtimes=("runc",), default_runtime="runc", cdi_spec_dirs=(), cdi_devices=(),
    cgroup_driver="systemd", storage_driver="overlay2", rootless=False, warnings=(), cgroups=2,
)  # fmt: skip
NEW = replace(
    DOCKER, server=Version("29.2.1"), cdi_spec_dirs=("/etc/cdi", "/run/cdi"), cdi_devices=("nvidia.com/gpu=all",)
)
NEW_25 = replace(NEW, server=Version("25.0.5"), cdi_devices=())
PODMAN = replace(DOCKER, product="podman", server=Version("5.4.2"), rootless=True)
PODMAN_4 = replace(PODMAN, server=Version("4.9.3"))
ROOTLESS = replace(DOCKER, rootless=True)
REGISTERED = replace(DOCKER, runtimes=("nvidia", "runc"))
DEFAULT = replace(REGISTERED, default_runtime="nvidia")
SNAP = replace(DOCKER, snap=True)
DESKTOP = replace(DOCKER, system="Docker Desktop")
DOWN = replace(DOCKER, server=None, error="Cannot connect")

SPEC = CdiSpec(
    path="/etc/cdi/nvidia.yaml", error=None, version="0.5.0", kind="nvidia.com/gpu", devices=("0", "all"),
    missing_paths=(), driver_version=Version("570.124.06"), device_nodes=(),
)  # fmt: skip
RUN = replace(SPEC, path="/var/run/cdi/nvidia.yaml")
TOOLKIT = ContainerToolkit(version=Version("1.17.8"), hook=False, daemon_json=(), daemon_json_error=None, cdi_specs=())
HOOK = replace(TOOLKIT, hook=True)

BEFORE, STARTED, AFTER = 100, 200, 300
DOCKERD = Dockerd(
    started=STARTED, rootless_started=None, config=None, unit=None, state=None, hook_changed=BEFORE,
    cdi_hook_changed=BEFORE, toolkit_born=BEFORE, daemon_json_written=BEFORE,
)  # fmt: skip
LATER = replace(DOCKERD, hook_changed=AFTER, cdi_hook_changed=AFTER, toolkit_born=AFTER)
NEITHER = replace(DOCKERD, hook_changed=None, cdi_hook_changed=None, toolkit_born=None)
ENFORCING = Selinux(enforcing=True, devices_allowed=False)
LABELLED = replace(PODMAN, selinux=True)
ALLOWED, PERMISSIVE = replace(ENFORCING, devices_allowed=True), replace(ENFORCING, enforcing=False)
GPU1 = replace(GPU0, path="/dev/nvidia1", minor=1)
TWO = replace(DRIVER, devices=(CTL, GPU0, GPU1, UVM))
SMALL = replace(CONTAINER, shm_bytes=64 * 2**20)


def with_specs(*specs: CdiSpec, hook: bool = False) -> ContainerToolkit:
    return replace(TOOLKIT, cdi_specs=specs, hook=hook)


def no_cgroups(value: bool | None, version: str = "1.17.8") -> ContainerToolkit:
    return replace(HOOK, no_cgroups=value, version=Version(version))


CASES: list[tuple[str, tuple[Any, ...], Status, str]] = [
    ("container_toolkit.installed", (WSL, DESKTOP, replace(TOOLKIT, version=None)), SKIP, "of its own"),
    ("container_toolkit.installed", (SYSTEM, SNAP, replace(TOOLKIT, version=None)), SKIP, "snap"),
    # --- gpus-injectable ---
    ("container_toolkit.gpus-injectable", (SYSTEM, DOCKER, HOOK, DOCKERD), PASS, "when the engine started"),
    ("container_toolkit.gpus-injectable", (SYSTEM, DOCKER, HOOK, LATER), FAIL, "after the engine started"),
    # Upgraded since: it was there, another version of it.
    ("container_toolkit.gpus-injectable", (SYSTEM, DOCKER, HOOK, replace(LATER, toolkit_born=BEFORE)), PASS, "hook"),
    ("container_toolkit.gpus-injectable", (SYSTEM, DOCKER, HOOK, replace(LATER, toolkit_born=None)), UNKNOWN, "not"),
    ("container_toolkit.gpus-injectable", (SYSTEM, DOCKER, HOOK, replace(DOCKERD, started=None)), UNKNOWN, "restart"),
    ("container_toolkit.gpus-injectable", (SYSTEM, ROOTLESS, HOOK, DOCKERD), UNKNOWN, "restart"),
    (
        "container_toolkit.gpus-injectable",
        (SYSTEM, ROOTLESS, HOOK, replace(DOCKERD, rootless_started=STARTED)),
        PASS,
        "hook",
    ),
    (
        "container_toolkit.gpus-injectable",
        (SYSTEM, DOCKER, replace(TOOLKIT, daemon_json=("nvidia",)), replace(DOCKERD, daemon_json_written=AFTER)),
        FAIL,
        "written after the engine started",
    ),
    (
        "container_toolkit.gpus-injectable",
        (SYSTEM, DOCKER, replace(TOOLKIT, daemon_json=("nvidia",)), replace(DOCKERD, config="/opt/daemon.json")),
        FAIL,
        "this engine reads /opt/daemon.json",
    ),
    (
        "container_toolkit.gpus-injectable",
        (SYSTEM, ROOTLESS, replace(TOOLKIT, daemon_json=("nvidia",)), DOCKERD),
        FAIL,
        "this engine reads ~/.config/docker/daemon.json",
    ),
    ("container_toolkit.gpus-injectable", (SYSTEM, SNAP, HOOK, DOCKERD), FAIL, "no CDI device"),
    ("container_toolkit.gpus-injectable", (WSL, DESKTOP, TOOLKIT, DOCKERD), UNKNOWN, "4.34"),
    ("container_toolkit.gpus-injectable", (WSL, replace(DESKTOP, runtimes=("nvidia",)), TOOLKIT), PASS, "runtime"),
    ("container_toolkit.gpus-injectable", (SYSTEM, replace(PODMAN, server=Version("3.4.4")), with_specs(SPEC)), FAIL,
     "3.4.4 knows no CDI"),
    # Docker 25 to 28.1 does not tell its CDI devices, and has them where it was told to look.
    ("container_toolkit.gpus-injectable", (SYSTEM, replace(DOCKER, cdi_spec_dirs=("/etc/cdi",)), with_specs(SPEC)),
     PASS, "reads /etc/cdi/nvidia.yaml"),
    (
        "container_toolkit.gpus-injectable",
        (SYSTEM, replace(NEW, cdi_devices=(), cdi_spec_dirs=("/etc/cdi",)), with_specs(RUN)),
        FAIL,
        "it reads /etc/cdi alone",
    ),
    (
        "container_toolkit.gpus-injectable",
        (SYSTEM, replace(NEW, cdi_devices=(), warnings=("CDI: Error associated with spec file x: torn",)), TOOLKIT),
        FAIL,
        "spec file x: torn",
    ),
    # --- cdi-understood ---
    ("container_toolkit.cdi-understood", (SYSTEM, PODMAN, with_specs(replace(RUN, version="0.7.0"))), PASS, "0.7.0"),
    ("container_toolkit.cdi-understood", (SYSTEM, PODMAN_4, with_specs(RUN)), PASS, "0.5.0"),
    ("container_toolkit.cdi-understood", (SYSTEM, PODMAN_4, with_specs(replace(RUN, version="0.7.0"))), FAIL, "5.1"),
    ("container_toolkit.cdi-understood", (SYSTEM, PODMAN_4, with_specs(replace(RUN, version="1.1.0"))), FAIL, "1.1.0"),
    ("container_toolkit.cdi-understood", (SYSTEM, PODMAN_4, with_specs(replace(RUN, version="x²"))), PASS, "x"),
    (
        "container_toolkit.cdi-understood",
        (SYSTEM, NEW_25, with_specs(replace(SPEC, version="0.7.0"))),
        FAIL,
        "26.1",
    ),
    (
        "container_toolkit.cdi-understood",
        (SYSTEM, replace(NEW_25, runtimes=("nvidia",)), with_specs(replace(SPEC, version="0.7.0"))),
        SKIP,
        "another way",
    ),
    ("container_toolkit.cdi-understood", (SYSTEM, PODMAN_4, TOOLKIT), SKIP, "no CDI spec"),
    ("container_toolkit.cdi-understood", (SYSTEM, DOWN, with_specs(SPEC)), SKIP, "no engine"),
    ("container_toolkit.cdi-understood", (CONTAINER, PODMAN_4, TOOLKIT), SKIP, "host"),
    # --- cdi-unambiguous ---
    ("container_toolkit.cdi-unambiguous", (SYSTEM, PODMAN, with_specs(SPEC, RUN)), PASS, "2 CDI specs"),
    (
        "container_toolkit.cdi-unambiguous",
        (SYSTEM, PODMAN, with_specs(SPEC, replace(SPEC, path="/etc/cdi/gpu.yaml"))),
        FAIL,
        "/etc/cdi/gpu.yaml",
    ),
    # A stronger folder does not mend it: the device is dropped by its name.
    (
        "container_toolkit.cdi-unambiguous",
        (SYSTEM, PODMAN, with_specs(SPEC, replace(SPEC, path="/etc/cdi/gpu.yaml"), RUN)),
        FAIL,
        "nvidia.com/gpu=0",
    ),
    (
        "container_toolkit.cdi-unambiguous",
        (SYSTEM, REGISTERED, with_specs(SPEC, replace(SPEC, path="/etc/cdi/gpu.yaml"))),
        SKIP,
        "another way",
    ),
    ("container_toolkit.cdi-unambiguous", (SYSTEM, PODMAN, TOOLKIT), SKIP, "no CDI spec"),
    ("container_toolkit.cdi-unambiguous", (CONTAINER, PODMAN, TOOLKIT), SKIP, "host"),
    # --- cdi-fresh: of a device in two folders the stronger's ---
    (
        "container_toolkit.cdi-fresh",
        (SYSTEM, with_specs(replace(SPEC, driver_version=Version("550.54.14")), RUN), DRIVER),
        PASS,
        "1 CDI spec checked",
    ),
    (
        "container_toolkit.cdi-fresh",
        (SYSTEM, with_specs(SPEC, replace(RUN, driver_version=Version("550.54.14"))), DRIVER),
        FAIL,
        "/var/run/cdi/nvidia.yaml",
    ),
    (
        "container_toolkit.cdi-fresh",
        (SYSTEM, with_specs(replace(SPEC, driver_version=Version("550.54.14"), devices=("gpu0",)), RUN), DRIVER),
        FAIL,
        "/etc/cdi/nvidia.yaml",
    ),
    ("container_toolkit.cdi-fresh", (WSL, with_specs(SPEC), DRIVER, DESKTOP), SKIP, "of its own"),
    # --- cgroups-fit ---
    ("container_toolkit.cgroups-fit", (SYSTEM, DOCKER, no_cgroups(False)), PASS, "false"),
    ("container_toolkit.cgroups-fit", (SYSTEM, ROOTLESS, no_cgroups(True)), PASS, "true"),
    ("container_toolkit.cgroups-fit", (SYSTEM, ROOTLESS, no_cgroups(False)), FAIL, "rootless"),
    ("container_toolkit.cgroups-fit", (SYSTEM, DOCKER, no_cgroups(True)), FAIL, "root's"),
    ("container_toolkit.cgroups-fit", (SYSTEM, DOCKER, no_cgroups(None)), UNKNOWN, "config.toml"),
    ("container_toolkit.cgroups-fit", (SYSTEM, NEW, no_cgroups(True)), SKIP, "CDI"),
    ("container_toolkit.cgroups-fit", (SYSTEM, PODMAN, no_cgroups(True)), SKIP, "CDI"),
    ("container_toolkit.cgroups-fit", (SYSTEM, DEFAULT, no_cgroups(True, "1.18.1")), SKIP, "for itself"),
    ("container_toolkit.cgroups-fit", (SYSTEM, DEFAULT, no_cgroups(True)), FAIL, "root's"),
    ("container_toolkit.cgroups-fit", (CONTAINER, DOCKER, no_cgroups(True)), SKIP, "host"),
    # --- no-known-fault ---
    ("container_toolkit.no-known-fault", (SYSTEM, DOCKER, HOOK), PASS, "1.17.8"),
    ("container_toolkit.no-known-fault", (SYSTEM, DOCKER, no_cgroups(False, "1.14.0")), FAIL, "ignores its config"),
    ("container_toolkit.no-known-fault", (SYSTEM, DOCKER, no_cgroups(False, "1.14.1")), PASS, "1.14.1"),
    ("container_toolkit.no-known-fault", (SYSTEM, DOCKER, no_cgroups(False, "1.7.0")), FAIL, "version 2"),
    ("container_toolkit.no-known-fault", (SYSTEM, replace(DOCKER, cgroups=1), no_cgroups(False, "1.7.0")), PASS, "1.7"),
    ("container_toolkit.no-known-fault", (SYSTEM, ROOTLESS, no_cgroups(True, "1.18.0")), FAIL, "reported"),
    ("container_toolkit.no-known-fault", (SYSTEM, DOCKER, no_cgroups(False, "1.18.0")), PASS, "1.18.0"),
    ("container_toolkit.no-known-fault", (SYSTEM, NEW, no_cgroups(False, "1.14.0")), SKIP, "CDI"),
    ("container_toolkit.no-known-fault", (SYSTEM, DOCKER, replace(HOOK, version=None)), SKIP, "nvidia-ctk"),
    ("container_toolkit.no-known-fault", (CONTAINER, DOCKER, HOOK), SKIP, "host"),
    # --- gpus-flag-answered ---
    ("container_toolkit.gpus-flag-answered", (SYSTEM, DOCKER, HOOK, DOCKERD), PASS, "runtime-hook"),
    ("container_toolkit.gpus-flag-answered", (SYSTEM, DOCKER, HOOK, LATER), FAIL, "after the engine"),
    ("container_toolkit.gpus-flag-answered", (SYSTEM, NEW, TOOLKIT, NEITHER), FAIL, "Docker from 29 on"),
    ("container_toolkit.gpus-flag-answered", (SYSTEM, NEW, TOOLKIT, replace(NEITHER, cdi_hook_changed=BEFORE)), PASS,
     "nvidia-cdi-hook"),
    # Before 29 nvidia-cdi-hook does not count.
    (
        "container_toolkit.gpus-flag-answered",
        (SYSTEM, REGISTERED, TOOLKIT, replace(NEITHER, cdi_hook_changed=BEFORE)),
        FAIL,
        "Docker 26.1.4",
    ),
    ("container_toolkit.gpus-flag-answered", (SYSTEM, DOCKER, HOOK, NEITHER), UNKNOWN, "PATH"),
    ("container_toolkit.gpus-flag-answered", (SYSTEM, DOCKER, HOOK, replace(DOCKERD, started=None)), UNKNOWN, "not"),
    ("container_toolkit.gpus-flag-answered", (SYSTEM, DOCKER, HOOK), UNKNOWN, "not known"),
    ("container_toolkit.gpus-flag-answered", (SYSTEM, PODMAN, HOOK, DOCKERD), SKIP, "no Docker"),
    ("container_toolkit.gpus-flag-answered", (SYSTEM, SNAP, HOOK, DOCKERD), SKIP, "snap"),
    ("container_toolkit.gpus-flag-answered", (CONTAINER, DOCKER, HOOK, DOCKERD), SKIP, "host"),
    # --- devices-survive-reload ---
    ("container_toolkit.devices-survive-reload", (SYSTEM, DOCKER, HOOK), FAIL, "systemd's"),
    ("container_toolkit.devices-survive-reload", (SYSTEM, replace(DOCKER, cgroup_driver="cgroupfs"), HOOK), PASS, "fs"),
    ("container_toolkit.devices-survive-reload", (SYSTEM, NEW, HOOK), PASS, "CDI"),
    ("container_toolkit.devices-survive-reload", (SYSTEM, ROOTLESS, no_cgroups(True)), SKIP, "no cgroup"),
    ("container_toolkit.devices-survive-reload", (SYSTEM, PODMAN, HOOK), SKIP, "Podman"),
    ("container_toolkit.devices-survive-reload", (CONTAINER, DOCKER, HOOK), SKIP, "host"),
    # --- selinux-allows-devices ---
    ("container_toolkit.selinux-allows-devices", (SYSTEM, LABELLED, ALLOWED), PASS, "on"),
    ("container_toolkit.selinux-allows-devices", (SYSTEM, LABELLED, ENFORCING), FAIL, "rootless Podman"),
    ("container_toolkit.selinux-allows-devices", (SYSTEM, LABELLED, replace(ENFORCING, devices_allowed=None)), FAIL,
     "no boolean"),
    ("container_toolkit.selinux-allows-devices", (SYSTEM, replace(DOCKER, selinux=True), ENFORCING), FAIL, "Docker"),
    ("container_toolkit.selinux-allows-devices", (SYSTEM, DOCKER, ENFORCING), SKIP, "does not label"),
    ("container_toolkit.selinux-allows-devices", (SYSTEM, replace(LABELLED, rootless=False), ENFORCING), SKIP, "root"),
    ("container_toolkit.selinux-allows-devices", (SYSTEM, LABELLED, PERMISSIVE), SKIP, "not"),
    ("container_toolkit.selinux-allows-devices", (CONTAINER, LABELLED, ENFORCING), SKIP, "host"),
    # --- shared memory ---
    ("system.shm-large-enough", (CONTAINER, TWO), PASS, "16384 MiB"),
    ("system.shm-large-enough", (SMALL, TWO), FAIL, "64 MiB"),
    ("system.shm-large-enough", (SMALL, DRIVER), SKIP, "1 GPU"),
    ("system.shm-large-enough", (replace(CONTAINER, shm_bytes=None), TWO), UNKNOWN, "not known"),
    ("system.shm-large-enough", (replace(SYSTEM, shm_bytes=64 * 2**20), TWO), SKIP, "no container"),
]  # fmt: skip


@pytest.mark.parametrize(("rule", "facts", "status", "says"), CASES)
def test_rule(judged: Callable[..., Finding], rule: str, facts: tuple[Any, ...], status: Status, says: str) -> None:
    finding = judged(rule, *facts)
    assert finding.status is status, finding.message
    assert says in finding.message


@pytest.mark.parametrize(
    ("rule", "facts", "command"),
    [
        ("container_toolkit.gpus-injectable", (DOCKER, HOOK, LATER), "sudo systemctl restart docker"),
        (
            "container_toolkit.gpus-injectable",
            (DOCKER, replace(TOOLKIT, daemon_json=("nvidia",)), replace(DOCKERD, config="/opt/my daemon.json")),
            "sudo nvidia-ctk runtime configure --runtime=docker --config='/opt/my daemon.json'",
        ),
        (
            "container_toolkit.gpus-injectable",
            (replace(NEW, cdi_devices=(), cdi_spec_dirs=("/opt/cdi",)), with_specs(SPEC), DOCKERD),
            "sudo mkdir -p /opt/cdi",
        ),
        ("container_toolkit.gpus-injectable", (SNAP, HOOK, DOCKERD), "sudo snap refresh docker"),
        (
            "container_toolkit.cdi-understood",
            (PODMAN_4, with_specs(replace(SPEC, version="0.7.0"))),
            "sudo nvidia-ctk cdi generate --feature-flag no-additional-gids-for-device-nodes "
            "--output=/etc/cdi/nvidia.yaml",
        ),
        (
            "container_toolkit.gpus-flag-answered",
            (ROOTLESS, HOOK, replace(LATER, rootless_started=STARTED)),
            "systemctl --user restart docker",
        ),
        (
            "container_toolkit.cgroups-fit",
            (DOCKER, no_cgroups(True)),
            "sudo nvidia-ctk config --set nvidia-container-cli.no-cgroups=false --in-place",
        ),
    ],
)
def test_what_is_wrong_is_what_is_put_right(
    judged: Callable[..., Finding], rule: str, facts: tuple[Any, ...], command: str
) -> None:
    remedy = judged(rule, SYSTEM, *facts).remedy
    assert remedy
    assert remedy.commands_for("debian")[0] == command


@pytest.mark.parametrize("docker", [DOCKER, ROOTLESS, PODMAN])
def test_a_toolkit_that_is_not_here_is_installed_and_not_called(judged: Callable[..., Finding], docker: Docker) -> None:
    remedy = judged("container_toolkit.gpus-injectable", SYSTEM, docker, replace(TOOLKIT, version=None), NEITHER).remedy
    assert remedy
    assert remedy.commands_for("rhel")[-1] == "sudo dnf install -y nvidia-container-toolkit"
    assert not any("nvidia-ctk" in command for command in remedy.commands_for("debian"))
    assert "install the NVIDIA Container Toolkit" in remedy.text


@pytest.mark.parametrize(
    ("started", "changed", "born", "there"),
    [
        (None, 1, 1, None),
        (2, None, 1, None),
        (2, 1, None, True),
        (2, 2, None, True),
        (2, 3, None, None),
        (2, 3, 1, True),
        (2, 3, 3, False),
    ],
)
def test_what_an_engine_saw(started: int | None, changed: int | None, born: int | None, there: bool | None) -> None:
    assert engines.saw(started, changed, born) is there
