import json
from collections.abc import Callable
from typing import Any

import pytest

from gpucheck.facts import Version
from gpucheck.host import CannotLook, Result
from gpucheck.probes import docker

Machine = Callable[..., Any]

CLIENT = {"Version": "28.2.2", "ApiVersion": "1.50", "DefaultAPIVersion": "1.50", "Os": "linux", "Context": "default"}
ENGINE = {
    "Platform": {"Name": "Docker Engine - Community"},
    "Components": [{"Name": "Engine", "Version": "28.2.2"}, {"Name": "containerd", "Version": "1.7.27"}],
    "Version": "28.2.2", "ApiVersion": "1.50", "MinAPIVersion": "1.24",
}  # fmt: skip
INFO = {
    "Driver": "overlay2", "CgroupDriver": "systemd", "CgroupVersion": "2", "DefaultRuntime": "runc",
    "Runtimes": {"runc": {"path": "runc"}, "nvidia": {"path": "nvidia-container-runtime"}},
    "SecurityOptions": ["name=apparmor", "name=rootless"], "CDISpecDirs": ["/etc/cdi", "/var/run/cdi"],
    "DiscoveredDevices": [{"Source": "cdi", "ID": "nvidia.com/gpu=0"}, {"Source": "other", "ID": "x"}],
    "Warnings": ["WARNING: No swap limit support", "CDI: Error associated with spec file /etc/cdi/x.yaml: torn"],
}  # fmt: skip
DENIED = "permission denied while trying to connect to the docker API at unix:///var/run/docker.sock"


def answers(version: Any, info: Any = None, *, said: str = "", code: int = 0) -> dict[tuple[str, ...], Result]:
    runs: dict[tuple[str, ...], Result] = {docker.VERSION: Result(code=code, out=json.dumps(version) + "\n", err=said)}
    if info is not None:
        runs[docker.INFO] = Result(code=0, out=json.dumps(info) + "\n", err="")
    return runs


def test_an_engine(machine: Machine) -> None:
    found = docker.probe(machine({}, answers({"Client": CLIENT, "Server": ENGINE}, INFO)))
    assert (found.client, found.server, found.api) == (Version("28.2.2"), Version("28.2.2"), Version("1.50"))
    assert (found.product, found.context, found.error) == ("docker", "default", None)
    assert (found.runtimes, found.default_runtime) == (("nvidia", "runc"), "runc")
    assert found.cdi_spec_dirs == ("/etc/cdi", "/var/run/cdi")
    assert found.cdi_devices == ("nvidia.com/gpu=0",)
    assert (found.cgroup_driver, found.storage_driver, found.rootless) == ("systemd", "overlay2", True)
    assert found.warnings == ("CDI: Error associated with spec file /etc/cdi/x.yaml: torn",)


def test_an_engine_that_knows_no_cdi(machine: Machine) -> None:
    """Engine 20.10: API 1.41, whose /info has no CDISpecDirs; lists may be null."""
    engine = {**ENGINE, "Version": "20.10.24+dfsg1", "ApiVersion": "1.41"}
    info: dict[str, Any] = {"Driver": "overlay2", "Runtimes": {"runc": {}}, "SecurityOptions": None, "Warnings": None}
    found = docker.probe(machine({}, answers({"Client": CLIENT, "Server": engine}, info)))
    assert (found.server, found.rootless) == (Version("20.10.24"), False)
    assert (found.cdi_spec_dirs, found.cdi_devices) == ((), ())


def test_no_client(machine: Machine) -> None:
    found = docker.probe(machine())
    assert (found.client, found.server, found.product, found.error) == (None, None, None, None)


@pytest.mark.parametrize("said", [DENIED, "Cannot connect to the Docker daemon. Is the docker daemon running?"])
def test_no_engine_answers(machine: Machine, said: str) -> None:
    host = machine({}, answers({"Client": CLIENT, "Server": None}, said=f"\n{said}\n", code=1))
    found = docker.probe(host)
    assert (found.client, found.server, found.product, found.error) == (Version("28.2.2"), None, "docker", said)
    assert host.asked == [docker.VERSION, docker.PODMAN_VERSION]


FORBIDDEN = """Error response from daemon: <html><body><h1>403 Forbidden</h1>
Request forbidden by administrative rules.
</body></html>
"""


@pytest.mark.parametrize(
    ("code", "out", "err", "said"),
    [
        (1, "", "error during connect: EOF\n", "exit code 1): error during connect: EOF$"),
        (1, "", FORBIDDEN, "exit code 1): Request forbidden by administrative rules$"),
        (0, json.dumps({"Runtimes": None, "ServerErrors": [FORBIDDEN]}), "", "exit code 0): Request forbidden"),
        (0, "", "", "exit code 0): it said nothing$"),
    ],
)
def test_an_engine_that_does_not_tell_of_itself(machine: Machine, code: int, out: str, err: str, said: str) -> None:
    """A proxy of the socket that allows /version and not /info. It is not an engine without runtimes."""
    runs = answers({"Client": CLIENT, "Server": ENGINE})
    runs[docker.INFO] = Result(code=code, out=out, err=err)
    with pytest.raises(CannotLook, match=said.replace(")", r"\)")):
        docker.probe(machine({}, runs))


