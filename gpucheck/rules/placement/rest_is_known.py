"""What runs on the CPU beside a training on the GPU: the input pipeline, strings, counters in host memory.

That is as it should be, and listed here. An op that is in no such list is named: it may be work that fell to the CPU.
"""

from collections import Counter

from gpucheck.compat import Compat
from gpucheck.facts import Placement, Run
from gpucheck.model import Outcome, Rule, Severity, bad, ok, skip


def judge(run: Run, placement: Placement, compat: Compat) -> Outcome:
    if run.device != "gpu":
        return skip("the CPU was asked for")
    heavy = compat.heavy_ops(run.frameworks)
    rest = [op for op in placement.ops if op.device.startswith("CPU:") and op.op not in heavy]
    known: Counter[str] = Counter()
    strange: Counter[str] = Counter()
    for op in rest:
        what = compat.allowed_on_cpu(run.frameworks, op.op)
        if what is None and op.op in placement.host_memory:
            what = "host memory"
        if what is None and placement.gpu_kernels and op.op not in placement.gpu_kernels:
            what = "no GPU kernel exists"
        (known if what else strange)[what or op.op] += op.count
    told = ", ".join(f"{what} {number}" for what, number in known.most_common())
    if strange:
        names = ", ".join(f"{op} {number}" for op, number in strange.most_common(6))
        return bad(f"on the CPU, and not known to belong there: {names}" + (f"; known: {told}" if told else ""))
    return ok(f"{sum(known.values())} light ops on the CPU: {told}" if told else "nothing was left on the CPU")


RULE = Rule(
    id="placement.rest-is-known",
    title="What stayed on the CPU belongs there",
    severity=Severity.NOTE,
    after=("placement.heavy-ops-on-device",),
    judge=judge,
)
