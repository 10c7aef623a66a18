"""A client without an engine can do nothing: the engine is down, elsewhere (a Docker context), or not for this user.

"Cannot connect to the Docker daemon", or "permission denied while trying to connect" to /var/run/docker.sock.
"""

import re

from gpucheck.facts import ContainerToolkit, Docker, Dockerd, System, User
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.scope import no_host

JOIN = Remedy(
    text="join the group docker, then log out and in again: a session from before does not know of it; its members can "
    "become root here, so ask the owner first",
    commands={"": ('sudo usermod -aG docker "$(id -un)"',)},
    impact="none",
    precondition="the group docker is here",
    check="getent group docker",
    verify="gpucheck doctor --only docker",
    url="https://docs.docker.com/engine/install/linux-postinstall/",
)
MEMBER = Remedy(
    text="look whose the socket is; the group docker should have it, and this user is in that group already",
    commands={"": ("ls -l /var/run/docker.sock", "sudo systemctl status docker.socket --no-pager")},
    verify="gpucheck doctor --only docker",
)
ROOTLESS = Remedy(
    text="start your own, rootless engine; `loginctl enable-linger` keeps it running when you log out",
    commands={"": ("systemctl --user start docker", "docker context ls")},
    verify="gpucheck doctor --only docker",
    url="https://docs.docker.com/engine/security/rootless/",
)
DESKTOP = Remedy(
    text="start Docker Desktop; better for GPUs, which its virtual machine on Linux does not have: take the engine of "
    "this machine (`docker context use default`)",
    commands={"": ("systemctl --user start docker-desktop", "docker context ls")},
    verify="gpucheck doctor --only docker",
)
INTEGRATION = Remedy(
    text="in Docker Desktop, on Windows: Settings, Resources, WSL integration, and switch this distribution on",
    verify="gpucheck doctor --only docker",
    url="https://docs.docker.com/go/wsl2/",
)
ELSEWHERE = Remedy(
    text="take the engine of this machine: unset DOCKER_HOST where it is set, else `docker context use default`",
    commands={"": ("env -u DOCKER_HOST docker --context default version", "docker context ls")},
    verify="gpucheck doctor --only docker",
)
ENGINE = Remedy(
    text="install the engine beside its client; from Docker's own repository it is the package docker-ce",
    commands={"debian": ("sudo apt-get update", "sudo apt-get install -y docker.io")},
    verify="gpucheck doctor --only docker",
    url="https://docs.docker.com/engine/install/",
)
SNAP = Remedy(
    text="start the snap",
    commands={"": ("sudo snap start --enable docker", "snap services docker")},
    verify="gpucheck doctor --only docker",
)
FAILED = Remedy(
    text="read why it does not start, put that right, then `sudo systemctl restart docker`",
    commands={
        "": ("sudo systemctl status docker --no-pager", "sudo journalctl --unit=docker --lines=30 --no-pager"),
    },
    verify="gpucheck doctor --only docker",
)
MASKED = Remedy(
    text="somebody forbade its start; where nobody had a reason, allow it",
    commands={"": ("sudo systemctl unmask docker.service docker.socket", "sudo systemctl enable --now docker")},
    impact="service",
    verify="gpucheck doctor --only docker",
)


def judge(
    system: System,
    docker: Docker,
    dockerd: Dockerd | None,
    user: User | None,
    container_toolkit: ContainerToolkit | None,
) -> Outcome:
    if reason := no_host(system):
        return skip(reason)
    if docker.server:
        return ok(f"{docker.product} {docker.server} answers (API {docker.api})")
    said = docker.error or "no engine answered"
    if "permission denied" in said.lower():
        member = user is not None and "docker" in user.groups
        return bad(f"this user may not talk to the engine: {said}", remedy=MEMBER if member else JOIN)
    if "WSL integration" in said:
        return bad(said, remedy=INTEGRATION)
    context = f" (context {docker.context})" if docker.context not in (None, "default") else ""
    if docker.context == "desktop-linux" or "/.docker/desktop/" in said:
        return bad(f"Docker Desktop does not run: {said}{context}", remedy=DESKTOP)
    if docker.rootless or docker.context == "rootless" or "/run/user/" in said:
        return bad(f"{said}{context}", remedy=ROOTLESS)
    if context or re.search(r"\b(tcp|ssh|https?)://", said):
        return bad(f"{said}{context or ' (DOCKER_HOST)'}", remedy=ELSEWHERE)
    return _here(said, dockerd, container_toolkit)


def _here(said: str, dockerd: Dockerd | None, toolkit: ContainerToolkit | None) -> Outcome:
    """Of this machine's own daemon, by what systemd says of it."""
    unit, state = (dockerd.unit, dockerd.state) if dockerd else (None, None)
    if unit is None:
        return bad(said)
    if unit.startswith("snap."):
        return bad(f"the snap docker is {state}: {said}", remedy=SNAP)
    if state == "not-found":
        return bad(f"only Docker's client is here, no {unit}: {said}", remedy=ENGINE)
    if state == "failed":
        torn = toolkit.daemon_json_error if toolkit else None
        why = f"; /etc/docker/daemon.json: {torn}" if torn else ""
        return bad(f"{unit} failed{why}: {said}", remedy=FAILED)
    if state == "masked":
        return bad(f"{unit} is masked: {said}", remedy=MASKED)
    if state == "active":
        return bad(f"{unit} runs and does not answer there: {said}", remedy=FAILED)
    return bad(f"{unit} is {state}: {said}")


RULE = Rule(
    id="docker.reachable",
    title="The container engine answers",
    judge=judge,
    after=("docker.installed",),
    remedy=Remedy(
        text="start it, now and whenever this machine starts (without systemd: `sudo service docker start`); if it "
        "runs elsewhere, choose its context (`docker context ls`)",
        commands={"": ("sudo systemctl enable --now docker", "docker context ls")},
        impact="service",
        precondition="systemd starts the services here",
        check="test -d /run/systemd/system",
        verify="gpucheck doctor --only docker",
    ),
)
