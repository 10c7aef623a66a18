"""Containers are how gpucheck builds and verifies. Without an engine the framework runs on this host instead.

Docker or Podman: `docker: command not found`.
"""

from gpucheck.facts import Docker, System
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip
from gpucheck.rules.scope import no_host

ON_AMAZON = Remedy(
    text="install the Docker Engine of Amazon Linux; or go without: `gpucheck verify --on host`",
    commands={"rhel": ("sudo dnf install -y docker", "sudo systemctl enable --now docker")},
    impact="none",
    verify="gpucheck doctor --only docker",
    url="https://github.com/amazonlinux/amazon-linux-2023/issues/67",
)


def judge(system: System, docker: Docker) -> Outcome:
    if reason := no_host(system):
        return skip(reason)
    if docker.product is None and docker.error is None:
        amazon = system.os_id == "amzn"  # whose own repositories have no Podman
        return bad("there is no docker command, of Docker or of Podman", remedy=ON_AMAZON if amazon else None)
    return ok(f"the client is {docker.product or 'docker'} {docker.client or ''}".strip())


RULE = Rule(
    id="docker.installed",
    title="A container engine's client is installed",
    severity=Severity.WARNING,
    judge=judge,
    remedy=Remedy(
        text="install Docker Engine; beside Podman the package podman-docker brings a docker command; or go without: "
        "`gpucheck verify --on host`",
        commands={
            "debian": ("sudo apt-get update", "sudo apt-get install -y docker.io"),
            "rhel": ("sudo dnf install -y podman-docker",),
            "suse": ("sudo zypper install -y docker", "sudo systemctl enable --now docker"),
            "arch": ("sudo pacman -S --needed --noconfirm docker", "sudo systemctl enable --now docker"),
        },
        impact="none",
        verify="gpucheck doctor --only docker",
        url="https://docs.docker.com/engine/install/",
    ),
)
