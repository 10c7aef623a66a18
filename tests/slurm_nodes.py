"""`gpucheck fleet run` over a Slurm of a thousand nodes: each a slurmd, all in one container, some of them sick.

`scripts/slurm-nodes` runs it; it is no part of the test suite, as it takes minutes and gigabytes. The nodes are
Debian's Slurm and really run the doctor, on a fake NVML and under a host name of their own, a few at a time.
"""

# ruff: noqa: T201

from __future__ import annotations

import argparse
import io
import json
import os
import re
import shlex
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gpucheck import containers
from tests.conftest import flat
from tests.docker import slurm_cluster
from tests.docker.slurm_cluster import Cluster
from tests.fakenvml import build as fakenvml

if TYPE_CHECKING:
    from docker import DockerClient

ROOT = Path(__file__).parents[1]
PROFILE = ROOT / "tests" / "fakenvml" / "profiles" / "h100x8.toml"
BASE = "gpucheck/base:bookworm"  # what scripts/engine base makes
PORT = 17_000  # of the first slurmd
AT_A_TIME = 8  # doctors: the nodes of a real cluster have processors of their own
OF = 50  # nodes, of which one each is:
SICK = ("drained", "down", "dies", "full", "without", "odd")
WHY = {  # what the row of each of them must say
    "drained": "it is drained: the fan is broken", "down": "it is down and does not respond",
    "dies": "its job was lost: node fail", "full": "gpucheck ended with 9 and no report: no space left",
    "without": "gpucheck ended with 127 and no report",
}  # fmt: skip
DRIVER, OTHER = "590.48.01", "580.65.06"
CONFIG = """
ClusterName=test
SlurmctldHost=ctl
SlurmUser=root
StateSaveLocation=/var/spool/slurmctld
SlurmdSpoolDir=/var/spool/slurmd/%n
SlurmdPidFile=/run/slurmd-%n.pid
SlurmdLogFile=/dev/null
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
GresTypes=gpu
SlurmdParameters=config_overrides
ReturnToService=2
SlurmdTimeout=60
MessageTimeout=100
TreeWidth=65533
MaxArraySize=10001
SchedulerParameters=sched_interval=2,bf_interval=2,batch_sched_delay=0,default_queue_depth=10000
NodeName=n[{first}-{last}] NodeHostname=ctl NodeAddr=127.0.0.1 Port=[{port}-{ports}] CPUs=1 Gres=gpu:h100:2
PartitionName=gpu Nodes=ALL Default=YES
"""
# What a node runs: the doctor, under the node's own name, when its turn comes.
GPUCHECK = """#!/bin/sh
kind=$(sed -n "s/^$SLURMD_NODENAME //p" /opt/sick)
case $kind in
full) echo 'no space left' >&2; exit 9 ;;
without) exec gpuchek ;;
dies) kill -9 "$(cat "/run/slurmd-$SLURMD_NODENAME.pid")"; exec sleep 3600 ;;
esac
export FAKE_NVML_PROFILE="/opt/machines/$SLURMD_NODENAME"
exec flock "/run/turn-$(expr "$SLURM_ARRAY_TASK_ID" % {turns})" unshare --uts \\
    sh -c 'hostname "$SLURMD_NODENAME"; exec python3 -P -m gpucheck "$@"' gpucheck "$@"
"""
UP = "sinfo --noheader --Node --format=%T | grep -cx idle || true"
DOWN = "sinfo --noheader --Node --format=%T | grep -cx 'down[*]' || true"
MEMORY = (
    "for each in $(pidof slurmd); do cat /proc/$each/smaps_rollup; done | awk '/^Pss:/ { kb += $2 } END { print kb }'"
)
RUN = """
import json, resource, subprocess
command = ("python3 -P -m gpucheck fleet run --engine slurm --command doctor --remote /opt/gpucheck --timeout 3600"
           " -O folder=/shared/run --format json").split()
with open("/shared/page", "w") as page, open("/shared/lines", "w") as lines:
    code = subprocess.run(command, stdout=page, stderr=lines).returncode
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(json.dumps([code, used.ru_utime + used.ru_stime, used.ru_maxrss / 1000]))
"""  # exit code, seconds of processor, MB at most


