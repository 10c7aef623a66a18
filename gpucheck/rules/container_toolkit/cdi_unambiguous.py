"""One CDI device in two files of one folder is a conflict, and the engine then knows it from no file at all.

Also where a stronger folder has it too: unresolvable CDI devices nvidia.com/gpu=all. Between folders there is none:
the last one that the engine reads wins, /var/run/cdi over /etc/cdi.
"""

import shlex

from gpucheck.facts import ContainerToolkit, Docker, System
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, skip, unsure
from gpucheck.rules.engines import CDI_GUIDE, KIND, by_cdi, folder_of, folders, nvidias, own_toolkit
from gpucheck.rules.scope import count, no_host


def judge(system: System, docker: Docker, container_toolkit: ContainerToolkit) -> Outcome:
    if reason := no_host(system) or own_toolkit(system, docker):
        return skip(reason)
    read = [spec for spec in nvidias(container_toolkit.cdi_specs) if folder_of(spec) in folders(docker)]
    if not read:
        return skip("there is no CDI spec of nvidia.com/gpu where the engine looks")
    homes: dict[tuple[str, str], list[str]] = {}
    for spec in read:
        for name in dict.fromkeys(spec.devices):
            homes.setdefault((folder_of(spec), name), []).append(spec.path)
    twice = {name: paths for (_, name), paths in homes.items() if len(paths) > 1}
    torn = next(
        (spec for spec in container_toolkit.cdi_specs if spec.error and folder_of(spec) in folders(docker)), None
    )
    if not twice and torn:
        return unsure(f"{torn.path} cannot be read: {torn.error}")
    if not twice:
        return ok(f"{count(len(read), 'CDI spec')}, no device of theirs twice in a folder")
    name, paths = next(iter(twice.items()))
    others = f" and {count(len(twice) - 1, 'other')}" if len(twice) > 1 else ""
    told = f"{KIND}={name}{others} is in {' and in '.join(paths)}: the engine knows it from none"
    if not by_cdi(docker, container_toolkit):
        return skip(f"{told}; it has another way to GPUs")
    look = tuple(f"head -n 4 {shlex.quote(path)}" for path in paths)
    keep = Remedy(
        text=f"keep one of them, the one that is refreshed, and move the others out of that folder: {', '.join(paths)}",
        commands={"": (f"ls -l {' '.join(map(shlex.quote, paths))}", *look)},
        verify="gpucheck doctor --only container_toolkit",
        url=CDI_GUIDE,
    )
    return bad(told, affects=tuple(paths), remedy=keep)


RULE = Rule(
    id="container_toolkit.cdi-unambiguous",
    title="No CDI device is in two specs of a folder",
    judge=judge,
    after=("container_toolkit.installed", "docker.same-kernel"),
)