def test_a_client_that_prints_no_json(machine: Machine) -> None:
    runs = {docker.VERSION: Result(code=125, out="{torn", err="unknown flag: --format\n")}
    found = docker.probe(machine({}, runs))
    assert (found.client, found.error) == (None, "unknown flag: --format")


def test_an_engine_that_hangs_cannot_be_looked_at(machine: Machine) -> None:
    with pytest.raises(CannotLook):
        docker.probe(machine({}, {docker.VERSION: CannotLook("docker version did not answer within 5 s")}))


def test_podman_as_docker(machine: Machine) -> None:
    """The package podman-docker: `docker` is a script that starts podman."""
    version = {"Client": {"APIVersion": "4.9.3", "Version": "4.9.3", "GoVersion": "go1.22.2", "OsArch": "linux/amd64"}}
    info = {
        "host": {"cgroupManager": "systemd", "ociRuntime": {"name": "crun"}, "security": {"rootless": True}},
        "store": {"graphDriverName": "overlay"},
    }
    found = docker.probe(machine({}, answers(version, info, said="Emulate Docker CLI using podman.\n")))
    assert (found.product, found.server, found.error) == ("podman", Version("4.9.3"), None)
    assert (found.runtimes, found.default_runtime) == (("crun",), "crun")
    assert (found.cgroup_driver, found.storage_driver, found.rootless) == ("systemd", "overlay", True)


def test_podman_behind_dockers_client(machine: Machine) -> None:
    engine = {"Components": [{"Name": "Podman Engine", "Version": "5.4.0"}], "Version": "5.4.0", "ApiVersion": "1.41"}
    found = docker.probe(machine({}, answers({"Client": CLIENT, "Server": engine}, INFO)))
    assert (found.product, found.server) == ("podman", Version("5.4.0"))


def test_where_an_engine_is(machine: Machine) -> None:
    info = {**INFO, "OperatingSystem": "Docker Desktop", "KernelVersion": "6.10.14-linuxkit",
            "DockerRootDir": "/var/snap/docker/common/var-lib-docker", "SecurityOptions": ["name=selinux"]}  # fmt: skip
    found = docker.probe(machine({}, answers({"Client": CLIENT, "Server": ENGINE}, info)))
    assert (found.system, found.kernel, found.snap) == ("Docker Desktop", "6.10.14-linuxkit", True)
    assert (found.cgroups, found.selinux) == (2, True)


def test_where_podman_is(machine: Machine) -> None:
    version = {"Client": {"APIVersion": "5.4.2", "Version": "5.4.2"}}
    info = {
        "host": {"kernel": "6.17.10-100.fc41.x86_64", "cgroupVersion": "v2", "security": {"selinuxEnabled": True}},
    }
    found = docker.probe(machine({}, answers(version, info)))
    assert (found.kernel, found.cgroups, found.selinux, found.rootless) == ("6.17.10-100.fc41.x86_64", 2, True, False)


# docker/desktop's own script, in a WSL distribution that it is not integrated with
WSL_STUB = """
The command 'docker' could not be found in this WSL 2 distro.
We recommend to activate the WSL integration in Docker Desktop settings.

For details about using Docker Desktop with WSL 2, visit:

https://docs.docker.com/go/wsl2/

"""


def test_docker_desktop_that_is_not_integrated(machine: Machine) -> None:
    found = docker.probe(machine({}, {docker.VERSION: Result(code=1, out=WSL_STUB, err="")}))
    assert (found.server, found.error) == (None, docker.NO_INTEGRATION)


@pytest.mark.parametrize(
    ("version", "info"),
    [
        ({"Client": "x", "Server": ENGINE}, INFO),
        ({"Client": CLIENT, "Server": [1]}, INFO),
        ({"Client": CLIENT, "Server": ENGINE}, {"Runtimes": 3}),
        ({"Client": CLIENT, "Server": ENGINE}, {"DiscoveredDevices": [None]}),
        ({"Client": CLIENT, "Server": ENGINE}, {"DiscoveredDevices": [{"Source": "cdi"}]}),
        ({"Client": {"APIVersion": "5"}}, INFO),
        ({"Client": {**CLIENT, "Version": "1" * 5000}, "Server": ENGINE}, INFO),
    ],
)
def test_answers_of_another_shape_cannot_be_looked_at(machine: Machine, version: Any, info: Any) -> None:
    with pytest.raises(CannotLook, match="shape of Docker's API"):
        docker.probe(machine({}, answers(version, info)))


def test_answers_nested_without_end_are_none(machine: Machine) -> None:
    deep = Result(code=0, out='{"a":' * 100_000, err="")
    assert docker.probe(machine({}, {docker.VERSION: deep})).error == "docker version failed (exit code 0)"
