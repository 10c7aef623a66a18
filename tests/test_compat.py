"""The tables: sane, strictly read, silent about what is not in them."""

from __future__ import annotations

import itertools
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from gpucheck import compat, tables
from gpucheck.compat import runs_on
from gpucheck.facts import Gpu, Nvml, Package, Pci, PciDevice, Version

V = Version
C = compat.load()


def test_versions_compare_by_their_numbers() -> None:
    assert V("570.86.15") < V("570.124.06") < V("580")
    assert V("12.5") == V("12.5.0")
    assert len({V("12.5"), V("12.5.0")}) == 1
    assert (V("2.10.0+cu128").series, V("13").series, V("0").major) == ((2, 10), (13, 0), 0)
    with pytest.raises(ValueError, match="newest"):
        V("newest")


# --- lookups ---


@pytest.mark.parametrize(
    ("cuda", "floor"),
    [
        ("11.8", "450.80.02"),
        ("12.0", "525.60.13"),
        ("12.9.1", "525.60.13"),
        ("13.2", "580.65.06"),
        ("10.2", None),
        ("14.0", None),
    ],
)
def test_the_driver_floor_goes_by_the_cuda_major(cuda: str, floor: str | None) -> None:
    assert C.driver_floor(V(cuda)) == (V(floor) if floor else None)


@pytest.mark.parametrize(
    ("cuda", "driver"),
    [("12.5.1", "555.42.06"), ("12.5", "555.42.02"), ("11.8", "520.61.05"), ("12.7", None), ("13.9", None)],
)
def test_the_driver_that_a_release_ships(cuda: str, driver: str | None) -> None:
    assert C.toolkit_driver(V(cuda)) == (V(driver) if driver else None)


def test_cuda_and_drivers_by_compute_capability() -> None:
    volta, blackwell = C.cuda_span(V("7.0")), C.cuda_span(V("12.0"))
    assert volta
    assert blackwell
    assert (volta.first, volta.last) == (V("9.0"), 12)
    assert (blackwell.first, blackwell.last) == (V("12.8"), None)
    assert C.cuda_span(V("99.0")) is None
    pascal, new = C.branch(V("6.1")), C.branch(V("12.0"))
    assert pascal
    assert new
    assert (pascal.first, pascal.last) == (367, 580)
    assert (new.first, new.last) == (570, None)
    assert C.branch(V("99.0")) is None


@pytest.mark.parametrize(
    ("capability", "first", "last"),
    [("3.7", None, 470), ("5.2", None, 580), ("7.0", 384, 580), ("7.5", 410, None), ("8.0", 450, None),
     ("8.6", 455, None), ("8.9", 520, None), ("9.0", 520, None), ("10.3", 575, None), ("12.1", 575, None)],
)  # fmt: skip
def test_a_branch_without_a_row_is_that_of_the_first_cuda(capability: str, first: int | None, last: int | None) -> None:
    branch = C.branch(V(capability))
    assert branch
    assert (branch.first, branch.last) == (first, last)


@pytest.mark.parametrize(
    ("driver", "capability", "serves"),
    [("450.80.02", "9.0", False), ("390.157", "8.6", False), ("535.274.02", "12.1", False), ("520.61.05", "8.9", True),
     ("580.95.05", "7.0", True), ("590.48.01", "7.0", False), ("331.20", "5.0", None), ("570.26", "99.0", None)],
)  # fmt: skip
def test_which_driver_serves_which_gpu(driver: str, capability: str, serves: bool | None) -> None:
    assert C.driver_serves(V(driver), V(capability)) is serves


@pytest.mark.parametrize(
    ("cudnn", "capability", "serves"),
    [("9.10.2", "7.0", True), ("9.11.0", "7.0", False), ("9.11.0", "7.5", True), ("8.9.7", "12.0", None),
     ("9.10.2", "12.0", True), ("8.9.7", "9.0", True), ("8.9.7", "3.5", None), ("9.28.0", "99.0", None)],
)  # fmt: skip
def test_which_cudnn_serves_which_gpu(cudnn: str, capability: str, serves: bool | None) -> None:
    assert C.cudnn_serves(V(cudnn), V(capability)) is serves


