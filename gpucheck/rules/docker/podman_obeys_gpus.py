"""Old Podman takes a request for GPUs and ignores it: the container starts without, and the work runs on the CPU.

`--gpus` does nothing before Podman 5.0; requests by Docker's API, as `docker compose` and docker-py send them, before
5.4. `--device nvidia.com/gpu=all` is heard by all that know CDI, from 4.1 on.
"""

from gpucheck.facts import Docker, System, Version
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip
from gpucheck.rules.scope import no_host

COMMAND, API = Version("5.0"), Version("5.4")


def judge(system: System, docker: Docker) -> Outcome:
    if reason := no_host(system):
        return skip(reason)
    version = docker.server if docker.product == "podman" else None
    if version is None:
        return skip("the engine is not Podman")
    if version < COMMAND:
        return bad(f"Podman {version} ignores --gpus (heard from {COMMAND} on) and requests by the API ({API})")
    if version < API:
        return bad(f"Podman {version} ignores requests for GPUs by Docker's API; {API} obeys them")
    return ok(f"Podman {version} obeys --gpus and requests by Docker's API")


RULE = Rule(
    id="docker.podman-obeys-gpus",
    title="Podman obeys requests for GPUs",
    severity=Severity.WARNING,
    judge=judge,
    after=("container_toolkit.gpus-injectable",),
    remedy=Remedy(
        text="ask by `podman run --device nvidia.com/gpu=all`, not by --gpus, compose or docker-py; or upgrade Podman",
        verify="gpucheck doctor --only docker",
        url="https://docs.nvidia.com/datacenter/cloud-native/container-toolkit/latest/cdi-support.html",
    ),
)
