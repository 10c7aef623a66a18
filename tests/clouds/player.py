"""What an instance would print on its console: a first boot, with reports of recorded machines and runs."""

from __future__ import annotations

import base64
import hashlib
import json
from functools import cache
from pathlib import Path

from gpucheck import compat, consoles, engine
from gpucheck.host import Recorded
from gpucheck.model import Report
from gpucheck.probes import PROBES
from gpucheck.render import json as json_lines
from gpucheck.rules import ANSWER, HOST_RULES, RUN_RULES
from gpucheck.witnesses import WITNESSES

TESTS = Path(__file__).parents[1]
KERNEL = "[    4.217012] nvidia-nvlink: Nvlink Core is being initialized, major device number 239"
HOST_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8OXbBJKwB4S0RZPDX4cJr3CvSvCAcVvq0zyAMnGLeX"


@cache
def doctor(machine: str) -> Report:
    facts = engine.collect(PROBES, Recorded.load(TESTS / "machines" / machine / "recording.json"))
    return engine.report("doctor", facts, engine.judge(HOST_RULES, facts, compat.load()), host=machine)


@cache
def verified(run: str) -> Report:
    machine = json.loads((TESTS / "runs" / run / "expected.json").read_text())["machine"]
    host = engine.collect(PROBES, Recorded.load(TESTS / "machines" / machine / "recording.json"))
    facts = host | engine.collect(WITNESSES, TESTS / "runs" / run / "evidence")
    return engine.report("verify", facts, engine.judge(RUN_RULES, facts, compat.load()), host=run, answer=ANSWER)


def said(run: str, words: str) -> str:
    return consoles.signed(f"{consoles.MARK} {run} {words}")


def booting(run: str) -> str:
    return "\n".join((KERNEL, said(run, "boot 0badcafe"), said(run, "step docker"), KERNEL)) + "\n"


def booted(run: str, *reports: Report) -> str:
    """A whole first boot, from its first line to `done`."""
    lines = [booting(run)]
    for report in reports:
        lines += [said(run, f"step {report.command}"), KERNEL]
        lines += consoles.lines(run, report.command, json_lines.render([report]).encode())
    lines.append(said(run, "reports " + " ".join(report.command for report in reports)))
    lines.append(said(run, "done " + " ".join(f"{report.command}={report.exit_code}" for report in reports)))
    return "\n".join(lines) + "\n"


def failed(run: str, step: str, words: str, *reports: Report) -> str:
    start = booting(run) + said(run, f"failed {step}: {words}") + "\n" + "E: Unable to locate package nvidia-open\n"
    return start + booted(run, *reports).removeprefix(booting(run))


def host_key(run: str) -> str:
    data = base64.b64decode(HOST_KEY.split()[1])
    fingerprint = base64.b64encode(hashlib.sha256(data).digest()).decode().rstrip("=")
    return said(run, f"host-key {HOST_KEY} SHA256:{fingerprint}") + "\n"
