"""The first boot, carried out by a real cloud-init: what it prints comes home, and a second boot changes nothing.

The user-data goes the way of an instance: rented from moto by boto3, and read back from there, as the console is.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from gpucheck import consoles, renting, userdata
from gpucheck.userdata import Setup
from tests.clouds import rigs
from tests.clouds.emulators.aws import Emulator, aws_emulator
from tests.docker import first_boot

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["aws_emulator"]
pytestmark = pytest.mark.docker
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ1c0RZt8m2xV0d0c5Vw3d0u1w0b1YJ9l8mYzqgq7Q8a somebody@somewhere"


def quiet(*_: object) -> None:
    pass


@pytest.mark.timeout(600)
def test_the_report_comes_over_the_console_and_a_second_boot_changes_nothing(
    engine: DockerClient, base: str, aws_emulator: Emulator
) -> None:
    setup = Setup(
        distribution="debian-12", package=first_boot.PACKAGE, minutes=60, run="r-1", steps=("doctor",), ssh_key=KEY
    )
    rig = rigs.aws(aws_emulator)
    account, order = rig.account(), rig.order(name="r-1", user_data=userdata.render(setup), ssh_key=KEY)
    rented = renting.running(account, renting.placed(account, order, quiet), quiet)
    with first_boot.machine(engine, base, rig.user_data("r-1")) as machine:
        rig.set_console("r-1", machine.boot())
        home = renting.proven(account, rented, "r-1", quiet)
        assert "no report of verify: doctor ended with 1" in str(renting.complaint(home))
        console = home.console
        assert console.failed is None, machine.run("tail -n 40 /var/lib/gpucheck/log/*")
        assert console.steps == ("docker", "toolkit", "gpucheck", "doctor")
        assert console.whole
        assert console.done == {"doctor": 1}  # no GPU, and it says so
        report = json.loads(console.reports["doctor"])
        assert report["command"] == "doctor"
        assert machine.run("cat /var/lib/gpucheck/reports/doctor.json").encode() == console.reports["doctor"]
        assert machine.run("stat -c %a /var/lib/gpucheck/reports/doctor.json").strip() == "644"
        keys = machine.run("cut -d' ' -f1,2 /etc/ssh/ssh_host_*_key.pub").splitlines()
        assert sorted(console.host_keys) == sorted(keys)
        assert any("no systemd" in note for note in console.notes)
        assert "status: done" in machine.status
        assert KEY in machine.run("cat /home/debian/.ssh/authorized_keys")
        machine.run("dockerd --version && nvidia-ctk --version && grep -q cdi /etc/docker/daemon.json")

        before, printed = machine.state, machine.run(f"cat {first_boot.CONSOLE}")
        again = machine.boot().removeprefix(printed)
        after = machine.state
        assert set(after.splitlines()) ^ set(before.splitlines()) == set()
        second = consoles.read(again, "r-1")
        assert (second.steps, second.reports, second.whole) == ((), console.reports, True)
        assert second.host_keys == console.host_keys


@pytest.mark.timeout(600)
def test_a_first_boot_that_fails_says_where(engine: DockerClient, base: str) -> None:
    """The repository is not there: its step is named, doctor is asked all the same, and the next boot tries again."""
    setup = Setup(distribution="debian-12", package=first_boot.PACKAGE, run="r-2", steps=("doctor", "build"))
    with first_boot.machine(engine, base, userdata.render(setup)) as machine:
        machine.run("mv /srv/served/nvidia /srv/served/elsewhere; echo RETRY=0 >> /etc/gpucheck/local.env")
        console = consoles.read(machine.boot(), "r-2")
        assert console.failed
        assert console.failed.startswith("toolkit: ")
        assert "404" in console.failed
        assert console.done == {"doctor": 1}
        assert console.whole
        assert "status: error" in machine.status
        machine.run("mv /srv/served/elsewhere /srv/served/nvidia")
        machine.run("sed -i s/STEPS=.*/STEPS=doctor/ /etc/gpucheck/first-boot.env")
        again = consoles.read(machine.boot(), "r-2")
        assert (again.failed, again.done) == (None, {"doctor": 1})
        assert again.steps == ("toolkit", "doctor")
