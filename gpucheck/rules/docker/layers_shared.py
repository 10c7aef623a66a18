"""The storage driver vfs copies each layer whole: a CUDA image of 10 GB takes several times that, and minutes."""

from gpucheck.facts import Docker, System
from gpucheck.model import Outcome, Remedy, Rule, Severity, bad, ok, skip
from gpucheck.rules.scope import no_host


def judge(system: System, docker: Docker) -> Outcome:
    if reason := no_host(system):
        return skip(reason)
    if docker.storage_driver is None:
        return skip("no engine told its storage driver")
    if docker.storage_driver == "vfs":
        return bad("the storage driver is vfs, which copies every layer whole; overlay2 or overlay shares them")
    return ok(f"the storage driver is {docker.storage_driver}")


RULE = Rule(
    id="docker.layers-shared",
    title="Images share their layers",
    severity=Severity.WARNING,
    judge=judge,
    after=("docker.reachable",),
    remedy=Remedy(
        text="find out why overlay is not used: a folder on a network or ZFS file system, or an engine inside a "
        "container; a changed driver does not show the images of before",
        commands={"": ("docker info", "df -T /var/lib/docker")},
        impact="data",
        verify="gpucheck doctor --only docker",
        url="https://docs.docker.com/engine/storage/drivers/select-storage-driver/",
    ),
)
