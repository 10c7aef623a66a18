"""The machine that a plan is for: as examined, or as assumed of another; what is not known is no guess."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from gpucheck import fitting, machines, plans
from gpucheck.facts import Driver, Facts, Gpu, Nvml, Pci, PciDevice, Version
from gpucheck.model import Failure
from gpucheck.offers import Wish
from tests.test_plans import BOOK, ON_BUS, TABLES, choose, facts

SEEN = Nvml(driver_version=None, gpus=(Gpu(index=0, name="Tesla T4", compute_capability=Version("7.5")),))


@pytest.mark.parametrize(
    ("found", "device", "recipe", "reason"),
    [
        (facts("570.86.15", "9.0"), "gpu", "tensorflow-cuda12", "driver 570.86.15 runs CUDA 12.5 (525.60.13 or newer"),
        (facts("525.60.13", "6.0", "8.6"), "gpu", "tensorflow-cuda12", "6.0 (GPU 0) and 8.6 (GPU 1)"),
        (facts("570.86.15", "9.0"), "cpu", "tensorflow-cpu", "asked for"),
        (facts(None), "gpu", "tensorflow-cpu", "no NVIDIA GPU was found"),
        (Facts(unknown={Pci: "no /sys"}), "cpu", "tensorflow-cpu", "asked for"),
        (Facts(known={Pci: ON_BUS}), "gpu", "tensorflow-cuda12", "and CUDA 12.5 on this machine needs 525.60.13"),
    ],
)
def test_the_plan(found: Facts, device: str, recipe: str, reason: str) -> None:
    plan = choose(found, Wish(framework="tensorflow", device=device))
    assert plan.recipe.name == recipe
    assert reason in plan.reason
    assert (recipe, None) in plan.considered


@pytest.mark.parametrize(
    ("found", "why"),
    [
        (Facts(), "nobody asked"),
        (Facts(unknown={Pci: "no /sys"}), "the PCI bus could not be looked at: no /sys"),
        (Facts(unknown={Pci: "no /sys", Driver: "no /proc", Nvml: "hung"}), "no /sys"),
        (Facts(known={Pci: ON_BUS}, unknown={Driver: "no /proc"}), "the driver could not be looked at: no /proc"),
        (Facts(known={Nvml: SEEN}, unknown={Driver: "no /proc"}), "the driver could not be looked at: no /proc"),
    ],
)
def test_where_nobody_could_look_there_is_no_plan(found: Facts, why: str) -> None:
    with pytest.raises(plans.Refusal, match=f"what this machine has is not known: .*{re.escape(why)}") as refused:
        choose(found)
    assert refused.value.exit_code == 3


def test_a_driver_that_could_not_be_looked_at_matters_only_beside_a_gpu() -> None:
    none = Facts(known={Pci: Pci(gpus=(), nvswitches=())}, unknown={Driver: "no /proc", Nvml: "hung"})
    assert choose(none).recipe.name == "tensorflow-cpu"
    told = Facts(known={Nvml: replace(SEEN, driver_version=Version("570.86.15"))}, unknown={Driver: "no /proc"})
    assert choose(told).recipe.name == "tensorflow-cuda12"


def test_wsl_s_driver_is_known_by_nvml_alone() -> None:
    found = facts("470.10", "7.5")
    driver = Driver(version=None, open_module=None, libraries=(), devices=())
    with pytest.raises(plans.Refusal, match=r"needs driver 525\.60\.13 or newer; the driver here is 470\.10"):
        choose(Facts(known={**found.known, Driver: driver}))


def on_bus(driver: str | None, *ids: str) -> Facts:
    devices = tuple(PciDevice(address=f"0000:0{i}:00.0", device_id=id_, driver=driver) for i, id_ in enumerate(ids))
    return Facts(known={Pci: Pci(gpus=devices, nvswitches=())})


def test_a_gpu_that_no_table_knows_is_no_guess() -> None:
    with pytest.raises(plans.Refusal, match=r"compute capability of the GPU at 0000:00:00\.0 is not known") as refused:
        choose(on_bus(None, "0001"))
    assert refused.value.exit_code == 1
    assert refused.value.considered == (("tensorflow-cuda12", "the GPU is not known"),)
    assert "0000:01:00.0 is not known" in choose(on_bus(None, "2330", "0001")).reason


def test_a_gpu_of_a_virtual_machine_is_not_ours() -> None:
    plan = choose(on_bus("vfio-pci", "2330"))
    assert plan.recipe.name == "tensorflow-cpu"
    assert "virtual machines" in plan.reason


def test_nvml_that_does_not_say_a_capability_is_helped_by_the_name() -> None:
    nvml = Nvml(driver_version=Version("580.65.06"), gpus=(Gpu(index=0, name="Tesla V100-SXM2-16GB"),))
    plan = choose(Facts(known={Nvml: nvml}), "pytorch")
    assert plan.recipe.name == "pytorch-cuda12"
    assert "7.0 (Tesla V100-SXM2-16GB)" in plan.reason


def test_without_a_driver_the_reason_says_up_to_which() -> None:
    reason = choose(machines.assumed(TABLES, None, ["P100"]), "pytorch").reason
    assert "needs 525.60.13 or newer, up to branch 580" in reason
    blackwell = choose(machines.assumed(TABLES, None, ["B200"]), Wish(framework="pytorch", version="2.10"))
    assert "CUDA 12.8 on this machine needs 570.26 or newer;" in blackwell.reason


@pytest.mark.parametrize(
    ("gpus", "labels"),
    [
        (["T4"], "compute capability 7.5 (T4)"),
        (["8.6"], "compute capability 8.6"),
        (["RTX 4090", "rtx 4090", "A100"], "compute capability 8.0 (A100) and 8.9 (RTX 4090, rtx 4090)"),
        (["GTX 1080 Ti", "GTX 1080 Ti"], "compute capability 6.1 (2 x GTX 1080 Ti)"),
        (["H100", "B200", "T4"], "compute capability 7.5 (T4), 9.0 (H100) and 10.0 (B200)"),
    ],
)
def test_another_machine_may_be_assumed(gpus: list[str], labels: str) -> None:
    machine = machines.assumed(TABLES, "550.54.14", gpus)
    assert machine.named(machine.capabilities) == labels
    assert machine.driver == Version("550.54.14")


@pytest.mark.parametrize(
    ("driver", "gpu", "sentence", "tip"),
    [
        ("580", "T4", "'580' is not the version of a driver", "580.65.06"),
        ("new", "T4", "'new' is not the version of a driver", "nvidia-smi"),
        ("580.65.06", "RTX 4000", "'RTX 4000' may be one of several", "Quadro RTX 4000"),
        ("580.65.06", "H10", "no GPU that is called 'H10'", "H100"),
        ("580.65.06", "8.5", "no GPU of compute capability 8.5", "8.0, 8.6"),
        ("580.65.06", "abacus", "no GPU that is called 'abacus'", "--assume-gpu 8.6"),
        ("580.65.06", " ", "no GPU that is called ''", "--assume-gpu 8.6"),
    ],
)
def test_what_cannot_be_assumed_is_said(driver: str, gpu: str, sentence: str, tip: str) -> None:
    with pytest.raises(Failure, match=re.escape(sentence)) as failed:
        machines.assumed(TABLES, driver, [gpu])
    assert tip in failed.value.tip
    assert failed.value.exit_code == 2


def test_a_recipe_without_a_gpu_is_not_judged() -> None:
    with pytest.raises(ValueError, match="not for a GPU"):
        fitting.judge(BOOK["jax-cpu"], BOOK, machines.assumed(TABLES, None, ["T4"]), TABLES)
