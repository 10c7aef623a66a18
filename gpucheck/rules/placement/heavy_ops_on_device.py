"""Did it really run there? Every heavy op of the CNN, forward and backward, must be on the device that was asked for.

TensorFlow places softly: without a usable GPU the same script trains on the CPU, with no error and no warning at the
log level that most scripts set. Only the log says where each op went.
"""

from gpucheck.compat import Compat
from gpucheck.facts import Driver, Pci, PlacedOp, Placement, Run
from gpucheck.model import Outcome, Remedy, Rule, bad, ok, unsure


def judge(run: Run, placement: Placement, compat: Compat, pci: Pci | None, driver: Driver | None) -> Outcome:
    kinds = compat.heavy_ops(run.framework)
    heavy = [op for op in placement.ops if op.op in kinds]
    asked = f"{run.device.upper()}:0"
    elsewhere = [op for op in heavy if op.device != asked]
    # Placed is not executed: the graph's lines say where, the eager ones that a kernel was started there.
    missing = [
        f"{kind} ({mode})"
        for mode in ("graph", "eager")
        for kind in kinds
        if not any((op.op, op.mode) == (kind, mode) for op in heavy)
    ]
    if not heavy:
        return unsure(f"none of {placement.lines} lines names a heavy op ({', '.join(kinds[:3])}, ...)")
    if len(elsewhere) == len(heavy) and all(op.device.startswith("CPU:") for op in placement.ops):
        return bad(f"every op ran on the CPU{_because(run, placement, pci, driver)} ({_seen(heavy, placement)})")
    if elsewhere:
        return bad(f"{_counts(elsewhere)} ran on {', '.join(sorted({op.device for op in elsewhere}))}, not on {asked}")
    if missing:
        return unsure(f"the log never names {', '.join(missing)}")
    if asked not in run.devices_seen:
        return unsure(f"the log names {asked}, and {run.framework} itself saw only {', '.join(run.devices_seen)}")
    if run.device == "gpu" and placement.gpu_kernels is None:
        return unsure(f"the log names {asked}, and this {run.framework} wheel has no GPU kernels")
    others = sum(op.count for op in placement.ops if op.op not in kinds and op.device != asked)
    rest = f"; {others} light ops elsewhere" if others else ""
    return ok(f"every heavy op ran on {asked} ({_seen(heavy, placement)}{rest})")


def _seen(heavy: list[PlacedOp], placement: Placement) -> str:
    number, kinds = sum(op.count for op in heavy), len({op.op for op in heavy})
    strict = " with soft placement off" if placement.strict else ""
    return f"{number} heavy ops of {kinds} kinds, by the placement log{strict}"


def _because(run: Run, placement: Placement, pci: Pci | None, driver: Driver | None) -> str:
    if pci and not pci.gpus and not (driver and driver.devices):
        return ", because this machine has no NVIDIA GPU"
    if driver and driver.version is None and not any(node.path == "/dev/dxg" for node in driver.devices):
        return ", because the NVIDIA driver is not loaded"
    if placement.gpu_kernels is None:
        return f", because this {run.framework} wheel was built without GPU kernels"
    if placement.reasons:
        return f", and {run.framework} said why: {placement.reasons[0]}"
    return f", and {run.framework} did not say why"


def _counts(ops: list[PlacedOp]) -> str:
    counts: dict[str, int] = {}
    for op in ops:
        counts[op.op] = counts.get(op.op, 0) + op.count
    return ", ".join(f"{name} {number}" for name, number in counts.items())


RULE = Rule(
    id="placement.heavy-ops-on-device",
    title="Every heavy op ran on the device that was asked for",
    judge=judge,
    remedy=Remedy(
        text="`gpucheck doctor` names the cause on this machine; on a machine without a GPU ask for the CPU run",
        commands={"": ("gpucheck doctor", "gpucheck verify --device cpu")},
        impact="none",
        verify="gpucheck verify",
    ),
)
