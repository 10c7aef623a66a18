"""Did it really run there? Independent witnesses must agree, and one of them must have seen the work executed.

A placement log says where ops were put, not that they ran; a profiler can be deaf; NVML can see a neighbour. A pass
needs two witnesses, one of execution (the profiler or NVML), and none that says otherwise. A contradiction is a failure
that says who said what. The control run, with the GPU hidden, must not look like the GPU: else nothing is proven.
"""

from collections.abc import Sequence

from gpucheck.compat import Compat
from gpucheck.facts import Control, Driver, GpuUse, Kernels, Pci, Placement, Run, Training
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, unsure
from gpucheck.rules import cause, testimony
from gpucheck.rules.testimony import Testimony

OF_EXECUTION = {"the profiler", "NVML"}
DOCTOR = Remedy(
    text="`gpucheck doctor` names the cause on this machine", commands={"": ("gpucheck doctor",)}, impact="none",
    verify="gpucheck prove",
)  # fmt: skip
OTHERS = {*OF_EXECUTION, testimony.MEMORY}


def judge(
    run: Run, compat: Compat, placement: Placement | None, kernels: Kernels | None, gpu_use: GpuUse | None,
    training: Training | None, control: Control | None, pci: Pci | None, driver: Driver | None,
) -> Outcome:  # fmt: skip
    if not run.frameworks:
        return unsure(f"no framework was seen in the command (Python processes followed: {len(run.processes)})")
    found = testimony.of_run(run, compat, placement, kernels, gpu_use, training)
    saying = [t for t in found if t.says]
    told = {t.says for t in saying}
    if run.device == "cpu":
        return _on_cpu(run, saying)
    if not saying:
        return unsure("no witness saw where the work was done" + _silent(found))
    if told == {"CPU"}:
        none = "every op ran on the CPU" if run.command is None else "0 of its heavy ops ran on a GPU"
        why = cause.of_the_fall(run, placement, pci, driver)
        return bad(f"{none}{why} ({_list(saying)})", remedy=None if run.command is None else DOCTOR)
    if told == {"GPU"}:
        return _on_gpu(run, compat, found, saying, control)
    if "CPU" in told:
        who = "; ".join(f"{t.witness} says {t.says} ({t.words})" for t in saying)
        return bad(f"the witnesses contradict each other: {who}")
    return bad(f"only a part of the work ran on the GPU ({_list(saying)})")


def _on_gpu(
    run: Run, compat: Compat, found: list[Testimony], saying: list[Testimony], control: Control | None
) -> Outcome:
    fooled = _fooled(run, compat, control) if control else None
    if fooled:
        return unsure(f"the proof is void: with the GPU hidden {fooled.witness} says GPU too ({fooled.words})")
    by_log = _by_log(saying)
    if not by_log and run.command is None:  # of the payload's ops each must be known
        return unsure(f"{_list(saying)}; but nothing tells where each op was placed{_silent(found)}")
    if len(saying) < 2 or not OF_EXECUTION & {t.witness for t in saying}:
        return unsure(f"only {_list(saying)}; that is not enough{_silent(found)}")
    apart = "; the control run was told apart" if control else ""
    missing = sorted(OF_EXECUTION - {t.witness for t in found})
    missing += ["a control run"] if control is None and run.command is None else []
    absent = f"; not there: {', '.join(missing)}" if missing else ""
    what = f"{_ops(run)} ran on the GPU" if by_log else "it worked on the GPU, and of single ops nothing is known"
    return ok(f"{what}: {_list(saying)}{apart}{absent}{_silent(found)}")


def _on_cpu(run: Run, saying: list[Testimony]) -> Outcome:
    wrong = [t for t in saying if t.says != "CPU"]
    if wrong:
        return bad(f"the CPU was asked for, and {wrong[0].witness} says {wrong[0].says} ({wrong[0].words})")
    if not saying:
        return unsure("no witness saw where the work was done")
    if not _by_log(saying) and run.command is None:
        return unsure(f"{_list(saying)}; but nothing tells where each op was placed")
    return ok(f"{_ops(run)} ran on the CPU: {_list(saying)}")


def _ops(run: Run) -> str:
    """A command is looked at in windows; of our own probe each op is known."""
    return "every heavy op" if run.command is None else "every heavy op that was seen"


def _by_log(saying: Sequence[Testimony]) -> bool:
    return any(t.witness not in OTHERS for t in saying)


def _fooled(run: Run, compat: Compat, control: Control) -> Testimony | None:
    seen = [testimony.placed(control.ops, run.frameworks, compat), testimony.ran(control.kernels or (), compat)]
    return next((t for t in seen if t.says in ("GPU", "both")), None)


def _list(found: Sequence[Testimony]) -> str:
    return "; ".join(f"{t.witness}: {t.words}" for t in found)


def _silent(found: Sequence[Testimony]) -> str:
    return "".join(f"; {t.witness} does not decide: {t.words}" for t in found if t.says is None)


RULE = Rule(
    id="verdict.witnesses-agree",
    title="Independent witnesses agree where the work was done",
    judge=judge,
    remedy=Remedy(
        text="`gpucheck doctor` names the cause on this machine; on a machine without a GPU ask for the CPU run",
        commands={"": ("gpucheck doctor", "gpucheck verify --device cpu")},
        impact="none",
        verify="gpucheck verify",
    ),
)
