"""Bundles: whole, private, and judged elsewhere as they were here."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest

from gpucheck import bundles, codec
from gpucheck.host import Recorded
from gpucheck.model import Failure, Report
from tests.conftest import Gpucheck

MACHINES = Path(__file__).parent / "machines"


@pytest.fixture
def bundle(gpucheck: Gpucheck, tmp_path: Path) -> Path:
    """Of the machine that the tests run on."""
    path = tmp_path / "machine.json"
    gpucheck("doctor", "--bundle", str(path))
    return path


def test_a_bundle_is_judged_elsewhere_as_it_was_here(gpucheck: Gpucheck, bundle: Path) -> None:
    told = json.loads(bundle.read_text())
    code, out, _ = gpucheck("doctor", "--from", str(bundle), "--format", "json")
    again = json.loads(out)
    assert code == told["report"]["exit_code"]
    assert again["facts"] == told["report"]["facts"]
    assert [f["status"] for f in again["findings"]] == [f["status"] for f in told["report"]["findings"]]
    assert told["versions"]["gpucheck"]


def test_its_report_is_one_of_ours(bundle: Path) -> None:
    told = json.loads(bundle.read_text())["report"]
    codec.load(Report, {key: value for key, value in told.items() if key not in ("verdict", "exit_code")})


def test_who_became_root_is_not_in_it(gpucheck: Gpucheck, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUDO_USER", "zaphod")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "zaphod_data")
    path = tmp_path / "machine.json"
    gpucheck("doctor", "--bundle", str(path))
    assert "zaphod" not in path.read_text()
    assert "user_data" in path.read_text()


def test_only_its_owner_reads_it(bundle: Path) -> None:
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o600


def test_an_older_bundle_is_replaced_and_becomes_private(gpucheck: Gpucheck, bundle: Path) -> None:
    bundle.write_text("old")
    bundle.chmod(0o644)
    gpucheck("doctor", "--bundle", str(bundle))
    assert json.loads(bundle.read_text())
    assert stat.S_IMODE(bundle.stat().st_mode) == 0o600


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    target, link = tmp_path / "target", tmp_path / "link"
    target.write_text("precious")
    link.symlink_to(target)
    with pytest.raises(Failure, match="link"):
        bundles.write(link, {})
    assert target.read_text() == "precious"
    assert sorted(os.listdir(tmp_path)) == ["link", "target"]


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(Failure, match="No such file"):
        bundles.write(tmp_path / "no" / "where", {})
    with pytest.raises(Failure, match="regular"):
        bundles.write(tmp_path, {})
    with pytest.raises(TypeError):
        bundles.write(tmp_path / "half", {"not": object()})
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "JSON"),
        ("[]", "not of gpucheck"),
        ("{}", "not a recording"),
        ('{"recording": {"schema": 9}}', "schema 9"),
        ('{"schema": 1, "runs": [{"argv": ["a"], "code": "x", "out": "", "err": ""}], "files": {}}', "shape"),
        ('{"schema": 1, "runs": [], "files": {"/proc": {"text": 5}}}', "shape"),
        ('{"findings": []}', "needs"),
        ("{}\n{}\n", "several reports"),
        ("[" * 100000, "gpucheck"),
    ],
)  # fmt: skip
def test_what_is_no_bundle_is_said_in_a_sentence(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "x.json"
    path.write_text(text)
    with pytest.raises(Failure, match=says):
        bundles.load(path)


def test_a_binary_file_is_no_bundle(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b"\xff\xfe\0")
    with pytest.raises(Failure, match="not text"):
        bundles.load(path)


def test_a_recording_and_a_report_are_read_too(gpucheck: Gpucheck, tmp_path: Path) -> None:
    recording = MACHINES / "wsl2" / "recording.json"
    assert isinstance(bundles.load(recording), Recorded)
    report = tmp_path / "report.json"
    report.write_text(gpucheck("doctor", "--from", str(recording), "--format", "json")[1])
    assert isinstance(bundles.load(report), Report)
    code, _, err = gpucheck("doctor", "--from", str(report))
    assert code == 2
    assert "report" in err