def name(number: int, number_of_all: int) -> str:
    return f"n{number:0{len(str(number_of_all))}}"


def sick(names: Sequence[str]) -> Mapping[str, str]:
    """Of each fifty nodes the first six, each by its own fault."""
    places = ((index % OF, each) for index, each in enumerate(names))
    return {each: SICK[place] for place, each in places if place < len(SICK)}


def machines(names: Sequence[str], faults: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """What the fake NVML tells on each node: two GPUs of its own, and the driver."""
    told = {**dict(flat(tomllib.loads(PROFILE.read_text()))), "count": "2"}
    for index, each in enumerate(names):
        told["system.driver_version"] = OTHER if faults.get(each) == "odd" else DRIVER
        told |= {f"gpu.{gpu}.uuid": f"GPU-{index:08x}-0000-0000-0000-{gpu:012x}" for gpu in range(2)}
        yield f"/opt/machines/{each}", "".join(f"{key}={value}\n" for key, value in told.items()).encode()


@contextmanager
def cluster(engine: DockerClient, names: Sequence[str], faults: Mapping[str, str]) -> Iterator[Cluster]:
    """Its one container, with the controller up."""
    dockerfile = slurm_cluster.DOCKERFILE.format(base=BASE, user=slurm_cluster.USER).encode()
    image, _ = engine.images.build(fileobj=io.BytesIO(dockerfile), tag=slurm_cluster.TAG, network_mode="host", rm=True)
    config = CONFIG.format(first=names[0][1:], last=names[-1][1:], port=PORT + 1, ports=PORT + len(names))
    with tempfile.TemporaryDirectory() as library:
        subprocess.run([sys.executable, fakenvml.__file__, library], check=True)
        files = {
            **slurm_cluster.FILES, "/etc/slurm/slurm.conf": config.encode(), "/etc/munge/munge.key": os.urandom(1024),
            "/opt/fakenvml/libnvidia-ml.so.1": Path(library, "libnvidia-ml.so.1").read_bytes(),
            "/opt/sick": "".join(f"{each} {fault}\n" for each, fault in faults.items()).encode(),
            **dict(machines(names, faults)),
        }  # fmt: skip
    network = engine.networks.create(f"gpucheck-slurm-nodes-{os.getpid()}", labels={containers.LABEL: "run"})
    try:
        container = engine.containers.create(
            str(image.id), ["sleep", "infinity"], hostname="ctl", init=True, labels={containers.LABEL: "run"},
            network=network.name, cap_add=["MKNOD", "SYS_ADMIN"],
            volumes={each: {"bind": each, "mode": "ro"} for each in {str(ROOT), slurm_cluster.PACKAGES}},
        )  # fmt: skip
        try:
            slurm_cluster.put(container, files)
            slurm_cluster.put(container, {"/opt/gpucheck": GPUCHECK.format(turns=AT_A_TIME).encode()}, 0o755)
            container.start()
            made = Cluster({"ctl": container})
            container.exec_run(["mkdir", slurm_cluster.SHARED])
            made.on("ctl", slurm_cluster.START.format(hooks=slurm_cluster.HOOKS))
            made.on("ctl", "slurmctld")
            yield made
        finally:
            container.remove(force=True)
    finally:
        network.remove()


def until(made: Cluster, script: str, wanted: int, seconds: float = 900) -> None:
    end = time.monotonic() + seconds
    while (said := made.on("ctl", script).strip()) != str(wanted):
        if time.monotonic() > end:
            sys.exit(f"{said} nodes after {seconds:g} s, and not {wanted}: {script}")
        time.sleep(1)


def wrong(page: Mapping[str, Any], names: Sequence[str], faults: Mapping[str, str]) -> Iterator[str]:
    """What is not told as it is."""
    rows: dict[str, dict[str, Any]] = {row["node"]: row for row in page["nodes"]}
    if len(page["nodes"]) != len(names) or set(rows) != set(names):
        yield f"{len(page['nodes'])} rows of {len(names)} nodes"
    for each in set(names) & set(rows):
        why = WHY.get(faults.get(each, ""))
        if why and (rows[each]["verdict"] != "missing" or why not in rows[each]["reason"]):
            yield f"{each} is {faults[each]}, and its row says: {rows[each]['verdict']}: {rows[each]['reason']}"
        if not why and (not rows[each]["command"] or rows[each]["driver"] not in (DRIVER, OTHER)):
            yield f"{each} is well, and its row says: {rows[each]['verdict']}: {rows[each]['reason']}"
    odd = {node for each in page["odd"] if each["what"] == "driver" for node in each["nodes"]}
    if odd != {each for each, fault in faults.items() if fault == "odd"}:
        yield f"by their driver are odd: {sorted(odd)}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("number", type=int, nargs="?", default=100, help="of nodes, 10 to 10,000 (100)")
    number = parser.parse_args().number
    if not 10 <= number <= 10_000:
        parser.error("10 to 10,000 nodes")
    names = [name(each, number) for each in range(1, number + 1)]
    faults = sick(names)
    with closing(containers.connect()) as engine, cluster(engine, names, faults) as made:
        began = time.monotonic()
        made.on("ctl", f"printf '%s\\n' {' '.join(names)} | xargs -P 4 -I NAME slurmd -N NAME")
        until(made, UP, number)
        print(f"{number} slurmd and their controller: up in {time.monotonic() - began:.0f} s,", end=" ")
        print(f"{int(made.on('ctl', MEMORY)) / 1e3:,.0f} MB of memory")
        for each, fault in faults.items():
            if fault == "drained":
                made.on("ctl", f"scontrol update nodename={each} state=drain reason='the fan is broken'")
            if fault == "down":
                made.on("ctl", f"kill -9 $(cat /run/slurmd-{each}.pid)")
        until(made, DOWN, sum(fault == "down" for fault in faults.values()))
        began = time.monotonic()
        code, processor, most = json.loads(made.on("ctl", shlex.join(("python3", "-c", RUN))))
        seconds = time.monotonic() - began
        said = made.on("ctl", "cat /shared/lines")
        page = made.on("ctl", "cat /shared/page")
    if not page:
        sys.exit(f"it ended with {code}: {said[-2000:]}")
    told = json.loads(page)
    found = [float(each) for each in re.findall(r"(?m)^(?!.*  missing: ).*\((\d+\.\d) s\)$", said)]
    last = max(found, default=seconds)
    print(f"fleet run: {seconds:.0f} s, exit code {code}; {len(found)} reports, the last after {last:.0f} s:", end=" ")
    print(f"{len(found) / last:.1f} nodes a second, {AT_A_TIME} doctors at a time on {os.cpu_count()} processors")
    print(f"fleet run itself, with its squeue: {processor:.0f} s of processor, {most:.0f} MB at most")
    print(f"rows: {len(told['nodes'])}, {', '.join(f'{count} {kind}' for kind, count in told['counts'].items())}")
    for cause in told["causes"][:8]:
        print(f"  {cause['number']:5} {cause['kind']}: {cause['said'][:110]}")
    for each in told["odd"]:
        print(f"  odd by {each['what']}: {len(each['nodes'])} nodes with {each['value']}, usual is {each['usual']}")
    print(f"sick on purpose: {', '.join(f'{count} {fault}' for fault, count in Counter(faults.values()).items())}")
    mistakes = list(wrong(told, names, faults))
    print("\n".join(mistakes[:20]) or "every node is told as it is")
    return int(bool(mistakes))


if __name__ == "__main__":
    sys.exit(main())
