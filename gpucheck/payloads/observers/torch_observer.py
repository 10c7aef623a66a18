"""Switches PyTorch's profiler on for a while, in any process and from any thread: its ops, their devices, its kernels.

One profiler brings both. Kineto's trace has the kernels that CUPTI saw; the profiler's own tree of events has the
devices of each op's inputs, and is written in the format of ExecutionTraceObserver. That observer itself is no choice
for a process that is already at work: opened while another thread is in backward, it reads the empty stack of the
forward thread and the process dies (seen in PyTorch 2.13).
"""

from __future__ import annotations

import contextlib
import ctypes
import gzip
import json
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

FRAMEWORK = "torch"
SOURCE = "torch.profiler"
PATIENCE = 10.0  # seconds that a program which could use a GPU gets to do so, before its CPU is looked at alone
MAIN_THREAD = 0.5  # seconds to wait for it
MOST_OPS = 20_000  # whose devices are written: walking the tree holds the program up
DRIVER = ("/dev/nvidiactl", "/dev/dxg")
# What only CUPTI brings. The profiler synchronises the GPU before it stops, so there is at least that call.
_TRACED = re.compile(rb'"cat": ?"(?:cuda_(?:runtime|driver)|kernel|gpu_)')
_first_asked: list[float] = []
_kept: list[Any] = []  # a call that came too late for its purpose may still be made


class Window(NamedTuple):
    profile: Any  # None = it could not be started
    folder: Path
    stem: str
    placement: bool
    kernels: bool
    cuda: bool  # was in use
    began: float
    told: dict[str, Any]


def begin() -> None:
    """Anew, in a process that was observed before."""
    _first_asked.clear()


def ready() -> bool:
    """The program has imported PyTorch, and initialised CUDA if it is going to: the profiler would touch the driver."""
    torch = sys.modules.get("torch")
    if torch is None or getattr(getattr(torch, "__spec__", None), "_initializing", False):
        return False
    if not _first_asked:
        _first_asked.append(time.monotonic())
    gpu_possible = torch.backends.cuda.is_built() and any(map(os.path.exists, DRIVER))
    return not gpu_possible or torch.cuda.is_initialized() or time.monotonic() > _first_asked[0] + PATIENCE


def devices() -> list[str]:
    torch = sys.modules.get("torch")
    if torch is None or not ready():
        return []
    gpus = torch.cuda.device_count() if torch.cuda.is_initialized() else 0
    return ["CPU:0", *(f"GPU:{index}" for index in range(gpus))]


def start(folder: Path, stem: str, placement: bool = True, kernels: bool = True) -> Window:
    torch: Any = sys.modules["torch"]
    cuda = torch.cuda.is_initialized()
    told = dict.fromkeys(("kernels", "placement", "blind", "error"))
    profile = None
    try:
        traced = cuda and torch.profiler.ProfilerActivity.CUDA in torch.profiler.supported_activities()
        if cuda and not traced:
            told["blind"] = "this PyTorch was built without CUPTI, so its profiler sees no kernels"
        made = torch.autograd.profiler.profile(
            use_kineto=True, use_device="cuda" if traced else None, record_shapes=placement,
            experimental_config=_every_thread(torch),
        )  # fmt: skip
        profile = _in_main_thread(lambda: _begun(torch, made))
    except Exception as problem:  # noqa: BLE001 - the program that is observed must not notice
        told["error"] = _said(problem)
    return Window(profile, Path(folder), stem, placement, kernels, cuda, time.monotonic(), told)


def stop(handle: Window) -> dict[str, Any]:
    told = {"source": SOURCE, "seconds": time.monotonic() - handle.began, **handle.told}
    if handle.profile is None:
        return told
    try:
        with _gpu_of_this_process(sys.modules["torch"], handle.cuda):
            handle.profile.__exit__(None, None, None)
        results = handle.profile.kineto_results
        if not results.trace_start_ns():
            raise RuntimeError("the program began to profile itself, which ended this profile")
        if handle.kernels:
            told["kernels"], traced = _export(handle)
            if handle.cuda and not traced:
                told["blind"] = told["blind"] or "CUPTI brought nothing, not even the profiler's own wait for the GPU"
        if handle.placement:
            told["placement"] = _placement(results.experimental_event_tree(), handle)
    except Exception as problem:  # noqa: BLE001 - the program that is observed must not notice
        told["error"] = _said(problem)
    return told


