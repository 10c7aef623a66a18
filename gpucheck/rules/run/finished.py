"""A payload that died proves nothing, whatever it logged before: killed for memory, a crash, a lost GPU.

Exit code 137 or signal 9 is most often the kernel's memory killer: `dmesg` names the process.
"""

from gpucheck.facts import Run
from gpucheck.model import Outcome, Remedy, Rule, bad, ok
from gpucheck.rules.scope import count

READ = Remedy(
    text="read what the payload wrote: `gpucheck verify --keep DIR` keeps it in DIR/*.err", impact="none",
    verify="gpucheck verify",
)  # fmt: skip
KILLED = 9
BY_SHELL = 128 + KILLED


def judge(run: Run) -> Outcome:
    if run.command is not None:
        return _command(run)
    said = f"; its last words: {run.last_line}" if run.last_line else ""
    if run.oom_killed:
        return bad("the run was killed: it used more memory than its container may")
    ends = [(part.name, part.exit_code, part.signal) for part in run.parts] + [("payload", run.exit_code, run.signal)]
    for name, code, signal in ends:
        if signal == KILLED or code == BY_SHELL:
            late = "at its deadline, or " if name == "world" else "most often "
            return bad(f"{name} was killed (signal 9): {late}the machine ran out of memory")
        if signal is not None:
            return bad(f"{name} was ended by signal {signal}")
        if code != 0:
            return bad(f"{name} ended with exit code {code}{said}", remedy=READ)
    if not any(part.name == "train" for part in run.parts):
        return bad(f"the payload ended without training{said}")
    return ok(f"all {len(run.parts)} parts ended well, {sum(part.seconds for part in run.parts):.0f} s in all")


def _command(run: Run) -> Outcome:
    if run.signal is not None:
        return bad(f"the command was ended by signal {run.signal}")
    if run.exit_code != 0:
        said = f"; its last words: {run.last_line}" if run.last_line else ""
        return bad(f"the command ended with exit code {run.exit_code}{said}")
    lost = sum(not process.ended for process in run.processes)  # as pools of workers do
    rest = f", {lost} of which were ended before they had told all" if lost else ""
    cost = f"; observing cost it {run.overhead:.2g} s" if run.overhead is not None else ""
    return ok(f"the command ended well, {count(len(run.processes), 'Python process', 'es')} followed{rest}{cost}")


RULE = Rule(id="run.finished", title="The run came to its end", judge=judge)
