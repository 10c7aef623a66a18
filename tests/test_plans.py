"""The recipe that fits a wish, and what a refusal says.

docs/plans.md shows the sentences for typical machines; `pytest --update` writes it anew.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from gpucheck import compat, machines, plans, recipes
from gpucheck.facts import Driver, Facts, Gpu, Nvml, Pci, PciDevice, Version
from gpucheck.machines import Machine
from gpucheck.model import Failure
from gpucheck.offers import Wish
from tests.test_plans_grid import CAPABILITIES, DRIVERS, WISHES

BOOK, TABLES = recipes.load(), compat.load()
DOCS = Path(__file__).parents[1] / "docs" / "plans.md"
ON_BUS = Pci(gpus=(PciDevice(address="0000:01:00.0", device_id="2330", driver="nvidia"),), nvswitches=())


def facts(driver: str | None, *capabilities: str) -> Facts:
    gpus = tuple(Gpu(index=i, compute_capability=Version(c)) for i, c in enumerate(capabilities))
    version = Version(driver) if driver else None
    return Facts(known={
        Pci: ON_BUS if gpus else Pci(gpus=(), nvswitches=()),
        Driver: Driver(version=version, open_module=None, libraries=(), devices=()),
        Nvml: Nvml(driver_version=version, gpus=gpus),
    })  # fmt: skip


def choose(of: Facts | Machine, wish: Wish | str = "tensorflow") -> plans.Plan:
    machine = machines.machine_of(of, TABLES) if isinstance(of, Facts) else of
    return plans.choose(BOOK, machine, Wish(framework=wish) if isinstance(wish, str) else wish, TABLES)


# --- what is wished ---


@pytest.mark.parametrize(
    ("wish", "driver", "gpu", "cpu"),
    [
        (Wish(framework="pytorch"), "580.65.06", "pytorch-cuda13", "pytorch-cpu"),
        (Wish(framework="pytorch"), "525.60.13", "pytorch-cuda12", "pytorch-cpu"),
        (Wish(framework="jax"), "580.65.06", "jax-cuda13", "jax-cpu"),
        (Wish(framework="jax"), "570.26", "jax-cuda12", "jax-cpu"),
        (Wish(framework="xgboost"), "525.60.13", "xgboost-cuda12", "xgboost-cpu"),
        (Wish(framework="keras"), "525.60.13", "keras-tensorflow-cuda12", "keras-tensorflow-cpu"),
        (Wish(framework="keras", backend="tensorflow"), "525.60.13", "keras-tensorflow-cuda12", "keras-tensorflow-cpu"),
        (Wish(framework="keras", backend="torch"), "580.65.06", "keras-torch-cuda13", "keras-torch-cpu"),
        (Wish(framework="keras", backend="torch"), "535.54.03", "keras-torch-cuda12", "keras-torch-cpu"),
        (Wish(framework="keras", backend="jax"), "580.65.06", "keras-jax-cuda13", "keras-jax-cpu"),
        (Wish(framework="jax", variant="notebook"), "580.65.06", "jax-cuda13-notebook", "jax-cpu-notebook"),
    ],
)
def test_every_framework_has_its_own(wish: Wish, driver: str, gpu: str, cpu: str) -> None:
    assert choose(facts(driver, "9.0"), wish).recipe.name == gpu
    assert choose(facts(driver, "9.0"), replace(wish, device="cpu")).recipe.name == cpu
    assert choose(facts(None), wish).recipe.name == cpu
    with pytest.raises(plans.Refusal, match=r"needs driver 525\.60\.13 or newer; the driver here is 470\.10"):
        choose(facts("470.10", "8.0"), wish)


@pytest.mark.parametrize(
    ("version", "recipe"),
    [("2.15", "pytorch-cuda13"), ("2.10", "pytorch-cuda12"), ("2.10.0", "pytorch-cuda12"), ("2", "pytorch-cuda13")],
)
def test_a_version_is_that_version(version: str, recipe: str) -> None:
    assert choose(facts("580.65.06", "9.0"), Wish(framework="pytorch", version=version)).recipe.name == recipe


def test_a_version_that_does_not_fit_names_the_one_that_does() -> None:
    with pytest.raises(plans.Refusal, match=r"pytorch-cuda13 needs driver 580\.65\.06") as refused:
        choose(facts("550.54.14", "9.0"), Wish(framework="pytorch", version="2.15"))
    assert "upgrade the driver to 580.65.06 or newer: then pytorch-cuda13 fits" in refused.value.tip
    assert "pytorch-cuda12 (PyTorch 2.10.0)" in refused.value.tip


@pytest.mark.parametrize(
    ("wish", "sentence", "tip"),
    [
        (Wish(framework="theano"), "no recipe for theano", "pytorch"),
        (Wish(framework="torch"), "no recipe for torch", "did you mean pytorch?"),
        (Wish(framework="keras", backend="theano"), "keras has no backend theano", "jax, tensorflow, torch"),
        (Wish(framework="jax", backend="torch"), "jax has no backend torch", "Keras alone"),
        (Wish(framework="pytorch", version="2.11"), "no recipe of PyTorch 2.11 for a GPU", "did you mean 2.10.0?"),
        (Wish(framework="pytorch", version="2.1"), "no recipe of PyTorch 2.1 for a GPU", "did you mean 2.7.1?"),
        (Wish(framework="pytorch", version="new"), "no recipe of PyTorch new for a GPU", "2.15.0, 2.10.0, 2.7.1"),
        (Wish(framework="pytorch", version="2.15", device="cpu"), "for the CPU", "did you mean 2.13.0?"),
        (Wish(framework="xgboost", variant="notebook"), "no notebook variant of xgboost", "tensorflow, pytorch, jax"),
        (Wish(framework="jax", variant="slim"), "no slim variant of jax", "there are notebook"),
    ],
)
def test_what_there_is_not_is_named_with_what_there_is(wish: Wish, sentence: str, tip: str) -> None:
    with pytest.raises(Failure, match=re.escape(sentence)) as failed:
        choose(facts("580.65.06", "9.0"), wish)
    assert tip in failed.value.tip
    assert failed.value.exit_code == 2


# --- refusals ---


@pytest.mark.parametrize(
    ("driver", "gpus", "wish", "sentence", "tip"),
    [
        ("580.65.06", ["B200"], "tensorflow", "no wheel of TensorFlow in the tables", "pytorch-cuda13 (PyTorch 2.15"),
        ("575.57.08", ["RTX 5090"], "keras", "no wheel of TensorFlow in the tables", "keras-torch-cuda12 (Keras 3"),
        ("560.35.03", ["B200"], "jax", "branch 570 is the first", "570.26 or newer: then jax-cuda12 fits"),
        ("560.35.03", ["B200"], "tensorflow", "branch 570 is the first", "though none of TensorFlow would"),
        ("590.48.01", ["GTX 1080"], "pytorch", "branch 580 is the last", "branch 580: then pytorch-cuda12-pascal"),
        ("470.256.02", ["P100"], "jax", "470.256.02", "525.60.13 or newer, up to branch 580: then jax-cuda12 fits"),
        ("580.95.05", ["P100", "B200"], "pytorch", "pytorch-cuda12-pascal has no machine code for", "jax-cuda12"),
        ("470.256.02", ["K80"], "pytorch", "dropped compute capability 3.7", "--device cpu"),
        ("535.54.03", ["GTX 980"], "tensorflow", "no machine code for compute capability 5.2", "jax-cuda12"),
    ],
)
def test_a_refusal_says_why_and_what_would_fit(
    driver: str, gpus: list[str], wish: str, sentence: str, tip: str
) -> None:
    with pytest.raises(plans.Refusal, match=re.escape(sentence)) as refused:
        choose(machines.assumed(TABLES, driver, gpus), wish)
    assert tip in refused.value.tip
    assert refused.value.exit_code == 1


def test_ptx_is_compiled_only_where_it_is_allowed_and_can_be() -> None:
    """TensorFlow 2.21 of CUDA 12.5.1 has PTX 9.0: a B200 compiles it from driver 570 on, a RTX 5090 fails to."""
    allowed = Wish(framework="tensorflow", allow_jit=True)
    b200 = machines.assumed(TABLES, "580.65.06", ["B200", "H100"])
    with pytest.raises(plans.Refusal, match=r"TensorFlow .* 10\.0 \(B200\)") as refused:
        choose(b200)
    assert "--allow-jit" in refused.value.tip
    plan = choose(b200, allowed)
    assert plan.jit == (Version("10.0"),)
    assert "machine code for compute capability 9.0 (H100)" in plan.reason
    assert "PTX only" in plan.reason
    assert "no table says whether cuDNN 9.3 has code for 10.0" in plan.reason
    for driver, gpu in (("580.65.06", "RTX 5090"), (None, "B200")):
        with pytest.raises(plans.Refusal):
            choose(machines.assumed(TABLES, driver, [gpu]), allowed)


def test_ptx_waits_for_the_driver_that_its_cuda_shipped() -> None:
    """With a table in which an older driver serves the GPU: then PTX of CUDA 12.5.1 needs its own 555.42.06."""
    early = tuple(replace(b, first=550) if b.capability == Version("10.0") else b for b in TABLES.branches)
    tables, wish = replace(TABLES, branches=early), Wish(framework="tensorflow", allow_jit=True)
    b200 = (("B200", Version("10.0")),)
    with pytest.raises(plans.Refusal) as refused:
        plans.choose(BOOK, Machine(driver=Version("555.42.02"), gpus=b200, how=""), wish, tables)
    assert "takes driver 555.42.06 or newer; this is 555.42.02" in str(refused.value.considered)
    assert plans.choose(BOOK, Machine(driver=Version("555.42.06"), gpus=b200, how=""), wish, tables).jit


def test_what_no_table_says_is_said() -> None:
    silent = replace(TABLES, builds=(), cudnn_listed=())
    plan = plans.choose(
        BOOK, machines.assumed(TABLES, "580.65.06", ["H100"]), Wish(framework="pytorch"), silent
    )  # fmt: skip
    assert "no table says whether cuDNN 9.26 has code for 9.0" in plan.reason
    assert "no table says whether its wheel has code" in plan.reason


def test_a_plan_and_a_refusal_explain_themselves() -> None:
    machine = machines.assumed(TABLES, "550.54.14", ["T4", "9.0"])
    told = plans.explained(choose(machine, "pytorch"), machine)
    for line in ("driver 550.54.14", "T4: compute capability 7.5", "pytorch-cuda13: no: needs driver 580.65.06",
                 "pytorch-cuda12: fits", "chosen: pytorch-cuda12, PyTorch 2.10.0"):  # fmt: skip
        assert line in told
    with pytest.raises(plans.Refusal) as refused:
        choose(machines.assumed(TABLES, "580.65.06", ["B200"]))
    told = plans.explained(refused.value, machine)
    assert "tensorflow-cuda12: no: has only PTX for compute capability 10.0" in told
    assert "tip: pytorch-cuda13" in told


# --- the docs ---

TYPICAL: tuple[tuple[str, str | None, list[str]], ...] = (
    ("a laptop with an RTX 4090", "550.54.14", ["GeForce RTX 4090"]),
    ("a cloud's T4", "535.104.05", ["T4"]),
    ("an A100 of 2023", "525.85.12", ["A100"]),
    ("an H100", "570.124.06", ["H100"]),
    ("an H200", "580.65.06", ["H200"]),
    ("a B200", "580.65.06", ["B200"]),
    ("an RTX 5090", "575.57.08", ["GeForce RTX 5090"]),
    ("a V100", "580.65.06", ["V100"]),
    ("a GTX 1080 Ti", "580.65.06", ["GeForce GTX 1080 Ti"]),
    ("the same after an upgrade too far", "590.48.01", ["GeForce GTX 1080 Ti"]),
    ("P100 and A100 in one machine", "550.54.14", ["P100", "A100"]),
    ("a T4 that was not updated", "470.256.02", ["T4"]),
    ("a GPU without a driver yet", None, ["L40S"]),
    ("no GPU", None, []),
)


def sentence(machine: Machine, wish: Wish) -> str:
    try:
        plan = choose(machine, wish)
    except plans.Refusal as refusal:
        return f"**none**: {refusal}. Tip: {refusal.tip}."
    return f"`{plan.recipe.name}`: {plan.reason}."


def test_the_sentences_in_the_docs(request: pytest.FixtureRequest) -> None:
    parts = []
    for what, driver, gpus in TYPICAL:
        machine = machines.assumed(TABLES, driver, gpus)
        shown = ", ".join(["driver " + driver if driver else "no driver", *gpus])
        names = {"tensorflow": "TensorFlow", "pytorch": "PyTorch", "jax": "JAX", "xgboost": "XGBoost"}
        lines = [f"- {names[wish.framework]}: {sentence(machine, wish)}" for wish in WISHES if not wish.backend]
        keras = [sentence(machine, wish) for wish in WISHES if wish.backend]
        chosen = [line.split(":", 1)[0] for line in keras]
        lines.append("- Keras on TensorFlow, PyTorch, JAX: " + ", ".join(chosen))
        parts.append("\n".join((f"## {what[0].upper()}{what[1:]} ({shown})", "", *lines)))
    text = f"""# Plans

What `gpucheck build` chooses, or why it refuses, on typical machines: its own sentences. Made by
`pytest --update tests/test_plans.py`. tests/test_plans_grid.py plans for {len(DRIVERS)} drivers and every pair of
{len(CAPABILITIES)} compute capabilities: never a recipe that a table of gpucheck/data forbids.

{(chr(10) * 2).join(parts)}
"""
    if request.config.getoption("--update"):
        DOCS.write_text(text)
    assert DOCS.read_text() == text, "pytest --update tests/test_plans.py"
