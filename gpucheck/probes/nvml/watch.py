"""A program: what each GPU does, sampled, a line of JSON at a time, until its stdin closes.

    python -m gpucheck.probes.nvml.watch [--interval 0.1] [--pid PID] [--cgroup ID] [--mark NAME=value]

{"gpus": [{"index", "uuid", "name", "memory_total"}], "interval"}     first; or {"error": ...} and the end where none is
{"follow": t, "by": "process tree" | "cgroup"}        from here on processes are told apart: see ownership.Ours
{"t", "gpus": [{"index", "utilization", "memory_used", "power_mw", "energy_mj", "sm_mhz", "temperature_c", "processes",
    "error"}]}

"processes" is null or [{"pid", "used_bytes", "ours"}], with "unseen" where /proc has no such process; of more than
samples.MOST_LISTED the rest is a number, "unlisted". A line on stdin, {"pid", "cgroup", "mark"}, names whom to follow.
Times are seconds since 1970. A call that hangs ends the program by SIGALRM.

The pace halves when a minute has passed, and at each doubling of that time: 600 samples in the first minute, 300 more
in the second, in the next two, and so on; 3,750 in a day, which are 1 MB for one GPU, below 20 MB for eight crowded.
It is full again, ANEW times at most, when a process of the run comes to a GPU: the training may be the last part of a
run, and short. That can make four times as many samples.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import signal
import sys
import time
from typing import Any

from gpucheck.probes.nvml import TIMEOUT
from gpucheck.probes.nvml.ownership import Ours
from gpucheck.probes.nvml.samples import sample, start

INTERVAL = 0.1  # seconds
FULL_PACE = 60.0  # seconds
ANEW = 4
COST = 0.1  # of one core, at most: where NVML is slow, samples are fewer


def pace(interval: float, age: float) -> float:
    """Seconds from one sample to the next, when sampling is `age` seconds old."""
    while age > FULL_PACE:
        interval, age = interval * 2, age / 2
    return interval


class Clock:
    """What the pace is counted from: the start, and then each process of the run that comes to a GPU, ANEW at most."""

    def __init__(self, now: float) -> None:
        self.began = now
        self._met: set[int] = set()
        self._left = ANEW

    def meet(self, pids: set[int], now: float) -> None:
        if self._left and not pids <= self._met:
            self.began, self._met, self._left = now, self._met | pids, self._left - 1


def main() -> None:
    import pynvml  # type: ignore[import-untyped]

    options = _options()
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, options.deadline)
    gpus = start(pynvml)
    if isinstance(gpus, str):
        return _say({"error": gpus})
    named = [{"index": gpu.index, "uuid": gpu.uuid, "name": gpu.name, "memory_total": gpu.memory_total} for gpu in gpus]
    _say({"gpus": named, "interval": options.interval})
    ours, clock = Ours(), Clock(time.monotonic())
    if options.pid or options.cgroup or options.mark:
        ours = _follow({"pid": options.pid, "cgroup": options.cgroup, "mark": options.mark})
    while True:
        now, cpu = time.monotonic(), time.process_time()
        signal.setitimer(signal.ITIMER_REAL, options.deadline)
        seen = [sample(pynvml, gpu, ours) for gpu in gpus]
        _say({"t": round(time.time(), 3), "gpus": seen})
        signal.setitimer(signal.ITIMER_REAL, 0)
        clock.meet({row["pid"] for gpu in seen for row in gpu["processes"] or () if row["ours"]}, now)
        due = now + max(pace(options.interval, now - clock.began), (time.process_time() - cpu) / COST)
        while select.select([0], [], [], max(0.0, due - time.monotonic()))[0]:
            asked = os.read(0, 65536)  # whole lines: each is short, and was written at once
            if not asked:
                return None
            ours, clock = _follow(json.loads(asked.splitlines()[-1])), Clock(time.monotonic())


def _follow(root: dict[str, Any]) -> Ours:
    _say({"follow": round(time.time(), 3), "by": "cgroup" if root["cgroup"] else "process tree"})
    return Ours(**root)


def _say(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line, separators=(",", ":")) + "\n")
    sys.stdout.flush()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m gpucheck.probes.nvml.watch")
    parser.add_argument("--interval", type=float, default=INTERVAL)
    parser.add_argument("--deadline", type=float, default=TIMEOUT, help="seconds that NVML may take for one sample")
    parser.add_argument("--pid", type=int)
    parser.add_argument("--cgroup")
    parser.add_argument("--mark")
    return parser.parse_args()


if __name__ == "__main__":
    main()
