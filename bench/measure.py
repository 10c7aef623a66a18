"""What gpucheck itself costs: doctor, also with many GPUs, --version, the placement parser, its fuzzing.

usage: scripts/bench cost [--torch PYTHON]     PYTHON: an interpreter that has torch, for its collect_env
"""

from __future__ import annotations

import argparse
import gzip
import itertools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Sequence
from pathlib import Path

from rich.progress import track

from bench import rows

ROOT = Path(__file__).resolve().parent.parent
SAMPLES = ROOT / "tests" / "witnesses" / "samples"
FAKENVML = ROOT / "tests" / "fakenvml"
MILLION = 1_000_000
ROUNDS = 15


def interleaved(commands: dict[str, Sequence[str]], rounds: int) -> dict[str, float]:
    """Median wall seconds of whole processes, taken in turn so that a busy moment hits them all alike."""
    times: dict[str, list[float]] = {name: [] for name in commands}
    for _ in track(range(rounds), description=" ".join(commands), transient=True, disable=not sys.stderr.isatty()):
        for name, command in commands.items():
            started = time.perf_counter()
            subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
            times[name].append(time.perf_counter() - started)
    return {name: statistics.median(values) for name, values in times.items()}


def on_gpus(folder: Path, gpus: int, command: Sequence[str]) -> Sequence[str]:
    """The command on a fake H100x8 with that many GPUs, which tests/fakenvml/build.py has built into the folder."""
    from tests.conftest import flat

    table = dict(flat(tomllib.loads((FAKENVML / "profiles" / "h100x8.toml").read_text())))
    for n in range(gpus):
        own = {"uuid": f"GPU-{n:08x}", "serial": n, "minor": n, "pci_bus_id": f"00000000:{n + 1:02X}:00.0"}
        table |= {f"gpu.{n}.{key}": str(value) for key, value in own.items()}
    profile = folder / f"h100x{gpus}"
    profile.write_text("".join(f"{key}={value}\n" for key, value in {**table, "count": str(gpus)}.items()))
    return ("env", f"LD_LIBRARY_PATH={folder}", f"FAKE_NVML_PROFILE={profile}", *command)


def many_gpus(add: Callable[..., None], doctor: Sequence[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, FAKENVML / "build.py", folder], check=True)
        eight, most = (on_gpus(Path(folder), gpus, doctor) for gpus in (8, 64))
        times = interleaved({"8 GPUs": eight, "64 GPUs": most, "none": doctor}, ROUNDS)
        cost = (times["64 GPUs"] - times["8 GPUs"]) / 56 * 1000
        told = ("scripts/bench", "cost")
        add(
            "doctor on a fake H100x8, wall", times["8 GPUs"], "s", "doctor without a GPU", times["none"], "<= 1.0", told
        )
        add(
            "doctor on 64 fake H100, wall", times["64 GPUs"], "s", "doctor without a GPU", times["none"], "<= 1.0", told
        )
        add("doctor, cost of a GPU", cost, "ms", "from 8 to 64", None, "small", told)
        memory = {name: peak_kib(command) / 1024 for name, command in (("8", eight), ("64", most))}
        add("doctor on a fake H100x8, peak memory", memory["8"], "MiB", "largest process", None, "<= 80", told)
        add("doctor on 64 fake H100, peak memory", memory["64"], "MiB", "largest process", None, "<= 80", told)


def peak_kib(command: Sequence[str]) -> int:
    """The largest resident size that a process or one of its awaited children reached (GNU time's %M)."""
    code = "import os,resource,subprocess,sys; subprocess.run(sys.argv[1:],stdout=-3,stderr=-3); "
    code += "print(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss)"
    return int(subprocess.run([sys.executable, "-c", code, *command], capture_output=True, text=True).stdout)


def write_log(path: Path) -> None:
    """A million lines of the recorded samples, one after the other."""
    lines: list[str] = []
    for sample in sorted(SAMPLES.glob("*.gz")):
        with gzip.open(sample, "rt", errors="replace") as file:
            lines += file
    with path.open("w") as file:
        file.writelines(itertools.islice(itertools.cycle(lines), MILLION))


def read_log(path: Path, parse: bool) -> tuple[float, float]:
    """(CPU seconds, MiB above the start) to run a log's lines through the parser, or only to read them."""
    from gpucheck.witnesses import placement_log

    before = own_kib("VmRSS")
    started = time.process_time()
    with path.open(encoding="utf-8", errors="replace") as lines:
        if parse:
            placement_log.parse(lines)
        else:
            for _ in lines:
                pass
    return time.process_time() - started, (own_kib("VmHWM") - before) / 1024


def own_kib(what: str) -> int:
    """Of /proc/self/status. Not getrusage: its peak is inherited from the parent through exec, and hides a growth."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith(f"{what}:")))


def in_child(path: Path, parse: bool) -> tuple[float, float]:
    command = [sys.executable, __file__, "--log", str(path), *(["--parse"] if parse else [])]
    seconds, mib = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    return seconds, mib


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--torch", default=os.environ.get("GPUCHECK_TORCH_PYTHON"))
    options.add_argument("--log", type=Path, help=argparse.SUPPRESS)
    options.add_argument("--parse", action="store_true", help=argparse.SUPPRESS)
    args = options.parse_args()
    if args.log:
        sys.stdout.write(json.dumps(read_log(args.log, args.parse)))
        return
    doctor = (sys.executable, "-m", "gpucheck", "doctor")
    version = (sys.executable, "-m", "gpucheck", "--version")
    nothing = (sys.executable, "-c", "pass")
    row = rows.Rows().add

    times = interleaved({"doctor": doctor, "version": version, "pass": nothing}, ROUNDS)
    row("doctor, wall", times["doctor"], "s", "python -c pass", times["pass"], "<= 0.5", doctor)
    row("--version, wall", times["version"], "s", "python -c pass", times["pass"], "<= 0.15", version)
    if args.torch:
        peer = (args.torch, "-m", "torch.utils.collect_env")
        times = interleaved({"doctor": doctor, "collect_env": peer}, 3)
        row("doctor against collect_env", times["doctor"], "s", "torch.utils.collect_env", times["collect_env"],
            "< 1 (ratio)", doctor)  # fmt: skip
    memory = peak_kib(doctor) / 1024
    row("doctor, peak memory", memory, "MiB", "python -c pass", peak_kib(nothing) / 1024, "<= 60", doctor)
    many_gpus(row, doctor)
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        write_log(log)
        (seconds, mib), (floor, _) = in_child(log, True), in_child(log, False)
    command = ("scripts/bench",)
    row("placement parser, CPU", MILLION / seconds, "lines/s", "reading the file", MILLION / floor,
        "a few s per million", command)  # fmt: skip
    row("placement parser, memory above the start", mib, "MiB", "a million lines", 0, "<= 50", command)
    fuzzing = (sys.executable, "-m", "bench.fuzz", str(MILLION))
    fuzzed = json.loads(subprocess.run(fuzzing, capture_output=True, text=True, check=True).stdout)
    row(
        "parsers, crashes in mutated lines",
        fuzzed["crashes"],
        "crashes",
        f"{fuzzed['lines']} lines",
        None,
        "0",
        command,
    )
    row("parsers, memory above the start", fuzzed["mib_above_start"], "MiB", "mutated lines", None, "flat", fuzzing)


if __name__ == "__main__":
    main()
