"""A Slurm cluster of containers: one controller, which is the login node too, and four nodes of two GPUs each.

Debian 13's Slurm on Debian 12's base, so that one base serves all tests. The GPUs are two device files and the fake
NVML; the checkout and its packages are mounted, the shared folder is a volume.
"""

from __future__ import annotations

import io
import json
import os
import shlex
import sysconfig
import tarfile
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpucheck import containers

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

ROOT = Path(__file__).parents[2]
TAG = "gpucheck/test-slurm"
NODES = ("n1", "n2", "n3", "n4")
SHARED = "/shared"
HOOKS = "/usr/local/libexec/gpucheck"  # where `gpucheck fleet hooks` puts them; none are there at first
USER = "somebody"
DOCKERFILE = """
FROM {base}
RUN printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d && chmod 755 /usr/sbin/policy-rc.d \\
 && sed 's/bookworm/trixie/' /etc/apt/sources.list > /etc/apt/sources.list.d/trixie.list && apt-get -q update \\
 && apt-get -q -y install --no-install-recommends -t trixie slurmctld slurmd slurm-client munge \\
 && rm -r /var/lib/apt/lists
RUN useradd --create-home {user}
"""
CONFIG = """
ClusterName=test
SlurmctldHost=ctl
SlurmUser=root
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=10
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0
HealthCheckProgram=/opt/health
HealthCheckInterval=2
NodeName=n[1-4] CPUs=2 Gres=gpu:h100:2 Feature=h100
PartitionName=gpu Nodes=n[1-3] Default=YES
PartitionName=spare Nodes=n[3-4]
"""
FILES = {
    "/etc/slurm/gres.conf": b"Name=gpu Type=h100 File=/dev/fakegpu[0-1]\n",
    "/etc/slurm/cgroup.conf": b"CgroupPlugin=disabled\n",
}
# Daemons beside a sleeping process, so that they may die and the container stay.
START = """
mkdir -p /run/munge /var/spool/slurmctld /var/spool/slurmd
chown -R munge: /run/munge /etc/munge && chmod 400 /etc/munge/munge.key && chmod 1777 /shared
su -s /bin/sh munge -c munged
printf '#!/bin/sh\n[ ! -x {hooks}/slurm-health ] || exec {hooks}/slurm-health\n' > /opt/health; chmod 755 /opt/health
mknod /dev/fakegpu0 c 1 3; mknod /dev/fakegpu1 c 1 3; chmod 666 /dev/fakegpu?
"""
ASK = """
import contextlib
import json
import signal
import sys
from gpucheck.fleets import engine, slurm_home
from gpucheck.fleets.runs import Asked
from gpucheck.model import Failure
def end(number, frame):
    raise SystemExit(128 + number)
for each in (signal.SIGTERM, signal.SIGINT):
    signal.signal(each, end)
slurm_home.SETTLING = 1.5
asked = json.loads(sys.argv[1])
asked = {name: tuple(value) if isinstance(value, list) else value for name, value in asked.items()}
try:
    with contextlib.closing(engine("slurm").run(Asked(**asked), lambda *said: None)) as answers:
        for each in answers:
            report = each.report.decode() if each.report is not None else None
            print(json.dumps({"node": each.node, "report": report, "why": each.why}), flush=True)
except Failure as failure:
    print(json.dumps({"failure": str(failure), "tip": failure.tip}), flush=True)
"""


ASK_HEALTH, HEALTHY = "sinfo -h -N -o %T | sort | uniq -c | tr -s ' '", " 5 idle\n"  # n3 is in two partitions


