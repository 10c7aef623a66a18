"""A client without an engine can do nothing: the engine is down, elsewhere (a Docker context), or not for this user.

"Cannot connect to the Docker daemon", or "permission denied while trying to connect" to /var/run/docker.sock.
"""

from gpucheck.facts import Docker, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.scope import no_host

JOIN = Remedy(
    text="join the group docker, then log in again; its members can become root here, so ask the owner first",
    commands={"": ('sudo usermod -aG docker "$(id -un)"',)},
    impact="none",
    url="https://docs.docker.com/engine/install/linux-postinstall/",
)

ROOTLESS = Remedy(
    text="start your own, rootless engine; `loginctl enable-linger` keeps it running when you log out",
    commands={"": ("systemctl --user start docker", "docker context ls")},
    url="https://docs.docker.com/engine/security/rootless/",
)


def judge(system: System, docker: Docker) -> Outcome:
    if reason := no_host(system):
        return skip(reason)
    if docker.server:
        return ok(f"{docker.product} {docker.server} answers (API {docker.api})")
    said = docker.error or "no engine answered"
    if "permission denied" in said.lower():
        return bad(f"this user may not talk to the engine: {said}", remedy=JOIN)
    context = f" (context {docker.context})" if docker.context not in (None, "default") else ""
    rootless = docker.rootless or docker.context == "rootless" or "/run/user/" in said
    return bad(f"{said}{context}", remedy=ROOTLESS if rootless else None)


RULE = Rule(
    id="docker.reachable",
    title="The container engine answers",
    judge=judge,
    after=("docker.installed",),
    remedy=Remedy(
        text="start it; if it runs elsewhere, choose its context (`docker context ls`)",
        commands={"": ("sudo systemctl start docker", "docker context ls")},
    ),
)