def final(folder: Path, stem: str) -> dict[str, Any] | None:  # noqa: ARG001
    """PyTorch keeps nothing that could be asked at the end."""
    return None


def _every_thread(torch: Any) -> Any:
    config = torch.profiler._ExperimentalConfig
    try:
        return config(profile_all_threads=True)
    except TypeError:  # older than 2.6: it sees the thread that started it, and must be stopped there
        if not _is_main_thread():
            raise RuntimeError(f"PyTorch {torch.__version__} profiles no other thread than its own") from None
        return config()


def _begun(torch: Any, profile: Any) -> Any:
    if torch.autograd.profiler._is_profiler_enabled:  # a second one ends the first, and then the process
        raise RuntimeError("the program is profiling itself, and PyTorch has one profiler at a time")
    return profile.__enter__()


def _is_main_thread() -> bool:
    return threading.get_ident() == threading.main_thread().ident  # current_thread() would register ours


def _in_main_thread(work: Callable[[], Any]) -> Any:
    """Do it there between two bytecodes: Kineto complains on stderr about any other thread than PyTorch's first.

    A main thread that waits for others never comes to it; then it is done here.
    """
    if _is_main_thread():
        return work()
    from concurrent import futures

    future: futures.Future[Any] = futures.Future()

    def pending(_: Any) -> int:
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(work())
            except Exception as problem:  # noqa: BLE001 - raised below, in the thread that asked
                future.set_exception(problem)
        return 0

    call = ctypes.PYFUNCTYPE(ctypes.c_int, ctypes.c_void_p)(pending)
    _kept.append(call)
    ctypes.pythonapi.Py_AddPendingCall(call, None)
    try:
        return future.result(MAIN_THREAD)
    except futures.TimeoutError:
        return work() if future.cancel() else future.result()


def _gpu_of_this_process(torch: Any, cuda: bool) -> Any:
    """The profiler synchronises with the current GPU, which in a new thread is GPU 0, perhaps another process's."""
    gpus = range(torch.cuda.device_count()) if cuda else ()
    return torch.cuda.device(max(gpus, key=torch.cuda.memory_reserved)) if gpus else contextlib.nullcontext()


def _export(handle: Window) -> tuple[str, bool]:
    """The trace's name, and whether CUPTI has brought anything into it."""
    name = f"{handle.stem}.kineto.json.gz"
    plain = handle.folder / f"{handle.stem}.kineto.part"
    handle.profile.kineto_results.save(str(plain))
    trace = plain.read_bytes()
    plain.unlink()
    (handle.folder / name).write_bytes(gzip.compress(trace, 4))
    return name, bool(_TRACED.search(trace))


def _placement(tree: list[Any], handle: Window) -> str:
    name = f"{handle.stem}.trace.json.gz"
    with gzip.open(handle.folder / name, "wt", compresslevel=4) as file:
        file.write('{"schema": "1.1.1-chakra.0.0.4", "source": "torch.profiler", "nodes": [')
        file.writelines(f"{',' if index else ''}\n{json.dumps(node)}" for index, node in enumerate(_nodes(tree)))
        file.write("\n]}\n")
    return name


def _nodes(tree: list[Any]) -> Iterator[dict[str, Any]]:
    from torch._C._profiler import _EventType, _TensorMetadata  # type: ignore[import-not-found]

    def tensors(values: Any) -> Iterator[Any]:
        for value in values:
            if isinstance(value, _TensorMetadata):
                yield value
            elif isinstance(value, (list, tuple)):
                yield from tensors(value)

    waiting, written = list(reversed(tree)), 0
    while waiting and written < MOST_OPS:
        event = waiting.pop()
        waiting.extend(reversed(event.children))
        if event.tag != _EventType.TorchOp:
            continue
        written += 1
        op = event.typed[1]
        inputs = list(tensors(op.inputs))
        yield {
            "id": written + 1, "name": event.name, "ctrl_deps": 1,
            "inputs": {
                "values": [[0, 0, 0, 0, 0, str(tensor.device)] for tensor in inputs],
                "shapes": [tensor.sizes for tensor in inputs], "types": ["Tensor"] * len(inputs),
            },
            "outputs": {"values": [], "shapes": [], "types": []},
            "attrs": [{"name": "scope", "type": "uint64", "value": int(op.scope)}],
        }  # fmt: skip


def _said(problem: Exception) -> str:
    return f"{type(problem).__name__}: {problem}".splitlines()[0]