@dataclass(frozen=True, slots=True)
class Cluster:
    machines: Mapping[str, Container]

    def on(self, machine: str, script: str, user: str = "root", check: bool = True) -> str:
        code, said = self.machines[machine].exec_run(
            ["sh", "-c", script], user=user, workdir=SHARED, environment=ENVIRONMENT
        )
        assert isinstance(said, bytes)
        text = said.decode(errors="replace")
        assert not check or code == 0, text[-4000:]
        return text

    def until(self, script: str, wanted: str, seconds: float = 30) -> str:
        """The controller's answer, once it has these words in it."""
        end = time.monotonic() + seconds
        while wanted not in (said := self.on("ctl", script, check=False)):
            assert time.monotonic() < end, f"{script}: {said}"
            time.sleep(0.2)
        return said

    def ask(self, **asked: Any) -> list[dict[str, str | None]]:
        """What the engine answers a user on the login node."""
        said = self.on("ctl", asking(**asked), user=USER)
        return [json.loads(line) for line in said.splitlines()]

    def heal(self) -> None:
        """All nodes up, nothing in the queue."""
        if HEALTHY in self.on("ctl", ASK_HEALTH, check=False):
            return
        self.on("ctl", f"scancel --user={USER}", check=False)
        for node in NODES:
            self.on(node, "pidof slurmd >/dev/null || slurmd")
            self.on("ctl", f"scontrol update nodename={node} state=resume", check=False)
        self.until(ASK_HEALTH, HEALTHY)


def asking(**asked: Any) -> str:
    """The command line for it."""
    words = {"program": ("python3", "-P", "-m", "gpucheck"), "command": ("doctor", "--format", "json"), **asked}
    return shlex.join(("python3", "-P", "/opt/ask.py", json.dumps(words)))


PACKAGES = sysconfig.get_paths()["purelib"]
ENVIRONMENT = {
    "PYTHONPATH": f"{ROOT}:{PACKAGES}",
    "LD_LIBRARY_PATH": "/opt/fakenvml",
    "FAKE_NVML_PROFILE": "/opt/machine",
}


@contextmanager
def cluster(
    engine: DockerClient, base: str, library: Path, profile: str, folders: Collection[str] = ()
) -> Iterator[Cluster]:
    """One that is up; `library` is the folder of the fake NVML, `profile` what it tells on each node; all of them see
    these folders of this machine, too."""
    dockerfile = DOCKERFILE.format(base=base, user=USER).encode()
    image, _ = engine.images.build(fileobj=io.BytesIO(dockerfile), tag=TAG, network_mode="host", rm=True)
    labels, name = {containers.LABEL: "run"}, f"gpucheck-slurm-{os.getpid()}"
    network = engine.networks.create(name, labels=labels)
    volume = engine.volumes.create(name, labels=labels)
    machines: dict[str, Container] = {}
    files = {
        **FILES, "/etc/slurm/slurm.conf": CONFIG.encode(), "/etc/munge/munge.key": os.urandom(1024),
        "/opt/ask.py": ASK.encode(), "/opt/machine": profile.encode(),
        "/opt/fakenvml/libnvidia-ml.so.1": (library / "libnvidia-ml.so.1").read_bytes(),
    }  # fmt: skip
    mounts = {each: {"bind": each, "mode": "ro"} for each in {str(ROOT), PACKAGES, *folders}}
    try:
        for each in ("ctl", *NODES):
            machines[each] = engine.containers.create(
                str(image.id), ["sleep", "900"], name=f"{name}-{each}", hostname=each, init=True, labels=labels,
                network=name, networking_config={
                    name: engine.api.create_endpoint_config(aliases=[each])
                }, dns_opt=["timeout:1", "attempts:1"], cap_add=["MKNOD"],
                volumes={**mounts, name: {"bind": SHARED, "mode": "rw"}},
            )  # fmt: skip
            put(machines[each], files)
            machines[each].start()
        made = Cluster(machines)
        for each in machines:
            made.on(each, START.format(hooks=HOOKS))
            for above in {str(above) for folder in folders for above in Path(folder).parents}:
                made.on(each, f"chmod a+x {above}", check=False)  # what is mounted itself stays as it is
            made.on(each, "slurmctld" if each == "ctl" else "slurmd")
        made.heal()
        yield made
    finally:
        for machine in machines.values():
            machine.remove(force=True)
        network.remove()
        volume.remove(force=True)


def put(container: Container, files: Mapping[str, bytes], mode: int = 0o644) -> None:
    with io.BytesIO() as packed:
        with tarfile.open(fileobj=packed, mode="w") as archive:
            for path, data in files.items():
                entry = tarfile.TarInfo(path.lstrip("/"))
                entry.size, entry.mode = len(data), mode
                archive.addfile(entry, io.BytesIO(data))
        container.put_archive("/", packed.getvalue())


def by_node(answers: Sequence[Mapping[str, str | None]]) -> dict[str | None, Mapping[str, str | None]]:
    return {each["node"]: each for each in answers}
