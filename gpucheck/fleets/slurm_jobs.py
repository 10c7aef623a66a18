"""The job arrays of a run: one task a node, held until each is pinned to its own node, then released together.

An array has one --nodelist for all tasks, and Slurm takes it for a list that each of them needs. But a held task's own
list may be changed by its owner, so that one array serves any set of nodes, and one scancel ends it.
"""

from __future__ import annotations

import getpass
import math
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gpucheck.fleets.runs import Asked, printable
from gpucheck.model import Failure

PATIENCE = 60  # seconds for one answer of slurmctld
KEPT = ("SBATCH_ACCOUNT", "SBATCH_QOS", "SBATCH_RESERVATION")  # of the user's defaults
CHANGING = ("SBATCH_", "SQUEUE_", "SINFO_", "SCANCEL_", "SCONTROL_")  # variables that alter what these commands do
PASSED = ("account", "qos", "reservation")  # options that are sbatch's own
ROW = "%F|%K|%T|%n|%r"  # array, task, state, the nodes that it must have, reason
OVER = ("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED",
        "REQUEUE_HOLD", "REVOKED", "SPECIAL_EXIT", "TIMEOUT")  # fmt: skip
NO_FOLDER = 73  # sysexits.h: EX_CANTCREAT
# A report is whole where gpucheck says 0, 1, 3 or 70; it appears under its name in one step, or not at all. Where Slurm
# ends the command, this script is ended next, and waits for that: it has nothing to tell.
SCRIPT = """umask 077
at={folder}/$SLURMD_NODENAME
part={folder}/.$SLURMD_NODENAME.$SLURM_JOB_ID
trap 'rm -f "$part" "$part.said"' EXIT
trap 'exit 143' TERM INT
true > "$part" || exit {no_folder}
{command} > "$part" 2> "$part.said"
code=$?
[ $code -lt 128 ] || sleep 1
case $code in 0|1|3|70) [ -s "$part" ] && {{ mv "$part" "$at.json" || exit {no_folder}; exit 0; }} ;; esac
{{ echo "$code"; tail -n 3 "$part.said"; }} > "$part" && mv "$part" "$at.failed" || exit {no_folder}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    state: str
    pinned: str
    reason: str

    @property
    def over(self) -> bool:
        """Nothing will come of it any more; what a prolog turned away is held for ever."""
        return self.state in OVER or "requeued held" in self.reason or self.reason == "JobHoldMaxRequeue"


Tasks = Mapping[tuple[str, int], Task]  # by array and number


def ask(argv: Sequence[str], text: str = "", seconds: float = PATIENCE) -> str:
    """What a Slurm command prints. Raises Failure where it refuses or is not there."""
    own = {name: value for name, value in os.environ.items() if name in KEPT or not name.startswith(CHANGING)}
    try:
        done = subprocess.run(
            argv, input=text, capture_output=True, text=True, errors="replace", timeout=seconds,
            env={**own, "LC_ALL": "C"},
        )  # fmt: skip
    except FileNotFoundError as missing:
        raise Failure(f"there is no {argv[0]} here", "run it on a login node of the Slurm cluster") from missing
    except OSError as error:
        raise Failure(f"{argv[0]} cannot be started: {error.strerror}", "is Slurm's client whole?") from error
    except subprocess.TimeoutExpired as late:
        raise Failure(
            f"{argv[0]} did not answer within {seconds:g} s", "`scontrol ping` asks for slurmctld", 1
        ) from late
    if done.returncode:
        said = printable(next((line for line in reversed(done.stderr.splitlines()) if line.strip()), "no reason told"))
        said = re.sub(rf"^{argv[0]}: (error|fatal): ", "", said)
        raise Failure(f"{argv[0]} refused: {said}", f"`{argv[0]}` on its own shows more", 1)
    return done.stdout


def largest_array() -> int:
    """How many tasks an array may have. Raises Failure where the cluster has none."""
    told = re.search(r"^MaxArraySize\s*= (\d+)", ask(("scontrol", "show", "config")), re.MULTILINE)
    if not told or told[1] == "0":
        raise Failure("this cluster allows no job arrays", "MaxArraySize in slurm.conf is how large they may be")
    return int(told[1])


def submit(asked: Asked, folder: Path, name: str, partition: str, gpus: int, tasks: int) -> str:
    """A held array; its number. It goes of itself if nobody releases or cancels it. Raises Failure."""
    at_once = f"%{asked.options['fanout']}" if "fanout" in asked.options else ""
    array = ("--hold", f"--array=0-{tasks - 1}{at_once}", "--nodes=1", "--ntasks=1")
    return sbatch(asked, name, partition, gpus, array, "#!/bin/sh\n" + task(folder, (*asked.program, *asked.command)))


def task(folder: Path, command: Sequence[str]) -> str:
    """What a node does: the command, whose report appears in the folder."""
    return SCRIPT.format(folder=shlex.quote(str(folder)), command=shlex.join(command), no_folder=NO_FOLDER)


def sbatch(asked: Asked, name: str, partition: str, gpus: int, words: Sequence[str], script: str) -> str:
    """The job's number. Raises Failure."""
    minutes = math.ceil(asked.deadline / 60)
    passed = [f"--{option}={asked.options[option]}" for option in PASSED if option in asked.options]
    said = ask((
        "sbatch", "--parsable", *words, "--no-requeue", f"--job-name={name}", f"--partition={partition}",
        f"--time={minutes}", "--output=/dev/null", f"--deadline=now+{2 * 60 * minutes}seconds",
        *([f"--gres=gpu:{gpus}"] if gpus else []), *passed,
    ), script)  # fmt: skip
    return said.strip().partition(";")[0]


def pin(array: str, nodes: Sequence[str]) -> None:
    """Task i to node i, all by one scontrol; rows() tells what came of it."""
    lines = [f"update jobid={array}_{task} reqnodelist={node}\n" for task, node in enumerate(nodes)]
    ask(("scontrol",), "".join(lines), PATIENCE + len(lines) / 10)


def release(array: str) -> None:
    ask(("scontrol", "release", array))


def rows(arrays: Sequence[str]) -> Tasks:
    """Of each task what is known; slurmctld forgets what ended minutes ago (MinJobAge). Raises Failure."""
    try:
        text = ask(("squeue", "--noheader", "--array", "--states=all", f"--jobs={','.join(arrays)}", f"--format={ROW}"))
    except Failure as failure:
        if "Invalid job id" not in str(failure):
            raise
        return {}
    return dict(_parsed(text))


def _parsed(text: str) -> Iterator[tuple[tuple[str, int], Task]]:
    for line in text.splitlines():
        cells = line.strip().split("|", 4)
        if len(cells) == 5 and (cells[1].isdecimal() or cells[1] == "N/A"):
            task = int(cells[1]) if cells[1].isdecimal() else 0  # of a job that is no array, it is the only one
            yield (cells[0], task), Task(state=cells[2], pinned=cells[3], reason=cells[4])


def exit_code(array: str, task: int) -> int | None:
    try:
        told = re.search(r" ExitCode=(\d+):", ask(("scontrol", "--oneliner", "show", "job", f"{array}_{task}")))
    except Failure:
        return None
    return int(told[1]) if told else None


def cancel(name: str) -> None:
    """All of the run, by its name: an sbatch that was interrupted has told no number. Raises Failure."""
    ask(("scancel", f"--user={getpass.getuser()}", f"--name={name}"))
