"""The remedies of a report as a POSIX shell script, the cause first, that a person reads before running it.

It stops where something that must hold does not, where a command fails, and where a step put nothing right. What asks
for a reboot, puts data at risk or cannot be done by a script stays a comment. Nothing from a machine leaves a comment
or its quotes.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from gpucheck.facts import System
from gpucheck.model import Finding, Remedy, Report, Severity, Status
from gpucheck.render.wording import printable, sentence

BY_HAND = {"reboot": "it takes a reboot", "data": "it puts data or work at risk"}
LOOKING = re.compile(
    r"(sudo )?(env -u \w+ )?("
    r"(/sbin/ldconfig -p|apt list|apt-cache|cat|command -v|df|dkms status|dmesg|dpkg -l|echo \$\w+|getent|getsebool|"
    r"gpucheck|grep|head|id|journalctl|ls|lspci|mokutil --(sb-state|list-\S+)|nvidia-ctk cdi list|ps|"
    r"python3 -c 'import [\w, ]+'|python3 -m pip (--version|check|list)|rpm -qa?|snap (list|logs|services)|"
    r"docker (--context \S+ )?(context ls|info|ps|version)|systemctl( --user)? (cat|is-\S+|status)|tail|test)( .*)?|"
    r"nvidia-smi( (-L|-q|--query|mig -lg|nvlink|topo).*)?)"
)
DOING = re.compile(r">(?!/dev/null)|[;`]|\$\(")  # what may hide behind a command that looks
GRAVITY = tuple(Severity)
OF_THE_SHELL = ("unset", "export", "cd")  # they would change the script's own shell and not yours
HEAD = """step=0
ended() { [ "$1" = 0 ] || printf "stopped at step %s, exit code %s\\n" "$step" "$1" >&2; }
trap 'ended $?' EXIT
stop() { printf "%s\\n" "$1" >&2; exit 1; }
command -v gpucheck >/dev/null || stop "gpucheck, which looks after each step, is not on PATH"
if [ "$(id -u)" = 0 ] && ! command -v sudo >/dev/null; then sudo() { "$@"; }; fi
"""


def script(report: Report) -> str:
    failed = tuple(sorted(report.of(Status.FAIL), key=lambda finding: GRAVITY.index(finding.severity)))
    by_hand = [number for number, finding in enumerate(failed, 1) if _why_not(report, finding)]
    steps = [line for number in range(1, len(failed) + 1) for line in _step(report, failed, number)]
    end = f"printf '%s\\n' {_word(_told(report, by_hand))}"
    head = HEAD.splitlines() if len(by_hand) < len(failed) else []
    # All of it is read before any of it runs, and nothing in it can ask.
    lines = [*_about(report), "set -eu", *head, "", "main() {", *steps, "", end, "}", "", "main </dev/null"]
    return "#!/bin/sh\n" + "".join(f"{line}\n" for line in lines)


def _about(report: Report) -> Iterator[str]:
    yield _comment(f"{report.tool} on {report.host}, {report.when}: what its findings can be put right with.")
    yield _comment("Read it before you run it. Printing it has changed nothing, and it undoes nothing.")
    cause = report.root_cause
    yield _comment(f"The cause: {cause.rule}: {sentence(cause)}" if cause else "Nothing of severity error failed.")
    yield ""


def _told(report: Report, by_hand: list[int]) -> str:
    unknown = len(report.of(Status.UNKNOWN))
    told = "every step is carried out; gpucheck doctor tells what is left"
    if by_hand:
        told = f"left to you, as the comments say: step {', '.join(map(str, by_hand))}"
    elif not report.of(Status.FAIL):
        told = "nothing failed: there is nothing to put right"
    return told + (f"; what is unknown ({unknown}) has no remedy: gpucheck doctor names it" if unknown else "")


def _step(report: Report, failed: tuple[Finding, ...], number: int) -> Iterator[str]:
    finding = failed[number - 1]
    remedy, by_hand = finding.remedy, _why_not(report, finding)
    yield ""
    yield _comment(f"Step {number} of {len(failed)}: {finding.rule} ({finding.severity})")
    yield _comment(f"  seen: {sentence(finding)}")
    if not remedy:
        yield _comment(f"  there is no remedy for it: gpucheck explain {finding.rule}")
        return
    yield _comment(f"  does: {remedy.text}")
    yield _comment(f"  impact: {remedy.impact}")
    for name, words in (("needs", remedy.precondition), ("see", remedy.url), ("left to you", by_hand)):
        if words:
            yield _comment(f"  {name}: {words}")
    commands = _commands(report, remedy)
    same = next((n for n, f in enumerate(failed[: number - 1], 1) if f.remedy == remedy), None)
    if same:
        yield _comment(f"  the commands are those of step {same}")
    elif by_hand:
        yield from (_comment(f"    {line}") for line in (*((remedy.check,) if remedy.check else ()), *commands))
        yield _comment(f"  then: {remedy.verify}")
    else:
        yield f"step={_word(f'{number} of {len(failed)} ({finding.rule})')}"
        if remedy.check:
            otherwise = _word(f"needed, and not so: {remedy.precondition}")
            yield f"if ! {{ {remedy.check}; }} >/dev/null 2>&1; then stop {otherwise}; fi"
        # In a subshell `set -e` sees the first command of `a && b` fail too.
        yield from (f"({command})" if "&&" in command or "||" in command else command for command in commands)
        otherwise = _word(f"{finding.rule} does not hold yet: read what step {number} says")
        yield f"{_verify(finding, remedy)} || stop {otherwise}"


def _why_not(report: Report, finding: Finding) -> str | None:
    """Why a script does not do this, or None where it does."""
    remedy = finding.remedy
    if not remedy:
        return "there is no remedy"
    commands = _commands(report, remedy)
    if not commands:
        return "no command does it"
    if remedy.impact in BY_HAND:
        return BY_HAND[remedy.impact]
    if any(command.partition(" ")[0] in OF_THE_SHELL for command in commands):
        return "it is for the shell that you work in"
    if all(map(looks, commands)):
        return "its commands only look"
    if any(printable(line) != line for line in (*commands, remedy.check or "", remedy.verify)):
        return "a name in it has characters that cannot be shown"
    return None


def looks(command: str) -> bool:
    """Whether it is one that changes nothing: such commands tell a person what to do next, and a script nothing."""
    return not DOING.search(command) and all(LOOKING.fullmatch(part) for part in re.split(r" \| | && ", command))


def _verify(finding: Finding, remedy: Remedy) -> str:
    """Of this rule alone, where the command is doctor's: what else fails is another step's."""
    doctor = re.fullmatch(r"(gpucheck doctor(?: --deep)?)(?: --only \S+)?", remedy.verify)
    return f"{doctor[1]} --only {shlex.quote(finding.rule)}" if doctor else remedy.verify


def _commands(report: Report, remedy: Remedy) -> tuple[str, ...]:
    system = report.facts.known.get(System)
    return remedy.commands_for(system.os_family if system else None)


def _comment(text: str) -> str:
    return f"# {printable(text)}"


def _word(text: str) -> str:
    return shlex.quote(printable(text))
