"""Installed is not connected: the engine must know a way to a GPU, a CDI device, the nvidia runtime or the hook.

Otherwise: could not select device driver "" with capabilities: [[gpu]]; unknown or invalid runtime name: nvidia;
unresolvable CDI devices nvidia.com/gpu=all. Reloading dockerd is enough for --runtime=nvidia; for `--gpus` it looks for
the hook once, when it starts, and in its own PATH: an engine in a virtual machine has another.
"""

import shlex

from gpucheck.facts import ContainerToolkit, Docker, Dockerd, System, Version
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.container_toolkit.installed import PACKAGES
from gpucheck.rules.engines import (
    CDI_GUIDE,
    GUIDE,
    HAS_CTK,
    KIND,
    RESTART,
    RESTART_ROOTLESS,
    cdi_device,
    folder_of,
    folders,
    nvidias,
    own_toolkit,
    saw,
    settings,
    start,
)
from gpucheck.rules.scope import no_host

PODMAN_KNOWS = Version("4.1")


def _generate(folder: str) -> Remedy:
    return Remedy(
        text="write a CDI spec; run it again after every driver upgrade (toolkit 1.18 and later do that by themselves)",
        commands={
            "": (
                f"sudo mkdir -p {shlex.quote(folder)}",
                f"sudo nvidia-ctk cdi generate --output={shlex.quote(f'{folder}/nvidia.yaml')}",
                "nvidia-ctk cdi list",
            )
        },
        impact="none",
        precondition=HAS_CTK[0],
        check=HAS_CTK[1],
        verify="gpucheck doctor --only container_toolkit",
        url=CDI_GUIDE,
    )


def _register(config: str) -> Remedy:
    option = "" if config == "/etc/docker/daemon.json" else f" --config={shlex.quote(config)}"
    return Remedy(
        text="register the nvidia runtime with Docker and restart it, which stops containers unless live-restore is on",
        commands={"": (f"sudo nvidia-ctk runtime configure --runtime=docker{option}", "sudo systemctl restart docker")},
        impact="service",
        precondition=HAS_CTK[0],
        check=HAS_CTK[1],
        verify="gpucheck doctor --only container_toolkit",
        url=GUIDE,
    )


UPGRADE = Remedy(text="upgrade Podman to 4.1 or newer, with the distribution if that has no newer one", url=CDI_GUIDE)
INSTALL = Remedy(
    text="there is no nvidia-ctk here to register anything with: install the NVIDIA Container Toolkit first",
    commands=PACKAGES,
    url=GUIDE,
)
ROOTLESS = Remedy(
    text="register the nvidia runtime with your rootless Docker, and leave cgroups, which it may not set, alone; "
    "restarting the engine stops your containers",
    commands={
        "": (
            'nvidia-ctk runtime configure --runtime=docker --config="$HOME/.config/docker/daemon.json"',
            "systemctl --user restart docker",
            "sudo nvidia-ctk config --set nvidia-container-cli.no-cgroups --in-place",
        )
    },
    impact="service",
    precondition=HAS_CTK[0],
    check=HAS_CTK[1],
    verify="gpucheck doctor --only container_toolkit",
    url=GUIDE,
)
SNAP = Remedy(
    text="the snap sets up its own toolkit where the driver is here when it starts, from revision 2932 on: refresh and "
    "restart it; or take Docker Engine from Docker's own repository instead",
    commands={
        "": ("sudo snap refresh docker", "sudo snap restart docker", "snap logs docker.nvidia-container-toolkit")
    },
    impact="service",
    verify="gpucheck doctor --only container_toolkit",
    url="https://github.com/canonical/docker-snap#nvidia-support",
)


def judge(system: System, docker: Docker, container_toolkit: ContainerToolkit, dockerd: Dockerd | None) -> Outcome:
    if reason := no_host(system):
        return skip(reason)
    if device := cdi_device(docker, container_toolkit):
        return ok(f"by CDI: the engine {'offers' if device.startswith(KIND) else 'reads'} {device}")
    specs = [spec.path for spec in nvidias(container_toolkit.cdi_specs)]
    if docker.product == "podman":  # reads the specs itself, each time; Docker Engine says what it read
        if docker.server and docker.server < PODMAN_KNOWS:
            return bad(f"Podman {docker.server} knows no CDI; {PODMAN_KNOWS} does", remedy=UPGRADE)
        if specs:
            return ok(f"by CDI: {specs[0]}")
        return bad(
            "Podman gives GPUs by CDI, and there is no spec of nvidia.com/gpu",
            remedy=_generate("/etc/cdi") if container_toolkit.version else INSTALL,
        )
    if "nvidia" in docker.runtimes:
        return ok("by the nvidia runtime")
    if reason := None if docker.snap else own_toolkit(system, docker):
        return unsure(f"{reason}; it lists no nvidia runtime, as it did not before 4.34")
    started = start(docker, dockerd)
    if container_toolkit.hook and not docker.snap:
        seen = saw(started, dockerd.hook_changed, dockerd.toolkit_born) if dockerd else None
        if seen:
            return ok("by nvidia-container-runtime-hook, which was here when the engine started")
        if seen is None:
            return unsure(
                "nvidia-container-runtime-hook is on this PATH; whether the engine found it when it started is not "
                "known: restart Docker, then start a container with its GPUs"
            )
        restart = RESTART_ROOTLESS if docker.rootless else RESTART
        return bad("the NVIDIA Container Toolkit was installed after the engine started", remedy=restart)
    return _none(docker, container_toolkit, dockerd, started)


def _none(docker: Docker, toolkit: ContainerToolkit, dockerd: Dockerd | None, started: int | None) -> Outcome:
    """No way at all, with all that might be one."""
    found = []
    read, written = settings(docker, dockerd), dockerd.daemon_json_written if dockerd else None
    remedy = _generate(docker.cdi_spec_dirs[0]) if docker.cdi_spec_dirs else _register(read)
    if elsewhere := [spec.path for spec in nvidias(toolkit.cdi_specs)]:
        away = [spec.path for spec in nvidias(toolkit.cdi_specs) if folder_of(spec) not in folders(docker)]
        only = f": it reads {', '.join(docker.cdi_spec_dirs)} alone" if away and docker.cdi_spec_dirs else ""
        found.append(f"{elsewhere[0]} is here, not read by it{only}")
    found += [warning for warning in docker.warnings if warning.startswith("CDI:")][:1]
    if "nvidia" in toolkit.daemon_json:
        if read != "/etc/docker/daemon.json":
            found.append(f"/etc/docker/daemon.json has it, and this engine reads {read}")
        elif started is not None and written is not None and written > started:
            found.append("daemon.json has it, written after the engine started")
            remedy = RESTART
        else:
            found.append("daemon.json has it, not yet read")
    if toolkit.daemon_json_error:
        found.append(f"daemon.json: {toolkit.daemon_json_error}")
    chosen = ROOTLESS if docker.rootless else remedy
    chosen = SNAP if docker.snap else chosen if toolkit.version else INSTALL
    runtimes = ", ".join(docker.runtimes) or "none"
    return bad("; ".join([f"no CDI device, no hook, and of runtimes only {runtimes}", *found]), remedy=chosen)


RULE = Rule(
    id="container_toolkit.gpus-injectable",
    title="The engine can give GPUs to a container",
    judge=judge,
    after=(
        "driver.module-loaded",  # without a driver no spec can be written
        "container_toolkit.installed",
        "docker.same-kernel",
        "container_toolkit.cdi-understood",
        "container_toolkit.cdi-unambiguous",
    ),
    remedy=_register("/etc/docker/daemon.json"),
)
