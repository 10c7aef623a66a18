"""One rank of PyTorch's world, as torchrun starts it: an all-reduce of known numbers, then a training by DDP."""

from __future__ import annotations

import datetime
import json
import os
import socket
from typing import Any

import numpy as np
import torch  # type: ignore[import-not-found]

from . import cifar10, parts, pytorch_network, pytorch_ranks, world, world_process


def _backend(options: Any) -> str:
    return "nccl" if options.device == "gpu" else "gloo"


def rank(options: Any) -> None:
    """One of this node's ranks; the first one reports."""
    torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) // options.devices))
    told = world.Told(options, torch.__version__, _backend(options))
    local = int(os.environ["LOCAL_RANK"])
    if local == 0:
        world_process.keep(options, told)
    store = None
    try:
        wait = datetime.timedelta(seconds=options.world_seconds)
        store = torch.distributed.TCPStore(os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"]), timeout=wait)
        _work(options, told, local, store, wait)
    except RuntimeError as error:  # all that torch.distributed raises
        told.refuse(error)
        told.document["refused"] = _cause(store, told)
    if local == 0:
        parts.write(options.out / "world.json", told.document)
    pytorch_ranks.leave()


def _cause(store: Any, told: world.Told) -> str:
    """What the first rank of all said that failed: the others know no more than that it is gone."""
    mine = f"{told.document['refused'][: world.LONGEST]} (rank {os.environ['RANK']} on {socket.gethostname()})"
    if store is None:
        return mine
    try:
        return str(store.compare_set("refused", "", mine).decode("utf-8", "replace"))
    except RuntimeError:
        return mine


def _work(options: Any, told: world.Told, local: int, store: Any, wait: datetime.timedelta) -> None:
    gpu = options.device == "gpu"
    if gpu and torch.cuda.device_count() < options.devices:
        raise RuntimeError(f"PyTorch sees {torch.cuda.device_count()} GPUs, and {options.devices} were asked for")
    device = torch.device("cuda", local) if gpu else torch.device("cpu")
    if gpu:
        torch.cuda.set_device(device)
    number, count = (int(os.environ[name]) for name in ("RANK", "WORLD_SIZE"))
    meeting = torch.distributed.PrefixStore("meeting", store)
    torch.distributed.init_process_group(
        _backend(options), store=meeting, rank=number, world_size=count, timeout=wait
    )  # fmt: skip
    found = [_reduced(told, device, number, count, size) for size in told.sizes]
    told.enter("in the training")
    losses, weights = _trained(options.seed, device, number, count)
    told.enter("when the ranks told what they had come to")
    name = f"GPU:{local}" if gpu else f"CPU:{local}"
    mine = told.rank(number, name, samples=len(losses) * world.BATCH, wrong=sum(found), weights=weights)
    store.set(f"rank {number}", json.dumps({"rank": mine, "losses": losses, "found": found}))
    everyone = [json.loads(store.get(f"rank {other}")) for other in range(count)]
    for at, row in enumerate(told.document["reductions"]):
        row["wrong"] = sum(one["found"][at] for one in everyone if one["rank"]["node"] == told.world.node)
    told.done([one["rank"] for one in everyone], np.mean([one["losses"] for one in everyone], axis=0))


def _reduced(told: world.Told, device: Any, number: int, count: int, size: int) -> int:
    """How many elements this rank saw wrong."""
    mine = torch.from_numpy(world.numbers(number, size // 4)).to(device)
    sums, flag = torch.empty_like(mine), torch.zeros(1, device=device)

    def begin() -> None:
        sums.copy_(mine)
        torch.distributed.all_reduce(flag)
        flag.item()  # waits for the device

    def reduce() -> list[Any]:
        torch.distributed.all_reduce(sums)
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return [lambda: sums.cpu().numpy()]

    (wrong,) = told.reduce(size, begin, reduce, world.total(count))
    return int(wrong)


def _trained(seed: int, device: Any, number: int, count: int) -> tuple[list[float], str]:
    """The losses of this rank's samples, and the digest of its weights."""
    torch.manual_seed(seed)
    images = cifar10.synthetic(seed * count + number, train=world.STEPS * world.BATCH, test=0)
    x = torch.from_numpy(images.x_train).to(device).permute(0, 3, 1, 2).float() / 255
    y = torch.from_numpy(images.y_train).to(device)
    network = pytorch_network.cnn(torch).to(device)
    model = torch.nn.parallel.DistributedDataParallel(network)
    optimizer = torch.optim.Adam(model.parameters(), eps=pytorch_network.ADAM_EPSILON)
    losses = []
    for start in range(0, len(y), world.BATCH):
        cut = slice(start, start + world.BATCH)
        loss = torch.nn.functional.cross_entropy(model(x[cut]), y[cut])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses, world.digest(weight.detach().cpu().numpy() for weight in network.parameters())


if __name__ == "__main__":
    parts.bound()
    rank(parts.parser("payloads.pytorch_world_rank").parse_args())
