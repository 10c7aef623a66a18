"""PyTorch, observed: a probe of 16 steps with its execution trace, then the training as a user would run it.

    PYTHONPATH=<the folder that holds payloads/> python -m payloads.pytorch --out DIR [--device cpu] ...

PyTorch moves nothing by itself: an op runs where its tensors are, or fails. So the probe is always strict about its
ops, and --strict is about the device itself.
"""

from __future__ import annotations

import contextlib
import gzip
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from . import cifar10, parts, program, pytorch_network, pytorch_training, world_process

STEPS = 16  # of the probe
PROBE_BATCH = 32
# cuBLAS keeps to one order of its sums only with a workspace of a fixed size.
QUIET = {"CUBLAS_WORKSPACE_CONFIG": ":4096:8"}


def main() -> int:
    return program.main("pytorch", probe, pytorch_training.train, quiet=QUIET, world=join)


def join(options: Any, say: parts.Say) -> None:
    world_process.supervise("payloads.pytorch_world", options, say)


def probe(options: Any, say: parts.Say) -> None:
    """A few steps, every dispatched op traced with the device of each of its tensors."""
    import torch  # type: ignore[import-not-found]

    torch.manual_seed(options.seed)
    refused, losses, trace = None, [], None
    device = "cuda:0" if options.device == "gpu" and (options.strict or torch.cuda.is_available()) else "cpu"
    try:
        torch.zeros(1, device=device)
    except (AssertionError, RuntimeError) as error:  # a wheel without CUDA asserts
        if not options.strict:
            raise
        refused = str(error).splitlines()[0]
        say("refused")
    else:
        say(f"{STEPS} steps on {device}{', strictly' if options.strict else ''}")
        trace = f"{options.stem}.trace.json.gz"
        losses = steps(torch, device, options.seed, options.out / trace)
    cuda = torch.cuda.is_available()
    parts.write(
        options.out / ("strict.json" if refused else f"{options.stem}.json"),
        {
            "framework_version": torch.__version__, "device": options.device, "strict": options.strict,
            "refused": refused, "steps": len(losses), "eager_steps": 0, "batch_size": PROBE_BATCH, "losses": losses,
            "devices": pytorch_network.devices(torch), "gpu_build": torch.backends.cuda.is_built(),
            "gpus": [str(torch.cuda.get_device_properties(gpu)) for gpu in range(torch.cuda.device_count() * cuda)],
            "placement": {"kind": "execution-trace", "file": trace},
        },
    )  # fmt: skip


def steps(torch: Any, device: str, seed: int, trace: Path) -> list[float]:
    """The losses of the probe's steps."""
    images = cifar10.synthetic(seed, train=STEPS * PROBE_BATCH, test=0)
    x = torch.from_numpy(images.x_train).to(device).permute(0, 3, 1, 2).float() / 255
    y = torch.from_numpy(images.y_train).to(device)
    model = pytorch_network.cnn(torch).to(device)
    optimizer = torch.optim.Adam(model.parameters(), eps=pytorch_network.ADAM_EPSILON)
    losses = []
    with traced(torch, trace):
        for start in range(0, STEPS * PROBE_BATCH, PROBE_BATCH):
            cut = slice(start, start + PROBE_BATCH)
            loss = torch.nn.functional.cross_entropy(model(x[cut]), y[cut])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(float(loss.detach()))
    return losses


@contextlib.contextmanager
def traced(torch: Any, path: Path) -> Iterator[None]:
    """Every op that any thread dispatches meanwhile, into `path`, gzipped. Nothing may be dispatched at either end."""
    plain = path.with_suffix(".part")
    observer = torch.profiler.ExecutionTraceObserver()
    observer.register_callback(str(plain))
    observer.start()
    try:
        yield
    finally:
        observer.stop()
        observer.unregister_callback()
        with plain.open("rb") as trace, gzip.open(path, "wb") as small:
            shutil.copyfileobj(trace, small)
        plain.unlink()


if __name__ == "__main__":
    sys.exit(main())