@pytest.mark.parametrize(
    ("capability", "open_fits", "proprietary_fits"),
    [
        ("6.1", False, True),
        ("7.0", False, True),
        ("7.5", True, True),
        ("9.0", True, True),
        ("10.0", True, False),
        ("12.0", True, False),
    ],
)
def test_the_kinds_of_kernel_module(capability: str, open_fits: bool, proprietary_fits: bool) -> None:
    assert C.module_fits(V(capability), open_module=True) is open_fits
    assert C.module_fits(V(capability), open_module=False) is proprietary_fits


def test_cudnn_has_dropped_old_gpus() -> None:
    assert C.cudnn_without(V("7.0")) == V("9.11")
    assert C.cudnn_without(V("7.5")) is None


def test_a_framework_by_its_minor_release() -> None:
    build = C.framework("tensorflow", V("2.21.3"))
    assert build
    assert (build.cuda, build.cudnn, build.ptx) == (V("12.5.1"), V("9.3"), V("9.0"))
    assert build.pythons == ("3.10", "3.11", "3.12", "3.13")
    for name, version in (("tensorflow", "2.99"), ("tensorflow", "3.21"), ("caffe", "1.0"), ("tensorflow", "2.2")):
        assert C.framework(name, V(version)) is None


def test_torch_has_a_build_for_each_cuda() -> None:
    default, older = C.framework("torch", V("2.7.1")), C.framework("torch", V("2.7.0"), V("12.8"))
    assert default
    assert older
    assert (default.cuda, older.cuda) == (V("12.6"), V("12.8"))
    assert C.framework("torch", V("2.7.0"), V("11.8")) is None
    package = Package(name="torch", version=V("2.7.0+cu128"), path="/x", cuda=V("12.8"))
    assert C.build_of(package) == older
    assert C.build_of(replace(package, cpu_only=True)) is None


@pytest.mark.parametrize(
    "package",
    [
        Package(name="torch", version=V("2.7.1"), path="/x", cuda=V("12.6"), wheel=False),
        Package(name="torch", version=V("2.9.0a0+50eac811a6.nv25.9"), path="/x", cuda=V("13.0")),
        Package(name="tensorflow", version=V("2.17.0+nv25.2"), path="/x", cuda=V("12.3")),
        # Compiled by a distribution, or by hand: PyPI's is of CUDA 12.5.
        Package(name="tensorflow", version=V("2.20.0"), path="/x", cuda=V("12.9")),
    ],
    ids=["conda", "nvidia-torch", "nvidia-tensorflow", "compiled"],
)
def test_the_table_has_no_build_but_that_of_the_index(package: Package) -> None:
    assert C.framework(package.name, package.version) is not None
    assert C.build_of(package) is None


@pytest.mark.parametrize(
    ("version", "capability", "how"),
    [
        ("2.21", "6.1", "native"), ("2.21", "7.5", "native"), ("2.21", "8.6", "native"), ("2.21", "9.0", "native"),
        ("2.21", "10.0", "jit"), ("2.21", "12.0", None), ("2.21", "5.2", None), ("2.16", "5.2", "native"),
        ("2.15", "9.0", "jit"), ("2.13", "3.7", "native"), ("2.13", "3.0", None),
    ],
)  # fmt: skip
def test_how_tensorflow_runs_on_a_gpu(version: str, capability: str, how: str | None) -> None:
    build = C.framework("tensorflow", V(version))
    assert build
    assert runs_on(build, V(capability)) == how


