"""The codec: what is written reads back as the same, and anything else is refused with its path."""

from __future__ import annotations

import dataclasses
import json
import types
import typing
from collections.abc import Mapping
from typing import Any

import pytest

from gpucheck import codec
from gpucheck.facts import (
    DEEP_SUBJECTS,
    HOST_SUBJECTS,
    IMAGE_SUBJECTS,
    RUN_SUBJECTS,
    WORLD_SUBJECTS,
    CudaInstall,
    DeviceNode,
    Driver,
    Facts,
    Library,
    Pci,
    PciDevice,
    System,
    Toolkit,
    Version,
)
from gpucheck.model import Finding, Remedy, Report, Severity, Status

LITERALS: dict[Any, Any] = {str: "text", int: 7, float: 0.5, bool: True, Version: Version("570.86.15")}


def example(kind: Any, *, empty: bool) -> Any:
    """A value of any type in facts: every field filled, lists with two items; or every None and () it allows."""
    origin, args = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return None if empty else example(next(arg for arg in args if arg is not types.NoneType), empty=empty)
    if origin is tuple:
        return () if empty else (example(args[0], empty=False), example(args[0], empty=True))
    if origin is Mapping:
        return {} if empty else {"key": example(args[1], empty=False)}
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{field.name: example(hints[field.name], empty=empty) for field in dataclasses.fields(kind)})  # type: ignore[operator]
    return LITERALS[kind]


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize(
    "subject",
    [*HOST_SUBJECTS, *IMAGE_SUBJECTS, *DEEP_SUBJECTS, *RUN_SUBJECTS, *WORLD_SUBJECTS],
    ids=lambda subject: subject.__name__,
)
def test_every_subject_reads_back_as_it_was_written(subject: type, empty: bool) -> None:
    facts = Facts(known={subject: example(subject, empty=empty)})
    assert codec.load(Facts, json.loads(json.dumps(codec.dump(facts)))) == facts


def test_a_driver_as_json() -> None:
    driver = Driver(
        version=Version("570.124.06"), open_module=None, libraries=(Library(path="/lib/libcuda.so", version=None),),
        devices=(DeviceNode(path="/dev/nvidia0", major=195, minor=0, mode="666", group="root"),),
    )  # fmt: skip
    assert codec.dump(driver) == {
        "version": "570.124.06",
        "open_module": None,
        "libraries": [{"path": "/lib/libcuda.so", "version": None}],
        "devices": [{"path": "/dev/nvidia0", "major": 195, "minor": 0, "mode": "666", "group": "root"}],
        "modprobe": False,
        "parameters": {},
        "hmm": None,
    }


def test_a_report_reads_back_as_it_was_written() -> None:
    finding = Finding(
        rule="driver.installed", title="x", severity=Severity.ERROR, status=Status.FAIL, message="none",
        affects=("GPU 0",), because=None, remedy=Remedy(text="install it", commands={"": ("a", "b")}, url="https://x"),
    )  # fmt: skip
    facts = Facts(known={Pci: Pci(gpus=(), nvswitches=())}, unknown={System: "no /proc"})
    report = Report(tool="gpucheck 1", when="2026-01-01T00:00:00+00:00", host="box", command="doctor", facts=facts,
                    findings=(finding,), answer="driver.installed")  # fmt: skip
    assert codec.load(Report, json.loads(json.dumps(codec.dump(report)))) == report


PCI = codec.dump(Pci(gpus=(PciDevice(address="0000:01:00.0", device_id="1eb8", driver=None),), nvswitches=()))
TOOLKIT = codec.dump(Toolkit(cuda=None, nvcc=None, installs=(CudaInstall(version=Version("12.8"), path="/x"),)))


def changed(data: Any, path: str, value: object) -> Any:
    """A copy with the value at "a.0.b" put in, or taken out where it is None."""
    copy = json.loads(json.dumps(data))
    *steps, last = [int(step) if step.isdigit() else step for step in path.split(".")]
    place = copy
    for step in steps:
        place = place[step]
    if value is None:
        del place[last]
    else:
        place[last] = value
    return copy


@pytest.mark.parametrize(
    ("kind", "data", "path"),
    [
        (Pci, changed(PCI, "color", "red"), r"\$: expected no key 'color' in Pci"),
        (Pci, changed(PCI, "gpus.0.slot", 1), r"\$\.gpus\[0\]: expected no key 'slot'"),
        (Pci, changed(PCI, "gpus.0.address", 1), r"\$\.gpus\[0\]\.address: expected str, found int"),
        (Pci, changed(PCI, "gpus.0.address", None), r"\$\.gpus\[0\]: PciDevice needs 'address'"),
        (Pci, changed(PCI, "gpus", {}), r"\$\.gpus: expected a list, found dict"),
        (Pci, [], r"\$: expected an object, found list"),
        (Toolkit, changed(TOOLKIT, "installs.0.version", "newest"), r"installs\[0\]\.version: not a version: 'newest'"),
        (Toolkit, changed(TOOLKIT, "installs.0.version", 12.8), r"\$\.installs\[0\]\.version: expected a string"),
        (Severity, "fatal", r"\$: 'fatal' is not a valid Severity"),
        (Facts, {"known": {}}, r"\$: expected known and unknown"),
        (Facts, {"known": {"Printer": {}}, "unknown": {}}, r"\$\.known: expected no subject 'Printer'"),
        (Facts, {"known": ["Pci"], "unknown": {}}, r"\$\.known: expected an object, found list"),
        (Facts, {"known": {}, "unknown": {"Pci": 3}}, r"\$\.unknown\.Pci: expected str, found int"),
        (Facts, {"known": {"Pci": changed(PCI, "gpus.0.driver", 5)}, "unknown": {}}, r"\.Pci\.gpus\[0\]\.driver"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_with_its_path(kind: Any, data: Any, path: str) -> None:
    with pytest.raises(codec.WrongShape, match=path):
        codec.load(kind, data)


def test_a_boolean_is_no_number() -> None:
    for kind in (int, float):
        with pytest.raises(codec.WrongShape):
            codec.load(kind, True)
    assert codec.load(float, 3) == 3.0
