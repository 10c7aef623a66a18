from collections.abc import Callable
from typing import Any

import pytest

from gpucheck.facts import Dockerd
from gpucheck.host import CannotLook, Result
from gpucheck.probes import dockerd

Machine = Callable[..., Any]

PATHS = (dockerd.PID, dockerd.HOOK, dockerd.CDI_HOOK, dockerd.TOOLKIT, dockerd.DAEMON_JSON)
COMMAND = "/usr/bin/dockerd\0-H\0fd://\0--containerd=/run/containerd/containerd.sock\0"
# `systemctl show` of systemd 252: of a unit that it does not know it says so, and is done.
STOPPED = "Id=docker.service\nLoadState=loaded\nActiveState=failed\n\n"
NO_SNAP = "Id=snap.docker.dockerd.service\nLoadState=not-found\nActiveState=inactive\n"


def stat(*paths: str) -> tuple[str, ...]:
    return ("stat", "-L", "-c", dockerd.STAT_FORMAT, *paths)


def test_a_daemon_at_work(machine: Machine) -> None:
    told = (
        f"1763971200 1763971200 0 {dockerd.PID}\n"
        f"1700000000 1763000000 1763000000 {dockerd.HOOK}\n"
        f"1763000001 1763000001 - {dockerd.TOOLKIT}\n"
        f"1763990000 1763990000 1763000002 {dockerd.DAEMON_JSON}\n"
    )
    host = machine(
        {dockerd.PID: "812\n", "/proc/812/cmdline": COMMAND},
        {stat(*PATHS): Result(code=1, out=told, err="stat: cannot statx '/usr/bin/nvidia-cdi-hook': ...\n")},
    )
    assert dockerd.probe(host) == Dockerd(
        started=1763971200, rootless_started=None, config=None, unit=None, state=None, hook_changed=1763000000,
        cdi_hook_changed=None, toolkit_born=None, daemon_json_written=1763990000,
    )  # fmt: skip
    assert dockerd.UNITS not in host.asked


def test_a_daemon_that_failed_left_its_pid_file(machine: Machine) -> None:
    """Its number may be another program's by now."""
    host = machine(
        {dockerd.PID: "812", "/proc/812/cmdline": "/usr/bin/python3\0dockerd\0"},
        {
            stat(*PATHS): Result(code=1, out=f"1 1 1 {dockerd.PID}\n", err=""),
            dockerd.UNITS: Result(code=0, out=STOPPED + NO_SNAP, err=""),
        },
    )
    found = dockerd.probe(host)
    assert (found.started, found.unit, found.state) == (None, "docker.service", "failed")


def test_a_daemon_whose_process_is_hidden(machine: Machine) -> None:
    """/proc may be mounted with hidepid."""
    active = STOPPED.replace("failed", "active") + NO_SNAP
    host = machine(
        {dockerd.PID: "812", "/proc/812/cmdline": CannotLook("Permission denied")},
        {
            stat(*PATHS): Result(code=1, out=f"7 7 7 {dockerd.PID}\n", err=""),
            dockerd.UNITS: Result(code=0, out=active, err=""),
        },
    )
    assert dockerd.probe(host).started == 7


def test_a_rootless_daemon(machine: Machine) -> None:
    mine = "/run/user/1000/docker.pid"
    paths = (dockerd.PID, mine, *PATHS[1:])
    host = machine({dockerd.USERS: "1000\nlost+found\n"}, {stat(*paths): Result(code=1, out=f"9 9 9 {mine}\n", err="")})
    found = dockerd.probe(host)
    assert (found.started, found.rootless_started, found.unit) == (None, 9, None)


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        (None, (False, None)),
        ("", (False, None)),
        (COMMAND, (True, None)),
        (f"{COMMAND}--config-file=/opt/daemon.json\0", (True, "/opt/daemon.json")),
        (f"{COMMAND}--config-file\0/opt/daemon.json\0", (True, "/opt/daemon.json")),
        (f"{COMMAND}--config-file\0", (True, None)),
        ("/usr/bin/docker-proxy\0", (False, None)),
    ],
)
def test_command(text: str | None, parsed: tuple[bool, str | None]) -> None:
    assert dockerd.parse_command(text) == parsed
    assert dockerd.parse_command(dockerd.kept(text or "")) == parsed


@pytest.mark.parametrize(
    ("text", "unit"),
    [
        (STOPPED + NO_SNAP, ("docker.service", "failed")),
        (STOPPED.replace("loaded", "masked") + NO_SNAP, ("docker.service", "masked")),
        (STOPPED.replace("loaded", "not-found") + NO_SNAP, ("docker.service", "not-found")),
        (
            STOPPED.replace("loaded", "not-found") + NO_SNAP.replace("not-found", "loaded"),
            ("snap.docker.dockerd.service", "inactive"),
        ),
        ("", (None, None)),
        ("Id=docker.service\n\0\n", (None, None)),
        ("LoadState=loaded\n\nId=x.service\nLoadState=loaded\n", (None, None)),
    ],
)
def test_units(text: str, unit: tuple[str | None, str | None]) -> None:
    assert dockerd.parse_units(text) == unit


@pytest.mark.parametrize("text", ["", "\0\0", "1 2 3", f"x y z {dockerd.PID}\n", "9" * 10**6 + " 1 1 /run/docker.pid"])
def test_garbage_of_stat_is_nothing(text: str) -> None:
    assert dockerd.parse_times(text) == {}


def test_without_stat_nothing_is_known(machine: Machine) -> None:
    with pytest.raises(CannotLook, match="no stat command"):
        dockerd.probe(machine())


def test_what_is_kept_of_the_users() -> None:
    assert dockerd.kept_users("1000\nann\n") == "1000\n"
    assert dockerd.kept(f"{COMMAND}--label=owner=ann\0") == "dockerd\0"
