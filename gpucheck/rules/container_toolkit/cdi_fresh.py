"""A CDI spec names files and device numbers of one driver. After a driver upgrade or a reboot it can be out of date.

Then containers do not start ("no such file or directory"), or they do, nvidia-smi works and cuInit fails with 999,
because the major number of nvidia-uvm has changed. Of a device in two folders the last that the engine reads counts.
"""

import shlex

from gpucheck.facts import CdiSpec, ContainerToolkit, Docker, Driver, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip
from gpucheck.rules.container_toolkit.installed import PACKAGES
from gpucheck.rules.engines import CDI_GUIDE, HAS_CTK, in_use, own_toolkit
from gpucheck.rules.scope import count, no_host

TOOLS = ("/usr/bin/nvidia-cdi-hook", "/usr/bin/nvidia-ctk")
OTHERS = Remedy(
    text="have the tool that wrote it write it again; there is no nvidia-ctk here",
    verify="gpucheck doctor --only container_toolkit",
)


def judge(system: System, container_toolkit: ContainerToolkit, driver: Driver, docker: Docker | None) -> Outcome:
    if reason := no_host(system) or own_toolkit(system, docker):
        return skip(reason)
    used = in_use(docker, container_toolkit.cdi_specs)
    torn = [spec for spec in container_toolkit.cdi_specs if spec.error and "nvidia" in spec.path]  # not other vendors'
    specs = [spec for spec in container_toolkit.cdi_specs if spec in used or spec in torn]
    if not specs:
        return skip("there is no CDI spec of nvidia.com/gpu that an engine would use")
    for spec in specs:
        path = shlex.quote(spec.path)
        if spec.error:
            look = Remedy(
                text="look at it: where NVIDIA's tool wrote it, have that write it again; else ask who did",
                commands={"": (f"sudo ls -l {path}", f"sudo head -n 20 {path}")},
                impact="none",
                verify="gpucheck doctor --only container_toolkit",
            )
            return bad(f"{spec.path} cannot be read: {spec.error}", affects=(spec.path,), remedy=look)
        if fault := _fault(spec, driver):
            again = Remedy(
                text="write it again; from toolkit 1.18 on `sudo systemctl restart nvidia-cdi-refresh` does that",
                commands={"": (f"sudo nvidia-ctk cdi generate --output={path}", "nvidia-ctk cdi list")},
                impact="none",
                precondition=HAS_CTK[0],
                check=HAS_CTK[1],
                verify="gpucheck doctor --only container_toolkit",
                url=CDI_GUIDE,
            )
            if not container_toolkit.version:
                again = _install(path) if any(tool in spec.missing_paths for tool in TOOLS) else OTHERS
            return bad(f"{spec.path} {fault}", affects=(spec.path,), remedy=again)
    versions = ", ".join(sorted({str(spec.driver_version) for spec in specs if spec.driver_version}))
    return ok(
        f"{count(len(specs), 'CDI spec')} checked, none out of date" + (f" (driver {versions})" if versions else "")
    )


def _install(path: str) -> Remedy:
    """Its hook is gone, and nvidia-ctk with it: the toolkit was uninstalled, and left the spec behind."""
    return Remedy(
        text="install the NVIDIA Container Toolkit again, and have it write the spec anew",
        commands={
            family: (*lines, f"sudo nvidia-ctk cdi generate --output={path}") for family, lines in PACKAGES.items()
        },
        impact="none",
        verify="gpucheck doctor --only container_toolkit",
        url=CDI_GUIDE,
    )


def _fault(spec: CdiSpec, driver: Driver) -> str | None:
    if driver.version and spec.driver_version and spec.driver_version != driver.version:
        return f"is of driver {spec.driver_version}; this is {driver.version}"
    here = {node.path: (node.major, node.minor) for node in driver.devices}
    for node in spec.device_nodes:
        if here.get(node.path, (node.major, node.minor)) != (node.major, node.minor):
            found = "{}:{}".format(*here[node.path])
            return f"gives {node.path} as {node.major}:{node.minor}; it is {found}"
    if spec.missing_paths:
        return f"names {count(len(spec.missing_paths), 'path')} not on this machine, such as {spec.missing_paths[0]}"
    return None


RULE = Rule(
    id="container_toolkit.cdi-fresh",
    title="The CDI specs fit this machine",
    judge=judge,
    after=("driver.module-loaded", "container_toolkit.installed"),
)
