"""`gpucheck cloud` as a person types it, against each emulator: what it prints, ends with and leaves behind."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gpucheck import clouds, consoles, renting, ssh
from gpucheck.cli import Interrupted
from gpucheck.clouds import ENDPOINT, Asked, Refused, Resource
from gpucheck.ordering import ordered
from gpucheck.render import json as json_lines
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


def test_a_report_that_never_comes(rig: Rig, gpucheck: Gpucheck, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.set_console("ana-1", player.booted("ana-1", player.verified(RUN)).rpartition("report verify")[0])
    kind = type(rig.account())
    whole = kind.console

    def console(account: Any, machine: Any) -> str:
        """It ends itself as it is looked at."""
        text = whole(account, machine)
        if machine.state == "running":
            rig.shut_down("ana-1")
        return text

    monkeypatch.setattr(kind, "console", console)
    code, _, err = gpucheck(*words(rig, "verify", "--yes"))
    assert code == 3
    assert "ana-1 ended before its report came" in err
    assert rig.left() == []


def test_no_report_of_verify_is_no_yes(rig: Rig, gpucheck: Gpucheck) -> None:
    """verify ended without a report: doctor's says nothing of a training."""
    lines = player.booted("ana-1", player.doctor("h100x8-healthy")).rpartition("gpucheck-boot ana-1 done")[0]
    lines += player.said("ana-1", "note verify: no space left on device") + "\n"
    rig.set_console("ana-1", lines + player.said("ana-1", "done doctor=0 build=0 verify=70") + "\n")
    code, _, err = gpucheck(*words(rig, "verify", "--yes"))
    assert code == 3
    assert "made no report of verify: doctor ended with 0, build ended with 0, verify ended with 70" in err
    assert "no space left on device" in err
    assert rig.left() == []


def test_a_report_of_another_framework_is_no_yes(rig: Rig, gpucheck: Gpucheck) -> None:
    """The instance that was there had been set up for another one."""
    assert gpucheck(*words(rig, "create", "--yes"))[0] == 0
    rig.set_console("ana-1", player.booted("ana-1", player.verified(RUN)))
    code, _, err = gpucheck(*words(rig, "verify", "--yes", "--framework", "pytorch"))
    assert code == 3
    assert "proved tensorflow, not pytorch" in err


@pytest.mark.parametrize(
    "report", [b"", b"[]", b"{}", b"[" * 100_000, b'{"schema": 1, "command": "verify"}', b"\xff\0"]
)
def test_a_machine_that_lies_is_not_known(rig: Rig, gpucheck: Gpucheck, report: bytes) -> None:
    lines = [player.booting("ana-1"), *consoles.lines("ana-1", "verify", report)]
    lines += [player.said("ana-1", "reports verify"), player.said("ana-1", "done doctor=0 build=0 verify=0")]
    rig.set_console("ana-1", "\n".join(lines))
    code, _, _ = gpucheck(*words(rig, "verify", "--yes"))
    assert code == 3
    assert rig.left() == []


def test_a_report_under_another_name_is_no_yes(rig: Rig, gpucheck: Gpucheck) -> None:
    healthy = json_lines.render([player.doctor("h100x8-healthy")]).encode()
    lines = [player.booting("ana-1"), *consoles.lines("ana-1", "verify", healthy)]
    lines += [player.said("ana-1", "reports verify"), player.said("ana-1", "done doctor=0 build=0 verify=0")]
    rig.set_console("ana-1", "\n".join(lines))
    assert gpucheck(*words(rig, "verify", "--yes"))[0] == 3


