"""Of several GPUs one can be lost on the bus, or left without addresses, while the others work.

Frameworks then count one fewer and nobody says so; the kernel log says "fallen off the bus" or "BAR1 is 0M @ 0x0".
"""

from gpucheck.compat import own_gpus
from gpucheck.facts import Pci, System
from gpucheck.model import Outcome, Rule, bad, ok, skip
from gpucheck.rules.pci.bars_assigned import MAKE_ROOM
from gpucheck.rules.pci.gpu_answers import COLD_START
from gpucheck.rules.scope import bus_unseen


def judge(system: System | None, pci: Pci | None) -> Outcome:
    if pci is None:
        return bus_unseen(system)
    gpus = own_gpus(pci)
    if len(gpus) < 2:
        return skip("there are not several GPUs")
    gone = tuple(gpu.address for gpu in gpus if gpu.answers is False)
    if gone:
        return bad(f"{len(gone)} of {len(gpus)} GPUs no longer answer on the bus: {', '.join(gone)}", affects=gone)
    without = tuple(gpu.address for gpu in gpus if gpu.unassigned)
    if without:
        seen = f"{len(without)} of {len(gpus)} GPUs have a BAR without an address: {', '.join(without)}"
        return bad(seen, affects=without, remedy=MAKE_ROOM)
    silent = [gpu for gpu in gpus if gpu.answers is None or gpu.unassigned is None]
    if silent:
        return skip(
            f"of {silent[0].address} the kernel does not tell" + (f": {silent[0].power}" if silent[0].power else "")
        )
    return ok(f"all {len(gpus)} GPUs answer and have their addresses")


RULE = Rule(
    id="pci.every-gpu-usable",
    title="Every GPU answers and has its addresses",
    judge=judge,
    after=("pci.gpu-answers", "pci.bars-assigned"),
    remedy=COLD_START,
)
