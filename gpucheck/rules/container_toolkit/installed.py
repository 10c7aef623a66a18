"""Engines give no GPU to a container by themselves: the NVIDIA Container Toolkit does, by a hook, a runtime or CDI.

Without it: could not select device driver "" with capabilities: [[gpu]].
"""

from gpucheck.facts import ContainerToolkit, Docker, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.engines import GUIDE, own_toolkit
from gpucheck.rules.scope import no_host

DEB = (
    "sudo apt-get update && sudo apt-get install -y --no-install-recommends ca-certificates curl gnupg",
    "curl -fsSL https://nvidia.github.io/libnvidia-container/gpgkey"
    " | sudo gpg --dearmor --yes -o /usr/share/keyrings/nvidia-container-toolkit-keyring.gpg",
    "curl -fsSL https://nvidia.github.io/libnvidia-container/stable/deb/nvidia-container-toolkit.list"
    " | sed 's#deb https://#deb [signed-by=/usr/share/keyrings/nvidia-container-toolkit-keyring.gpg] https://#g'"
    " | sudo tee /etc/apt/sources.list.d/nvidia-container-toolkit.list",
    "sudo apt-get update",
    "sudo apt-get install -y nvidia-container-toolkit",
)
RPM = (
    "curl -fsSL https://nvidia.github.io/libnvidia-container/stable/rpm/nvidia-container-toolkit.repo"
    " | sudo tee /etc/yum.repos.d/nvidia-container-toolkit.repo",
    "sudo dnf install -y nvidia-container-toolkit",
)
SUSE = (
    "curl -fsSL https://nvidia.github.io/libnvidia-container/stable/rpm/nvidia-container-toolkit.repo"
    " | sudo tee /etc/zypp/repos.d/nvidia-container-toolkit.repo",
    "sudo zypper --gpg-auto-import-keys install -y nvidia-container-toolkit",
)
PACKAGES: dict[str, tuple[str, ...]] = {
    "debian": DEB,
    "rhel": RPM,
    "suse": SUSE,
    "arch": ("sudo pacman -S --needed --noconfirm nvidia-container-toolkit",),
}
REGISTER = ("sudo nvidia-ctk runtime configure --runtime=docker", "sudo systemctl restart docker")
WITH_DOCKER = Remedy(
    text="install it from NVIDIA's repository, register it with Docker, and restart that, which stops its containers "
    "unless live-restore is on",
    commands={family: (*lines, *REGISTER) for family, lines in PACKAGES.items()},
    impact="service",
    verify="gpucheck doctor --only container_toolkit",
    url=GUIDE,
)


def judge(system: System, container_toolkit: ContainerToolkit, docker: Docker | None) -> Outcome:
    if reason := no_host(system) or own_toolkit(system, docker):
        return skip(reason)
    if container_toolkit.version:
        return ok(f"nvidia-ctk {container_toolkit.version}")
    specs = [spec.path for spec in container_toolkit.cdi_specs if spec.kind == "nvidia.com/gpu"]
    if container_toolkit.hook or specs:
        return ok(f"there is no nvidia-ctk, but {specs[0] if specs else 'nvidia-container-runtime-hook'}")
    at_work = docker and docker.product == "docker" and docker.server and not docker.rootless
    return bad("neither nvidia-ctk nor its hook nor a CDI spec is here", remedy=WITH_DOCKER if at_work else None)


RULE = Rule(
    id="container_toolkit.installed",
    title="The NVIDIA Container Toolkit is installed",
    judge=judge,
    after=("pci.gpu-present", "docker.installed"),
    remedy=Remedy(
        text="install it from NVIDIA's repository",
        commands=PACKAGES,
        impact="none",
        verify="gpucheck doctor --only container_toolkit",
        url=GUIDE,
    ),
)
