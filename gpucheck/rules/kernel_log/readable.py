"""What broke a GPU, the kernel's log says first: Xids, a card off the bus, firmware that does not start.

Ubuntu and Debian show it to root and to the group adm alone ("dmesg: read kernel buffer failed: Operation not
permitted"). What the log would tell is then not known, and no rule takes its silence for health.
"""

from gpucheck.facts import KernelLog
from gpucheck.model import Outcome, Rule, Severity, ok, unsure
from gpucheck.rules.events import FORGOTTEN, ago
from gpucheck.rules.scope import count


def judge(kernel_log: KernelLog) -> Outcome:
    starts = kernel_log.starts_s
    if starts is None:
        return unsure(f"{kernel_log.source} gives no times, so what is old and what is new is not known")
    if starts > FORGOTTEN:
        return unsure(f"{kernel_log.source} starts {ago(starts)} after the boot; what was before is forgotten")
    return ok(
        f"{kernel_log.source} has all of this boot, and {count(len(kernel_log.events), 'kind')} of events of GPUs"
    )


RULE = Rule(
    id="kernel_log.readable",
    title="The kernel's log of this boot can be read",
    judge=judge,
    severity=Severity.WARNING,
    after=("driver.module-loaded",),
)