@pytest.mark.parametrize(
    ("name", "capability"),
    [
        ("Tesla T4", "7.5"), ("NVIDIA H100 80GB HBM3", "9.0"), ("NVIDIA GeForce RTX 4090 Laptop GPU", "8.9"),
        ("NVIDIA A100-SXM4-40GB MIG 3g.20gb", "8.0"), ("NVIDIA RTX 4000 Ada Generation", "8.9"),
        ("Quadro RTX 4000", "7.5"), ("NVIDIA RTX PRO 6000 Blackwell Server Edition", "12.0"), ("rtx 4090", "8.9"),
        ("T4", "7.5"), ("NVIDIA GeForce RTX 3050 A Laptop GPU", "8.9"), ("NVIDIA GeForce RTX 3050", "8.6"),
        # Two GPUs of different generations have this name.
        ("RTX 4000", None), ("RTX 6000", None), ("NVIDIA Graphics Device", None), ("", None), ("A1", None),
    ],
)  # fmt: skip
def test_compute_capability_by_name(name: str, capability: str | None) -> None:
    assert C.capability_of(name) == (V(capability) if capability else None)


@pytest.mark.parametrize(
    ("device_id", "capability"),
    [
        ("2330", "9.0"),
        ("20b2", "8.0"),
        ("1eb8", "7.5"),
        ("2b85", "12.0"),
        ("2901", "10.0"),
        ("1db1", "7.0"),
        ("1af1", None),
        ("22a3", None),
    ],
)
def test_compute_capability_by_device_id(device_id: str, capability: str | None) -> None:
    assert C.capability_of_device(device_id) == (V(capability) if capability else None)


def test_the_gpus_here_are_nvmls_or_else_the_buss() -> None:
    devices = [PciDevice(address=f"0000:0{i}:00.0", device_id=d, driver=None) for i, d in enumerate(("1eb8", "ffff"))]
    pci = Pci(gpus=tuple(devices), nvswitches=())
    nvml = Nvml(gpus=(Gpu(index=0, name="H100", compute_capability=V("9.0")), Gpu(index=1)))
    assert list(C.gpus(pci, nvml).values()) == [V("9.0")]
    told = replace(nvml, gpus=(replace(nvml.gpus[0], pci_address="0000:01:00.0"), Gpu(index=1)))
    assert list(C.gpus(pci, told).values()) == [V("9.0"), V("7.5")], "the bus tells of the one that NVML lost"
    assert C.gpus(pci, Nvml()) == C.gpus(pci, None) == {"the GPU at 0000:00:00.0": V("7.5")}
    assert C.gpus(None, None) == {}


def test_gpus_of_other_drivers_are_not_ours() -> None:
    def labels(*drivers: str | None) -> list[str]:
        gpus = [PciDevice(address=f"{i}", device_id="1eb8", driver=driver) for i, driver in enumerate(drivers)]
        return [label[-1] for label in C.gpus(Pci(gpus=tuple(gpus), nvswitches=()), None)]

    assert labels("nvidia", "vfio-pci", None) == ["0", "2"]
    assert labels("vfio-pci") == []
    assert labels("nouveau", "nvidia") == ["1"]
    assert labels("nouveau", "vfio-pci") == ["0"]  # nvidia would have it


def test_accuracy_is_expected_only_of_training_that_is_long_enough() -> None:
    assert C.accuracy_floor(True, 3, 4689) == 0.60
    assert C.accuracy_floor(True, 2, 4689) is None
    assert C.accuracy_floor(True, 3, 100) is None
    assert C.accuracy_floor(True, 3, 4689, framework="xgboost") is None
    assert C.accuracy_floor(True, 3, 4689, recipe="unheard of") is None


def test_the_ops_that_do_the_work() -> None:
    assert {"Conv2D", "Conv2DBackpropFilter", "MatMul", "Conv3D"} <= C.heavy_ops(["tensorflow"])
    assert C.heavy_ops(["caffe"]) == frozenset()
    shown = C.shown_ops(["keras", "torch"])
    assert ("aten::convolution_backward", "dispatch") in shown
    assert "aten::addmm" in C.heavy_ops(["torch"]) - {op for op, _ in shown}  # Keras multiplies and adds apart
    assert {op for op, _ in C.shown_ops(["tensorflow"])} < C.heavy_ops(["tensorflow"])
    assert {mode for _, mode in C.shown_ops(["tensorflow"])} == {"graph", "eager"}


