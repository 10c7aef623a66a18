"""What the driver's own library, NVML, says of every GPU.

NVML hangs and crashes with the GPU it asks, so it is loaded only in a child process: `python -m gpucheck.probes.nvml`.
"""

from __future__ import annotations

import json
import signal

from gpucheck import codec
from gpucheck.facts import Nvml
from gpucheck.host import CannotLook, Host, Result

COMMAND = ("python", "-m", "gpucheck.probes.nvml")
TIMEOUT = 30.0  # seconds: without persistence mode the driver wakes every GPU first, and each takes a second or two


def probe(host: Host, timeout: float = TIMEOUT) -> Nvml:
    """Raises CannotLook where NVML hangs or crashes. No library, or a driver that refuses, is an `Nvml.error`."""
    try:
        result = host.run(COMMAND, timeout=timeout)
    except CannotLook as reason:
        _, late, limit = str(reason).partition("did not answer within ")
        if late:
            raise CannotLook(f"NVML did not answer within {limit}: the driver or a GPU hangs") from reason
        raise
    return parse(result)


def parse(result: Result) -> Nvml:
    if result.code < 0:
        raise CannotLook(f"NVML crashed: the process that asked it was ended by {_signal_name(-result.code)}")
    if result.code != 0:
        last = (result.err.strip() or "it said nothing").splitlines()[-1]
        raise CannotLook(f"NVML could not be asked (exit code {result.code}): {last.rstrip('.')}")
    try:
        return codec.load(Nvml, json.loads(result.out))
    except ValueError as error:  # not JSON, or JSON of another shape
        raise CannotLook(f"the answer about NVML cannot be read: {error}") from error


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
