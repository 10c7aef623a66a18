"""PyTorch over several nodes: torchrun on each starts its ranks, which add up numbers and train by DDP.

On GPUs they talk by NCCL, on the CPU by gloo. They find one another by torchrun's static rendezvous, which knows each
node's rank beforehand; the facts of all ranks travel by its store.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import torch  # type: ignore[import-not-found]
from torch.distributed import run  # type: ignore[import-not-found]
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError  # type: ignore[import-not-found]

from . import parts, world, world_network, world_process

AFTER = 5.0  # seconds for the other nodes' agents once this node has reported; torchrun's own are 300
# A collective that waits too long raises. Without it NCCL's watchdog aborts the process, and nothing can be told.
RAISING = {"TORCH_NCCL_BLOCKING_WAIT": "1"}


def join(options: Any, say: parts.Say) -> None:
    """This node's agent, in this process: torch.distributed.run with `-m payloads.pytorch_world_rank` for its ranks."""
    told = world.Told(options, torch.__version__, "nccl" if options.device == "gpu" else "gloo")
    world_process.keep(options, told)
    asked, report = options.world, options.out / "world.json"
    os.environ.update({name: os.environ.get(name, value) for name, value in RAISING.items()})
    say(f"node {asked.node} of {len(asked.hosts)}, {options.devices} devices on each, meeting at {asked.first()}")
    threading.Thread(target=_end_after, args=(report, say), daemon=True).start()
    try:
        world_network.await_names(asked, options.world_seconds)
        if options.device == "cpu" and (way := world_network.interface(asked)):
            os.environ.setdefault("GLOO_SOCKET_IFNAME", way)
        run.main([
            "--nnodes", str(len(asked.hosts)), "--node-rank", str(asked.node), "--nproc-per-node", str(options.devices),
            "--master-addr", asked.hosts[0], "--master-port", str(asked.port),
            "--rdzv-conf", f"timeout={options.world_seconds}", "--max-restarts", "0", "--log-dir", os.devnull,
            "--module", "payloads.pytorch_world_rank", *sys.argv[1:],
        ])  # fmt: skip
    except ChildFailedError:  # a rank died; what its neighbours say of it is not the cause
        report.unlink(missing_ok=True)
        raise
    except (RuntimeError, OSError) as error:
        told.refuse(error)
        parts.write(report, told.document)
    _tell(report, say)


def _end_after(report: Path, say: parts.Say) -> None:
    while not report.exists():
        time.sleep(0.2)
    time.sleep(AFTER)
    _tell(report, say)
    os._exit(0)


def _tell(report: Path, say: parts.Say) -> None:
    refused = json.loads(report.read_text())["refused"]
    say(f"refused: {refused}" if refused else "done")


if __name__ == "__main__":
    parts.bound()
    chosen = parts.parser("payloads.pytorch_world").parse_args()
    join(chosen, parts.speaker(chosen.progress))