def test_a_folder_that_cannot_be_is_told_before_it_costs(rig: Rig, gpucheck: Gpucheck, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, _, err = gpucheck(*words(rig, "verify", "--yes", "--output", str(tmp_path / "file")))
    assert code == 2
    assert "--output" in err
    assert "asking for" not in err
    assert rig.left() == []


def test_what_is_anothers_is_not_given_back(rig: Rig, gpucheck: Gpucheck) -> None:
    renting.placed(rig.account(), rig.order(owner="ben"), lambda *_: None)
    for command in ("verify", "create"):
        code, _, err = gpucheck(*words(rig, command, "--yes"))
        assert code == 3
        assert "its owner is ben" in err
        assert "destroy" not in err
    assert rig.account().machines("ana-1")


def test_the_report_is_kept_where_it_cannot_be_given_back(
    rig: Rig, gpucheck: Gpucheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    rig.set_console("ana-1", player.booted("ana-1", player.verified(RUN)))

    def refuse(*_: Any) -> Any:
        raise Refused("busy", "the cloud is busy", "try again in a minute")

    monkeypatch.setattr(type(rig.account()), "remove", refuse)
    code, out, err = gpucheck(*words(rig, "verify", "--yes"))
    assert code == 3
    assert "yes:" in out
    assert "may still be there, and cost: the cloud is busy" in err
    assert f"gpucheck cloud destroy {rig.provider} ana-1" in err


def test_a_signal_while_it_is_given_back(rig: Rig, gpucheck: Gpucheck, monkeypatch: pytest.MonkeyPatch) -> None:
    rig.set_console("ana-1", player.booted("ana-1", player.verified(RUN)))
    kind, cut = type(rig.account()), [True]
    whole = kind.remove

    def remove(*given: Any) -> Any:
        if cut.pop() if cut else False:
            raise Interrupted(2)
        return whole(*given)

    monkeypatch.setattr(kind, "remove", remove)
    assert gpucheck(*words(rig, "verify", "--yes"))[0] == 130
    assert rig.left() == []


def test_a_reader_who_went_away(rig: Rig) -> None:
    """`gpucheck cloud verify ... -v 2>&1 | tee log`, and Ctrl-C: tee is gone before anything can be said."""

    def gone(*_: object) -> None:
        raise BrokenPipeError

    order = rig.order()
    with pytest.raises(Interrupted), renting.rented(rig.account(), order, gone, lambda _: None):
        raise Interrupted(2)
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
    code, out, err = gpucheck(*words(rig, "create", "--yes", "-v", "--ssh-from", "203.0.113.7"))
    assert code == 0, err
    assert "203.0.113.7/32" in err
    assert "ana-1" in out
    key = (ssh.folder(rig.provider, "ana-1") / "key.pub").read_text().strip()
    assert key in rig.user_data("ana-1")
    assert "PRIVATE" not in rig.user_data("ana-1")
    code, out, _ = gpucheck("cloud", "list", rig.provider)
    assert code == 0
    assert "running" in out
    assert f"ana-1  of {rig.account().machines('ana-1')[0].owner}  " in out
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


def test_the_login_is_the_images(aws_emulator: Any, gpucheck: Gpucheck, monkeypatch: pytest.MonkeyPatch) -> None:
    gpucheck("cloud", "create", "aws", "--gpu", "T4", "--image", "debian-12", "--name", "ana-1", "--yes",
             "--ssh-from", "203.0.113.7")  # fmt: skip
    aws_emulator.set_console("ana-1", player.host_key("ana-1"))
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr("os.execvp", lambda _, line: ran.append(line))
    gpucheck("cloud", "ssh", "aws", "ana-1")
    assert ran[0][-1].startswith("admin@")


def test_its_time_begins_as_it_is_agreed_to(rig: Rig, gpucheck: Gpucheck, monkeypatch: pytest.MonkeyPatch) -> None:
    """A prompt waits as long as a person does, and an end that is over by then would be none."""
    from gpucheck import ordering

    whole, first = ordering.ordered, list[Any]()

    def ordered(asked: Any) -> Any:
        what = whole(asked)
        if first:
            return what
        first.append(what)
        return replace(what, order=replace(what.order, expires=what.order.expires - timedelta(hours=2)))

    monkeypatch.setattr(ordering, "ordered", ordered)
    monkeypatch.setattr("gpucheck.cli.cloud.confirmed", lambda _: True)
    assert gpucheck(*words(rig, "create"))[0] == 0
    (machine,) = rig.account().machines("ana-1")
    assert machine.expires
    assert machine.expires > datetime.now(UTC) + timedelta(minutes=50)


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
    (("--minutes", "1440"), "to 1380"),
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


@pytest.mark.parametrize("name", ["../../../precious", "/precious", "x OR labels.y:*", "x' or '1' eq '1", "A", ""])
@pytest.mark.parametrize("command", ["destroy", "report", "ssh"])
def test_a_name_that_is_none(command: str, name: str, gpucheck: Gpucheck, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ENDPOINT, "http://127.0.0.1:9")
    code, _, err = gpucheck("cloud", command, "gcp", name)
    assert code == 2
    assert "is no run's name" in err


def test_a_tag_is_no_path(home: Path) -> None:
    """Whoever may tag something in the account names a run; its folder here is removed with it."""
    precious = home / "precious"
    precious.mkdir()
    ssh.folder("aws", "ana-1").mkdir(parents=True)
    for name in (str(precious), "../../../../precious", "..", ".", ""):
        ssh.forget("aws", name)
    assert precious.exists()
    assert ssh.folder("aws", "ana-1").exists()


def test_what_did_not_answer_is_not_empty(gcp_emulator: Any, gpucheck: Gpucheck) -> None:
    gcp_emulator.silent.add("us-west1-b")
    code, out, _ = gpucheck("cloud", "list", "gcp")
    assert code == 3
    assert "no answer of us-west1-b" in out


def test_a_user_without_a_name(rig: Rig, gpucheck: Gpucheck, monkeypatch: pytest.MonkeyPatch) -> None:
    def nobody() -> str:
        raise KeyError("getpwuid(): uid not found: 1234")

    monkeypatch.setattr("getpass.getuser", nobody)
    code, out, err = gpucheck(*words(rig, "verify", "--dry-run"))
    assert code == 0, err
    assert "uid-" in out


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


def test_the_usual_name_is_of_person_type_and_framework(monkeypatch: pytest.MonkeyPatch) -> None:
    def name(**asked: Any) -> str:
        return ordered(Asked(provider="azure", package=WHEEL, **asked)).order.name

    monkeypatch.delenv("GITHUB_RUN_ID", raising=False)
    monkeypatch.setenv("LOGNAME", "ana")
    usual = name(gpu="T4")
    assert usual == name(gpu="T4") == "ana-standard-nc4as-t4-v3"
    long = {name(instance_type=each) for each in ("Standard_ND96isr_H100_v5", "Standard_ND96isr_H200_v5")}
    assert len({usual, name(gpu="T4", framework="pytorch"), *long}) == 4
    monkeypatch.setenv("GITHUB_RUN_ID", "7")
    assert name(gpu="T4") != usual


@pytest.mark.parametrize(("provider", "timer"), [("aws", True), ("gcp", False), ("azure", False)])
def test_who_ends_it(provider: str, timer: bool) -> None:
    """The cloud's own clock where it has one, the first boot's timer on AWS and with any other launcher."""
    asked = Asked(provider=provider, package=WHEEL)
    assert ("systemd-run" in ordered(asked).order.user_data) is timer
    assert "systemd-run" in ordered(asked, timer=True).order.user_data


def test_destroying_where_a_region_does_not_say_is_not_done(
    gpucheck: Gpucheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account's own policy may keep a region from telling; then nobody knows that nothing is left."""
    silent = Resource(kind="unknown", id="no answer of x-1", region="x-1", name=None, expires=None)

    class Account:
        def resources(self, _name: str | None) -> list[Resource]:
            return [silent]

        def remove(self, _name: str | None, _say: object) -> list[Resource]:
            return []

    monkeypatch.setattr(clouds, "cloud", lambda *_: Account())
    for which in (("ana-1",), ("--all", "--yes")):
        code, out, _ = gpucheck("cloud", "destroy", "aws", *which)
        assert code == 3
        assert "no answer of x-1" in out
