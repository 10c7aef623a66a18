"""The commands on a fixture machine's PATH: shell scripts that print what its description has, and no more."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping

from gpucheck.host import NO_SUCH_COMMAND, CannotLook, Result
from gpucheck.probes import services
from tests.machines.parts import Described

SUDO_REFUSES = (
    "sudo: a terminal is required to read the password; either use the -S option to read from standard input or "
    "configure an askpass helper\nsudo: a password is required\n"
)
NO_SUCH_BOOT = "Data from the specified boot ({}) is not available: No such boot ID in journal\n"


def printing(out: str, err: str = "", code: int = 0) -> str:
    told = "".join(f"cat <<'END'{to}\n{text.rstrip()}\nEND\n" for text, to in ((out, ""), (err, " >&2")) if text)
    return f"{told}exit {code}\n"


def scripts(described: Described, *, sudo: bool) -> dict[str, str]:
    dmesg = answer(described.runs, ("dmesg",))
    as_json = Result(code=dmesg.code, out=json.dumps({"dmesg": kernel_log(dmesg.out)}, indent=3), err=dmesg.err)
    made = {
        "dmesg": choose({"*--json*": as_json if dmesg.code == 0 else dmesg}, dmesg),
        "journalctl": choose(
            {f"*-b?{boot}*": Result(code=1, out="", err=NO_SUCH_BOOT.format(boot)) for boot in ("-1", "-2")},
            Result(code=0, out=journal(dmesg.out), err=""),
        ),
        "sudo": 'exec "$@"\n' if sudo else printing("", SUDO_REFUSES, 1),
        "systemctl": systemctl(described),
        "modinfo": modinfo(described),
        "lsmod": printing(lsmod(str(described.files.get("/proc/modules") or ""))),
    }
    for command in (("nv-fabricmanager", "--version"), ("nvidia-ctk", "--version")):
        told = answer(described.runs, command)
        if told.code != NO_SUCH_COMMAND:
            made[command[0]] = printing(told.out, told.err, told.code)
    return made


def answer(runs: Mapping[tuple[str, ...], Result | CannotLook], command: tuple[str, ...]) -> Result:
    told = runs.get(command)
    return told if isinstance(told, Result) else Result(code=NO_SUCH_COMMAND, out="", err="")


def choose(patterns: Mapping[str, Result], otherwise: Result) -> str:
    """A script that answers by its arguments."""
    every = {**patterns, "*": otherwise}
    cases = "".join(f"{pattern})\n{printing(told.out, told.err, told.code)};;\n" for pattern, told in every.items())
    return f'case "$*" in\n{cases}esac\n'


def kernel_log(text: str) -> list[dict[str, object]]:
    lines = [re.match(r"\[ *([\d.]+)\] (.*)", line) for line in text.splitlines()]
    return [{"fac": "kern", "pri": "warn", "time": float(m[1]), "msg": m[2]} for m in lines if m]


def journal(text: str) -> str:
    return "".join(f"Nov 25 09:00:00 host kernel: {line['msg']}\n" for line in kernel_log(text))


def systemctl(described: Described) -> str:
    told = answer(described.runs, services.COMMAND).out
    units = [dict(line.split("=", 1) for line in block.splitlines()) for block in told.split("\n\n") if block.strip()]
    patterns = {"show*": Result(code=0, out=told, err="")}
    for unit in units:
        name, state = unit["Id"], unit["ActiveState"]
        short = name.removesuffix(".service")
        patterns[f"'is-active {short}'*"] = Result(code=0 if state == "active" else 3, out=state, err="")
        if unit["UnitFileState"]:
            patterns[f"'is-enabled {short}'*"] = Result(code=0, out=unit["UnitFileState"], err="")
        if unit["LoadState"] == "loaded":
            shown = {"active": "active (running)", "inactive": "inactive (dead)"}.get(
                state, f"{state} (Result: failed)"
            )
            text = (
                f"* {name} - {short}\n     Loaded: loaded (/usr/lib/systemd/system/{name}; {unit['UnitFileState']})\n"
            )
            patterns[f"'status {short}'*"] = Result(
                code=0 if state == "active" else 3, out=f"{text}     Active: {shown} since Tue 2026-11-24\n", err=""
            )
    return choose(patterns, Result(code=4, out="", err="Unit could not be found.\n"))


def modinfo(described: Described) -> str:
    told = next((run for argv, run in described.runs.items() if argv[0] == "modinfo"), None)
    if not isinstance(told, Result) or "version:" not in told.out:
        return printing("", "modinfo: ERROR: Module nvidia not found.\n", 1)
    return printing(told.out)


def lsmod(modules: str) -> str:
    rows = [line.split() for line in modules.splitlines()]
    return "Module                  Size  Used by\n" + "".join(f"{row[0]:<22}{row[1]:>7}  {row[2]}\n" for row in rows)
