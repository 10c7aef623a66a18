"""`gpucheck cloud` as a person types it, against each emulator: what it prints, ends with and leaves behind."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from gpucheck import ssh
from gpucheck.cli import Interrupted
from gpucheck.clouds import ENDPOINT
from tests.clouds import player
from tests.clouds.rigs import Rig
from tests.conftest import Gpucheck

WHEEL = "https://example.org/gpucheck-0.1.0-py3-none-any.whl"
RUN = "derived-tensorflow-gpu"
pytestmark = pytest.mark.timeout(60)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GPUCHECK_PACKAGE", WHEEL)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path


def words(rig: Rig, command: str, *more: str) -> tuple[str, ...]:
    order = rig.order()
    return ("cloud", command, rig.provider, "--type", order.instance_type, "--region", order.region,
            "--name", "ana-1", *more)  # fmt: skip


def test_one_command_from_nothing_to_a_verdict(rig: Rig, gpucheck: Gpucheck, tmp_path: Path) -> None:
    rig.set_console("ana-1", player.booted("ana-1", player.doctor("h100x8-healthy"), player.verified(RUN)))
    code, out, err = gpucheck(*words(rig, "verify", "--yes", "--output", str(tmp_path / "kept")))
    assert code == 0, err
    assert "yes:" in out
    assert "US dollars an hour" in err
    assert "given back: " in err
    assert rig.order().instance_type in err
    assert rig.left() == []
    kept = json.loads((tmp_path / "kept" / "verify.json").read_text())
    assert kept["host"] == RUN
    assert (tmp_path / "kept" / "doctor.json").exists()


def test_a_no_is_the_exit_code(rig: Rig, gpucheck: Gpucheck) -> None:
    rig.set_console("ana-1", player.booted("ana-1", player.verified("tensorflow-cpu-asked-gpu")))
    code, out, _ = gpucheck(*words(rig, "verify", "--yes"))
    assert code == 1
    assert "no:" in out
    assert rig.left() == []


def test_a_first_boot_that_fails_names_the_step_and_doctors_cause(rig: Rig, gpucheck: Gpucheck) -> None:
    sick = player.doctor("no-driver")
    rig.set_console("ana-1", player.failed("ana-1", "driver", "E: Unable to locate package", sick))
    code, out, err = gpucheck(*words(rig, "verify", "--yes"))
    assert code == 3
    assert "the first boot failed at driver: E: Unable to locate package" in err
    assert sick.root_cause
    assert sick.root_cause.message[:40] in out
    assert rig.left() == []


def test_a_report_that_never_comes(rig: Rig, gpucheck: Gpucheck) -> None:
    rig.set_console("ana-1", player.booted("ana-1", player.verified(RUN)).rpartition("report verify")[0])
    rig.end_soon("ana-1")
    code, _, err = gpucheck(*words(rig, "verify", "--yes"))
    assert code == 3
    assert "ana-1" in err
    assert rig.left() == []


def test_the_request_is_shown_and_nothing_is_made(rig: Rig, gpucheck: Gpucheck) -> None:
    code, out, err = gpucheck(*words(rig, "verify", "--dry-run"))
    assert code == 0
    assert rig.order().instance_type in out
    assert "gpucheck-expires" in out
    assert "US dollars an hour" in err
    assert rig.left() == []


def test_it_asks_before_it_costs(rig: Rig, gpucheck: Gpucheck) -> None:
    code, _, err = gpucheck(*words(rig, "verify"))
    assert code == 2
    assert "--yes" in err
    assert rig.left() == []


@pytest.mark.parametrize("moment", ["placed", "running", "proven"])
def test_a_signal_at_any_moment_gives_it_back(
    rig: Rig, gpucheck: Gpucheck, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    from gpucheck import renting

    whole = getattr(renting, moment)

    def interrupted(*given: Any) -> None:
        if moment == "placed":
            whole(*given)
        raise Interrupted(15)

    monkeypatch.setattr(renting, moment, interrupted)
    code, _, err = gpucheck(*words(rig, "verify", "--yes"))
    assert code == 143
    assert "interrupted" in err
    assert rig.left() == []


def test_create_list_report_ssh_destroy(rig: Rig, gpucheck: Gpucheck, monkeypatch: pytest.MonkeyPatch) -> None:
    code, out, err = gpucheck(*words(rig, "create", "--yes", "--ssh-from", "203.0.113.7"))
    assert code == 0, err
    assert "203.0.113.7/32" in err
    assert "ana-1" in out
    key = (ssh.folder(rig.provider, "ana-1") / "key.pub").read_text().strip()
    assert key in rig.user_data("ana-1")
    assert "PRIVATE" not in rig.user_data("ana-1")
    code, out, _ = gpucheck("cloud", "list", rig.provider)
    assert code == 0
    assert "running" in out
    rig.set_console("ana-1", player.booted("ana-1", player.verified(RUN)))
    assert gpucheck("cloud", "report", rig.provider, "ana-1")[0] == 0
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr("os.execvp", lambda _, line: ran.append(line))
    rig.set_console("ana-1", player.booting("ana-1") + player.host_key("ana-1"))
    gpucheck("cloud", "ssh", rig.provider, "ana-1", "--", "nvidia-smi")
    assert ran[0][0] == "ssh"
    assert ran[0][-1] == "nvidia-smi"
    assert player.HOST_KEY in (ssh.folder(rig.provider, "ana-1") / "known_hosts").read_text()
    assert "StrictHostKeyChecking=yes" in ran[0]
    code, out, _ = gpucheck("cloud", "destroy", rig.provider, "ana-1")
    assert code == 0
    assert "gone" in out
    assert rig.left() == []
    assert not ssh.folder(rig.provider, "ana-1").exists()
    assert "nothing of gpucheck's" in gpucheck("cloud", "list", rig.provider)[1]


def test_a_second_run_goes_on_with_what_is_there(rig: Rig, gpucheck: Gpucheck) -> None:
    assert gpucheck(*words(rig, "create", "--yes"))[0] == 0
    rig.set_console("ana-1", player.booted("ana-1", player.verified(RUN)))
    code, _, err = gpucheck(*words(rig, "verify", "--yes"))
    assert code == 0
    assert "is there already" in err
    assert rig.left() == []


def test_a_cloud_that_does_not_answer_is_not_empty(
    rig: Rig, gpucheck: Gpucheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:9")
    code, _, err = gpucheck("cloud", "list", rig.provider)
    assert code == 3
    assert "not known" in err


@pytest.mark.parametrize(("given", "tip"), [
    (("--type", "p5.48xlarg"), "p5.48xlarge"), (("--gpu", "H10O"), "H100"), (("--minutes", "3"), "10 to"),
    (("--name", "Ana_1"), "at most 31"), (("--type", "g4dn.xlarge", "--gpu", "H100"), "alone"),
    (("--image", "dlami-ubuntu-24"), "dlami-ubuntu-24.04"),
])  # fmt: skip
def test_bad_input_is_told_before_anything_is_asked(
    given: tuple[str, ...], tip: str, gpucheck: Gpucheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:9")
    code, _, err = gpucheck("cloud", "verify", "aws", "--yes", *given)
    assert code == 2
    assert tip in err


def test_no_package_no_instance(gpucheck: Gpucheck, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GPUCHECK_PACKAGE")
    code, _, err = gpucheck("cloud", "verify", "aws", "--yes")
    assert code == 2
    assert "--package" in err


def test_an_endpoint_elsewhere_is_refused(gpucheck: Gpucheck, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, "http://203.0.113.7:80")
    code, _, err = gpucheck("cloud", "list", "gcp")
    assert code == 3
    assert "not on this machine" in err
