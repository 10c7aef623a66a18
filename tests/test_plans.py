"""The recipe that fits: never one that its own row forbids, and a refusal names both numbers."""

from __future__ import annotations

import itertools
import re

import pytest

from gpucheck import plans, recipes
from gpucheck.facts import Driver, Facts, Gpu, Nvml, Pci, PciDevice, Version
from gpucheck.model import Failure

BOOK = recipes.load()
ON_BUS = Pci(gpus=(PciDevice(address="0000:01:00.0", device_id="2330", driver="nvidia"),), nvswitches=())


def machine(driver: str | None, *capabilities: str) -> Facts:
    gpus = tuple(Gpu(index=i, compute_capability=Version(c)) for i, c in enumerate(capabilities))
    version = Version(driver) if driver else None
    return Facts(known={
        Pci: ON_BUS if gpus else Pci(gpus=(), nvswitches=()),
        Driver: Driver(version=version, open_module=None, libraries=(), devices=()),
        Nvml: Nvml(driver_version=version, gpus=gpus),
    })  # fmt: skip


def choose(facts: Facts, device: str = "gpu") -> plans.Plan:
    return plans.choose(BOOK, facts, framework="tensorflow", device=device)


@pytest.mark.parametrize(
    ("facts", "device", "recipe", "reason"),
    [
        (machine("570.86.15", "9.0"), "gpu", "tensorflow-cuda12", "driver 570.86.15; compute capability 9.0"),
        (machine("525.60.13", "6.0", "8.6"), "gpu", "tensorflow-cuda12", "6.0, 8.6"),
        (machine("570.86.15", "9.0"), "cpu", "tensorflow-cpu", "asked for"),
        (machine(None), "gpu", "tensorflow-cpu", "no NVIDIA GPU was found"),
        (Facts(), "gpu", "tensorflow-cpu", "no NVIDIA GPU was found"),
        (Facts(known={Pci: ON_BUS}), "gpu", "tensorflow-cuda12", "no driver was found"),
    ],
)
def test_the_plan(facts: Facts, device: str, recipe: str, reason: str) -> None:
    plan = choose(facts, device)
    assert plan.recipe.name == recipe
    assert reason in plan.reason


def test_wsl_s_driver_is_known_by_nvml_alone() -> None:
    facts = machine("470.10", "7.5")
    driver = Driver(version=None, open_module=None, libraries=(), devices=())
    with pytest.raises(Failure, match=r"needs driver 525\.60\.13 or newer; this is 470\.10"):
        choose(Facts(known={**facts.known, Driver: driver}))


@pytest.mark.parametrize(
    ("framework", "backend", "driver", "gpu", "cpu"),
    [
        ("pytorch", None, "580.65.06", "pytorch-cuda13", "pytorch-cpu"),
        ("jax", None, "580.65.06", "jax-cuda13", "jax-cpu"),
        ("xgboost", None, "525.60.13", "xgboost-cuda12", "xgboost-cpu"),
        ("keras", None, "525.60.13", "keras-tensorflow-cuda12", "keras-tensorflow-cpu"),
        ("keras", "tensorflow", "525.60.13", "keras-tensorflow-cuda12", "keras-tensorflow-cpu"),
        ("keras", "torch", "580.65.06", "keras-torch-cuda13", "keras-torch-cpu"),
        ("keras", "jax", "580.65.06", "keras-jax-cuda13", "keras-jax-cpu"),
    ],
)
def test_every_framework_has_its_own(framework: str, backend: str | None, driver: str, gpu: str, cpu: str) -> None:
    def chosen(facts: Facts, device: str) -> str:
        return plans.choose(BOOK, facts, framework=framework, device=device, backend=backend).recipe.name

    assert chosen(machine(driver, "9.0"), "gpu") == gpu
    assert chosen(machine(driver, "9.0"), "cpu") == chosen(machine(None), "gpu") == cpu
    with pytest.raises(Failure, match=rf"{gpu} needs driver {re.escape(driver)} or newer; this is 470\.10"):
        chosen(machine("470.10", "9.0"), "gpu")


@pytest.mark.parametrize(
    ("framework", "backend", "sentence", "tip"),
    [
        ("theano", None, "no recipe for theano", "pytorch"),
        ("keras", "theano", "keras has no backend theano", "jax, tensorflow, torch"),
        ("jax", "torch", "jax has no backend torch", "Keras alone"),
    ],
)
def test_what_there_is_not_is_named_with_what_there_is(
    framework: str, backend: str | None, sentence: str, tip: str
) -> None:
    with pytest.raises(Failure, match=sentence) as failed:
        plans.choose(BOOK, Facts(), framework=framework, device="cpu", backend=backend)
    assert tip in failed.value.tip


DRIVERS = ("450.80.02", "470.256.02", "525.60.12", "525.60.13", "535.54.03", "570.124.06", "580.65.06", "595.71.05")
CAPABILITIES = ("5.0", "5.2", "6.0", "6.1", "7.0", "7.5", "8.0", "8.6", "8.9", "9.0", "10.0", "12.0", "12.1")


def test_no_plan_that_its_row_forbids() -> None:
    """Over the whole grid of drivers and pairs of GPUs: a recipe that fits both, or a refusal that says why."""
    outcomes = set()
    for driver, first, second in itertools.product(DRIVERS, CAPABILITIES, CAPABILITIES):
        fits = all(BOOK["tensorflow-cuda12"].fits(Version(c)) for c in (first, second))
        new_enough = Version(driver) >= Version("525.60.13")
        if fits and new_enough:
            assert choose(machine(driver, first, second)).recipe.name == "tensorflow-cuda12"
        else:
            with pytest.raises(Failure, match="|".join(map(re.escape, (driver, first, second)))):
                choose(machine(driver, first, second))
        outcomes.add((fits, new_enough))
    assert len(outcomes) == 4