def test_what_may_stay_on_the_cpu_and_which_kernels_are_heavy() -> None:
    assert C.allowed_on_cpu(["tensorflow"], "ParallelMapDatasetV2") == "input pipeline"
    for op in ("MatMul", "AddV2", "Mul", "StatefulPartitionedCall", "XlaCallModule", "__inference_step"):
        assert C.allowed_on_cpu(["tensorflow"], op) is None, op
    assert C.allowed_on_cpu(["torch"], "aten::mm") is None
    assert C.allowed_on_cpu(["torch"], "aten::_foreach_add_") == "an optimizer's counts of its steps"
    for name in (
        "sm80_xmma_fprop_implicit_gemm_f32f32",
        "ampere_sgemm_128x64_tn",
        "cutlass::Kernel2<x>",
        "dot_fusion",
        "implicit_convolve_sgemm",
        "tensorflow::DepthwiseConv2dGPUKernelNHWC",
        "nvjet_tst_64x8_64x16_4x1",
    ):
        assert C.is_heavy_kernel(name), name
    for name in (
        "Cast_UINT8_FLOAT_DT_UINT8",
        "void at::native::vectorized_elementwise_kernel<4>",
        "loop_convert_fusion_2",
        "Eigen::TensorConversionOp<long long>",
        "wrapped_convert",
    ):
        assert not C.is_heavy_kernel(name), name


# --- the rows ---


def test_the_tables_are_in_order_and_say_nothing_twice() -> None:
    releases = [release.cuda for release in C.releases]
    assert releases == sorted(set(releases))
    assert [floor.cuda for floor in C.floors] == sorted({floor.cuda for floor in C.floors})
    assert len({model.name for model in C.models}) == len(C.models)
    runs = sorted((int(chip.first, 16), int(chip.last, 16)) for chip in C.chips)
    assert all(first <= last for first, last in runs)
    assert all(one[1] < other[0] for one, other in itertools.pairwise(runs))
    builds = [(build.name, build.version.series, build.cuda.series) for build in C.builds]
    assert len(set(builds)) == len(builds)


def test_every_release_runs_on_the_driver_that_it_ships() -> None:
    for release in C.releases:
        floor = C.driver_floor(release.cuda)
        assert floor or release.cuda.major < 11
        if floor is None:
            continue
        # 11.0 itself shipped an older driver than CUDA 11's floor.
        assert floor <= release.driver or release.cuda.series == (11, 0)


def test_every_build_has_a_driver() -> None:
    for build in C.builds:
        assert C.driver_floor(build.cuda), build


# --- the reading ---


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in tables.FOLDER.glob("*.toml"):
        shutil.copy(path, tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ('{ cuda = 14, driver = "700", checked = 2026-01-01 }', r"floor\[3\]: no source"),
        ('{ cuda = 14, driver = "700", source = "x" }', r"floor\[3\]: no checked"),
        ('{ cuda = 14, source = "x", checked = 2026-01-01 }', r"floor\[3\]: no driver"),
        ('{ cuda = 14, driver = "700", color = 1, source = "x", checked = 2026-01-01 }', r"no such key: color"),
        ('{ cuda = "14", driver = "700", source = "x", checked = 2026-01-01 }', r"floor\[3\]\.cuda: '14' is not int"),
        ('{ cuda = 14, driver = "new", source = "x", checked = 2026-01-01 }', r"floor\[3\]\.driver: not a version"),
        ('{ cuda = 14, driver = "700", source = "x", checked = "today" }', r"floor\[3\]\.checked: 'today' is not date"),
    ],
)
def test_a_wrong_row_is_refused_by_file_and_place(folder: Path, line: str, says: str) -> None:
    path = folder / "cuda.toml"
    path.write_text(path.read_text().replace("\n]\n", f"\n    {line},\n]\n", 1))
    with pytest.raises(ValueError, match=r"cuda\.toml: .*" + says):
        tables.read(folder)
