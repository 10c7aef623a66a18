"""moto's server, with what it lacks: the vendors' image parameters, stock-outs, quotas, reclaims and consoles.

It is asked by the real SDK over HTTP, as AWS is. ClientToken is not honoured, and a deletion takes no time.
"""

from __future__ import annotations

import base64
import functools
import logging
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

import pytest

from gpucheck.clouds import ENDPOINT

ACCOUNT = "123456789012"
REGIONS = ("eu-west-1", "us-east-1", "us-west-2")  # of the 34 that moto has: an account with three enabled
DEEP_LEARNING = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
PARAMETERS = (
    DEEP_LEARNING,
    "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-22.04/latest/ami-id",
    "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-amazon-linux-2023/latest/ami-id",
    "/aws/service/canonical/ubuntu/server/22.04/stable/current/amd64/hvm/ebs-gp2/ami-id",
    "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id",
    "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64",
    "/aws/service/debian/release/12/latest/amd64",
)
SWITCHES = {  # read as moto is imported
    "MOTO_ENABLE_AMI_VALIDATION": "true",
    "MOTO_EC2_ENABLE_INSTANCE_TYPE_VALIDATION": "true",
    "MOTO_EC2_LOAD_DEFAULT_AMIS": "false",
}
SAID = {  # in AWS's own words
    "InsufficientInstanceCapacity": "We currently do not have sufficient {type} capacity in the Availability Zone you"
    " requested ({zone}). Our system will be working on provisioning additional capacity.",
    "VcpuLimitExceeded": "You have requested more vCPU capacity than your current vCPU limit of 0 allows for the"
    " instance bucket that the specified instance type belongs to. Please visit"
    " http://aws.amazon.com/contact-us/ec2-request to request an adjustment to this limit.",
    "MaxSpotInstanceCountExceeded": "Max spot instance count exceeded",
}


@dataclass
class Emulator:
    """Knobs on top; then what there is."""

    address: str
    stock_out: set[str] = field(default_factory=set)  # zones
    no_quota: bool = False
    consoles: dict[str, str] = field(default_factory=dict)  # by the name of the run

    def ec2(self, region: str) -> Any:
        return import_module("moto.ec2").ec2_backends[ACCOUNT][region]

    def publish(self, parameter: str) -> None:
        """An image of a vendor, and the parameter that names it, in each region."""
        models: Any = import_module("moto.ssm.models")
        for region in REGIONS:
            image = self.ec2(region).register_image(name=parameter)
            kept = models.ssm_backends[ACCOUNT][region]._parameters
            kept[parameter].append(models.Parameter(
                account_id=ACCOUNT, name=parameter, value=image.id, parameter_type="String", description=None,
                allowed_pattern=None, keyid=None, last_modified_date=0, version=1, data_type="aws:ec2:image",
            ))  # fmt: skip

    def instance(self, name: str) -> Any:
        """The last one of that run."""
        tagged = [each for each in self._instances() if _tags(each).get("gpucheck") == name]
        return tagged[-1]

    def user_data(self, name: str) -> str:
        return str(self.instance(name).user_data.decode())

    def set_console(self, name: str, text: str) -> None:
        self.consoles[name] = text

    def reclaim(self, name: str) -> None:
        """As EC2 takes a spot instance away."""
        self._end(name, "Server.SpotInstanceTermination", "Spot instance termination")

    def shut_down(self, name: str) -> None:
        """As `shutdown` on the instance itself does."""
        self._end(name, "Client.InstanceInitiatedShutdown", "Instance initiated shutdown")

    def _end(self, name: str, code: str, why: str) -> None:
        taken = self.instance(name)
        taken.terminate()
        taken.state_reason.code, taken.state_reason.message = code, f"{code}: {why}"

    def left(self) -> list[str]:
        """All that an empty account does not have."""
        left = [each.id for each in self._instances() if each.state != "terminated"]
        for region in REGIONS:
            there = self.ec2(region)
            left += [*there.volumes, *there.enis, *there.addresses, *there.spot_instance_requests]
            left += [g.id for of_vpc in there.groups.values() for g in of_vpc.values() if g.name != "default"]
        return left

    def _instances(self) -> Sequence[Any]:
        there = (self.ec2(region).reservations.values() for region in REGIONS)
        return [instance for of_region in there for each in of_region for instance in each.instances]


def _tags(thing: Any) -> dict[str, str]:
    return {each["key"]: each["value"] for each in thing.get_tags()}


@functools.cache
def server() -> str:
    """The address of the only one: it lives as long as the tests."""
    os.environ.update(SWITCHES)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    made = import_module("moto.server").ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    assert import_module("moto.settings").ENABLE_AMI_VALIDATION, "moto was imported before its switches were set"
    made.start()
    host, port = made.get_host_and_port()
    return f"http://{host}:{port}"


@pytest.fixture
def aws_emulator(monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """An empty account behind GPUCHECK_CLOUD_ENDPOINT."""
    return emulator(monkeypatch)


def emulator(monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """The same without a test: as long as that is not undone."""
    made = Emulator(address=server())
    monkeypatch.setenv(ENDPOINT, made.address)
    for name in ("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL"):
        monkeypatch.delenv(name, raising=False)
    import_module("moto.moto_api._internal").moto_api_backend.reset()
    monkeypatch.setattr("botocore.session.create_loader", _loader)
    _restrict(monkeypatch)
    _refuse(made, monkeypatch)
    for parameter in PARAMETERS:
        made.publish(parameter)
    return made


@functools.cache
def _loader(path: str | None = None) -> Any:
    """The SDK's descriptions of the services, read once for all tests: those of EC2 take a quarter of a second."""
    return import_module("botocore.loaders").create_loader(path)


def _restrict(monkeypatch: pytest.MonkeyPatch) -> None:
    backend: Any = import_module("moto.ec2.models.availability_zones_and_regions").RegionsAndZonesBackend
    monkeypatch.setattr(backend, "regions", [each for each in backend.regions if each.name in REGIONS])


def _refuse(made: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """RunInstances and GetConsoleOutput of moto, with the knobs in front."""
    backend: Any = import_module("moto.ec2.models").EC2Backend
    general: Any = import_module("moto.ec2.responses.general")
    error: Any = import_module("moto.ec2.exceptions").EC2ClientError
    run = backend.run_instances

    def run_instances(self: Any, *args: Any, **asked: Any) -> Any:
        zone = self.get_subnet(asked["nics"][0]["SubnetId"]).availability_zone
        code = "InsufficientInstanceCapacity" if zone in made.stock_out else ""
        if made.no_quota:
            code = "MaxSpotInstanceCountExceeded" if asked["instance_market_options"] else "VcpuLimitExceeded"
        if code:
            raise error(code, SAID[code].format(type=asked["instance_type"], zone=zone))
        return run(self, *args, **asked)

    def get_console_output(self: Any) -> Any:
        instance = self.ec2_backend.get_instance(self._get_param("InstanceId"))
        text = base64.b64encode(made.consoles.get(_tags(instance).get("gpucheck", ""), "").encode()).decode()
        return general.ActionResult({"InstanceId": instance.id, "Output": text})

    monkeypatch.setattr(backend, "run_instances", run_instances)
    monkeypatch.setattr(general.General, "get_console_output", get_console_output)
