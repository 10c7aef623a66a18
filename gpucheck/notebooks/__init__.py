"""What `import gpucheck` gives to a notebook or a program: doctor(), prove(), and the cell magic %%gpucheck."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from gpucheck import compat, engine
from gpucheck.cli.options import chosen
from gpucheck.host import Local
from gpucheck.model import Failure
from gpucheck.notebooks.magic import load_ipython_extension as load_ipython_extension
from gpucheck.notebooks.magic import unload_ipython_extension as unload_ipython_extension
from gpucheck.notebooks.page import Page as Page
from gpucheck.notebooks.proof import Proof as Proof
from gpucheck.notebooks.proof import with_tip
from gpucheck.probes import DEEP_PROBES, PROBES, compute
from gpucheck.rules import DEEP_RULES, HOST_RULES
from gpucheck.witnesses.request import BLOCK


def doctor(
    *, only: Sequence[str] = (), skip: Sequence[str] = (), strict: bool = False, deep: bool = False
) -> Page:  # fmt: skip
    """Is the GPU stack of this machine right? `.report` is the whole answer, `.exit_code` the short one.

    The options are those of `gpucheck doctor`. Raises gpucheck.model.Failure where one makes no sense.
    """
    try:
        rules = chosen((*HOST_RULES, *(DEEP_RULES if deep else ())), tuple(only), tuple(skip))
    except Failure as failure:
        raise with_tip(failure) from None
    needed = {subject for rule in rules for subject, _ in rule.needs.values()}
    facts = engine.collect({subject: probe for subject, probe in PROBES.items() if subject in needed}, Local())
    if deep:
        facts |= engine.collect(DEEP_PROBES, Local(), deadline=compute.DEADLINE)
    return Page(replace(engine.report("doctor", facts, engine.judge(rules, facts, compat.load())), strict=strict))


def prove(*, device: str = "gpu", keep: str | Path | None = None, strict: bool = False) -> Proof:
    """Where was the work of a block done?

        with gpucheck.prove() as proof:
            model.fit(x, y)
        proof

    By itself it observes nothing, and says so. Only what happens inside the block counts: programs that JAX compiled
    before are not told of, TensorFlow's placement log stays off (of its single ops nothing is known then), and a block
    that is over in a moment may have been seen by nobody. What nobody saw is "not proven", never a pass. What the block
    raises goes on, and the proof says so. `keep` is a new folder for the evidence, for `gpucheck prove --from`.
    """
    if device not in ("gpu", "cpu"):
        raise with_tip(Failure(f"{device!r} is no device", "'gpu' or 'cpu'"))
    return Proof(device=device, keep=Path(keep).absolute() if keep else None, strict=strict, words=(BLOCK,))
