"""The nodes that train together, in rank order, as `verify --world` is told them: RANK@HOST,HOST,...[:PORT]."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gpucheck.host import CannotLook, Host
from gpucheck.model import Failure

AUTO = "auto"
PORT = 29400  # torchrun's own default
# Of a job without one: above what is registered much, below Linux's own range of outgoing ports (ip_local_port_range).
PORTS = range(20_000, 30_000)
FORM = "RANK@HOST,HOST,...[:PORT], as in 0@gpu-1,gpu-2; or auto, under Slurm"
WORLD = re.compile(r"(\d{1,6})@([^:@]+)(?::(\d{1,5}))?")
HOST = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?")


def whole(text: str) -> str:
    """The same with its port. Raises Failure."""
    found = WORLD.fullmatch(text)
    if not found:
        raise Failure(f"{text!r:.100} is no world", FORM)
    rank, hosts, port = int(found[1]), found[2].split(","), int(found[3] or PORT)
    if wrong := [host for host in hosts if not HOST.fullmatch(host)]:
        raise Failure(f"{wrong[0]!r:.100} is no host's name", FORM)
    if len(hosts) < 2 or len({host.lower() for host in hosts}) < len(hosts):
        raise Failure("a world has two hosts at least, each once", FORM)
    if rank >= len(hosts):
        raise Failure(f"rank {rank} of {len(hosts)} hosts", f"ranks are 0 to {len(hosts) - 1}, in the hosts' order")
    if not 1024 <= port <= 65535:
        raise Failure(f"{port} is no port for this", "1024 to 65535")
    return f"{rank}@{','.join(hosts)}:{port}"


def of_slurm(host: Host, environment: Mapping[str, str]) -> str:
    """Of the step that this is a task of. Raises Failure where it is none, or has several tasks a node."""
    names = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST")
    rank, job = environment.get("SLURM_NODEID", ""), environment.get("SLURM_JOB_ID", "")
    if not names or not rank.isdecimal() or not job.isdecimal():
        raise Failure("this is no task of Slurm's, so no world is known", f"start it by `srun`, or --world {FORM}")
    if environment.get("SLURM_LOCALID", "0") != "0":
        raise Failure("Slurm has started several tasks on this node", "`srun --ntasks-per-node=1`: one joins all GPUs")
    try:
        told = host.run(("scontrol", "show", "hostnames", names))
    except CannotLook as error:
        raise Failure(f"scontrol does not tell the nodes of {names:.100}: {error}", f"--world {FORM}") from error
    if told.code:
        raise Failure(f"scontrol does not tell the nodes of {names:.100}: {told.err.strip():.200}", f"--world {FORM}")
    hosts, name = told.out.split(), environment.get("SLURMD_NODENAME")
    if name in hosts:  # its number counts in slurm.conf's order, which need not be that of the list
        rank = str(hosts.index(name))
    return whole(f"{rank}@{','.join(hosts)}:{PORTS[int(job) % len(PORTS)]}")
