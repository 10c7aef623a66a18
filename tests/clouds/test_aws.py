"""EC2 as moto plays it, over HTTP by the real SDK; what moto lacks is answered by botocore's Stubber."""

from __future__ import annotations

import base64
import json
from collections.abc import Sequence
from importlib import import_module
from typing import Any

import pytest
from botocore.stub import ANY, Stubber

from gpucheck import clouds
from gpucheck.clouds import Refused, aws_bodies, aws_holdings
from gpucheck.clouds.aws import Aws
from gpucheck.clouds.aws_api import Api
from gpucheck.clouds.orders import Order
from tests.clouds import killed, rigs
from tests.clouds.emulators.aws import DEEP_LEARNING, REGIONS, Emulator

SSH = {"ssh_key": "ssh-ed25519 AAAA ana", "ssh_from": "203.0.113.7/32"}


def order(**given: Any) -> Order:
    return killed.order(**{"region": "us-east-1", "instance_type": "g5.xlarge", "image": DEEP_LEARNING} | given)


@pytest.fixture
def api(aws_emulator: Emulator) -> Api:
    return Api(aws_emulator.address, "us-east-1")


@pytest.fixture
def said() -> list[str]:
    return []


def quiet(*_: object) -> None:
    pass


def only(told: Any) -> Any:
    (one,) = told
    return one


def running(client: Any) -> Any:
    return only(only(client.describe_instances()["Reservations"])["Instances"])


@pytest.mark.parametrize("spot", [False, True])
def test_create_sends_what_request_shows(api: Api, spot: bool) -> None:
    account, wanted, sent = Aws(api), order(spot=spot, **SSH), {}

    def seen(params: Any, model: Any, **_: Any) -> None:
        sent[model.name] = json.loads(json.dumps(params))

    shown = account.request(wanted, "us-east-1b")
    api.ec2("us-east-1").meta.events.register("provide-client-params.ec2.*", seen)
    account.create(wanted, "us-east-1b", quiet)
    group = sent["AuthorizeSecurityGroupIngress"]["GroupId"]
    told = json.loads(json.dumps(shown).replace("(of create_security_group)", group))
    assert told["create_security_group"] == sent["CreateSecurityGroup"]
    assert told["authorize_security_group_ingress"] == sent["AuthorizeSecurityGroupIngress"]
    assert told["run_instances"] == sent["RunInstances"]
    kinds = {each["ResourceType"] for each in sent["RunInstances"]["TagSpecifications"]}
    assert kinds == {"instance", "volume", "network-interface"} | ({"spot-instances-request"} if spot else set())
    assert ("InstanceMarketOptions" in sent["RunInstances"]) is spot


def test_the_instance_is_as_safe_as_was_ordered(api: Api, aws_emulator: Emulator) -> None:
    data = "#cloud-config\n# ünïcode\r\n" + "x" * 16_000
    wanted = order(user_data=data, spot=True)
    made = Aws(api).create(wanted, None, quiet)
    client: Any = api.ec2("us-east-1")
    told = running(client)
    kept = client.describe_instance_attribute(InstanceId=made.id, Attribute="userData")["UserData"]["Value"]
    assert base64.b64decode(kept).decode() == aws_emulator.user_data("ana-1") == data
    options = {key: told["MetadataOptions"][key] for key in ("HttpTokens", "HttpPutResponseHopLimit", "HttpEndpoint")}
    assert options == {"HttpTokens": "required", "HttpPutResponseHopLimit": 2, "HttpEndpoint": "enabled"}
    behaviour = client.describe_instance_attribute(InstanceId=made.id, Attribute="instanceInitiatedShutdownBehavior")
    assert behaviour["InstanceInitiatedShutdownBehavior"]["Value"] == "terminate"
    assert told["InstanceLifecycle"] == "spot"
    assert told["PublicIpAddress"] == made.address
    disk = only(client.describe_volumes()["Volumes"])
    assert (disk["VolumeType"], disk["Encrypted"], disk["Size"]) == ("gp3", True, 100)
    assert only(told["BlockDeviceMappings"])["Ebs"]["DeleteOnTermination"]
    group = only(client.describe_security_groups(GroupNames=["gpucheck-ana-1"])["SecurityGroups"])
    assert group["IpPermissions"] == []
    marks = {each["Key"]: each["Value"] for each in told["Tags"]}
    assert marks == {"Name": "gpucheck-ana-1", "gpucheck": "ana-1", "gpucheck-owner": "ana",
                     "gpucheck-expires": str(int(wanted.expires.timestamp()))}  # fmt: skip
    assert aws_bodies.marks_of(disk["Tags"]) == aws_bodies.marks_of(group["Tags"]) == marks


def test_a_group_that_was_left_is_open_to_what_is_ordered_now_alone(api: Api) -> None:
    account = Aws(api)
    account.create(order(**SSH), None, quiet)
    client: Any = api.ec2("us-east-1")
    client.terminate_instances(InstanceIds=[running(client)["InstanceId"]])
    account.create(order(**SSH | {"ssh_from": "198.51.100.1/32"}), None, quiet)
    group = only(client.describe_security_groups(GroupNames=["gpucheck-ana-1"])["SecurityGroups"])
    opened = only(group["IpPermissions"])
    assert (opened["FromPort"], opened["ToPort"]) == (22, 22)
    assert [each["CidrIp"] for each in opened["IpRanges"]] == ["198.51.100.1/32"]


def test_somebody_elses_group_is_left_alone(api: Api) -> None:
    api.ec2("us-east-1").create_security_group(GroupName="gpucheck-ana-1", Description="somebody's")
    with pytest.raises(Refused, match="not gpucheck's") as no:
        Aws(api).create(order(), None, quiet)
    assert no.value.reason == "name"
    assert not Aws(api).remove(None, quiet)


def test_the_nearest_type_is_named(api: Api) -> None:
    with pytest.raises(Refused, match=r"no g5\.xlrage") as no:
        Aws(api).zones(order(instance_type="g5.xlrage"))
    assert (no.value.reason, "g5.xlarge" in no.value.tip) == ("type", True)


def test_the_nearest_region_is_named(aws_emulator: Emulator) -> None:
    account = Aws(Api(aws_emulator.address, "us-esat-1"))
    assert not account.machines()
    with pytest.raises(Refused) as no:
        account.zones(order(region="us-esat-1"))
    assert (no.value.reason, "us-east-1" in no.value.tip) == ("region", True)


def test_no_default_network(api: Api) -> None:
    client: Any = api.ec2("us-east-1")
    subnets = client.describe_subnets()["Subnets"]
    for subnet in subnets:
        if subnet["AvailabilityZone"] != "us-east-1e":  # which has no g5
            client.delete_subnet(SubnetId=subnet["SubnetId"])
    with pytest.raises(Refused, match="in us-east-1e alone") as no:
        Aws(api).zones(order())
    assert (no.value.reason, "--availability-zone us-east-1a" in no.value.tip) == ("network", True)
    for subnet in client.describe_subnets()["Subnets"]:
        client.delete_subnet(SubnetId=subnet["SubnetId"])
    with pytest.raises(Refused, match="no default network") as no:
        Aws(api).zones(order())
    assert (no.value.reason, "aws ec2 create-default-vpc" in no.value.tip) == ("network", True)


@pytest.mark.parametrize(("image", "code"), [
    ("/aws/service/none", "ParameterNotFound"), ("ami-0123456789abcdef0", "InvalidAMIID.NotFound"),
])  # fmt: skip
def test_no_such_image(api: Api, image: str, code: str) -> None:
    with pytest.raises(Refused, match=code) as no:
        Aws(api).create(order(image=image), None, quiet)
    assert no.value.reason == "image"
    assert Aws(api).resources() == []


def test_whatever_carries_our_tag_is_found_in_all_regions_and_goes(api: Api, aws_emulator: Emulator) -> None:
    for region in REGIONS:
        account = Aws(api)
        account.create(order(region=region, name=f"run-{region[:2]}"), None, quiet)
        client: Any = api.ec2(region)
        tags = [{"Key": "gpucheck", "Value": f"run-{region[:2]}"}]
        subnet = client.describe_subnets()["Subnets"][0]
        marked = {
            kind: [{"ResourceType": kind, "Tags": tags}] for kind in ("volume", "elastic-ip", "network-interface")
        }
        client.create_volume(AvailabilityZone=subnet["AvailabilityZone"], Size=1, TagSpecifications=marked["volume"])
        client.allocate_address(Domain="vpc", TagSpecifications=marked["elastic-ip"])
        client.create_network_interface(SubnetId=subnet["SubnetId"], TagSpecifications=marked["network-interface"])
    account = Aws(api)
    assert {each.region for each in account.resources("run-eu")} == {"eu-west-1"}
    assert {each.kind for each in account.resources("run-eu")} == {"instance", "disk", "address", "interface", "group"}
    gone = account.remove("run-eu", quiet)
    assert len(gone) == 6
    assert {each.region for each in account.resources()} == {"us-east-1", "us-west-2"}
    account.remove(None, quiet)
    assert aws_emulator.left() == []


def test_what_is_still_held_is_asked_again(api: Api, aws_emulator: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    Aws(api).create(order(), None, quiet)
    backend, error = _moto()
    really, held = backend.delete_security_group, iter(range(2))

    def delete_security_group(self: Any, **asked: Any) -> Any:
        if next(held, None) is not None:
            raise error("DependencyViolation", "resource sg-1 has a dependent object")
        return really(self, **asked)

    monkeypatch.setattr(backend, "delete_security_group", delete_security_group)
    Aws(api).remove("ana-1", quiet)
    assert aws_emulator.left() == []


def test_what_will_not_go_keeps_nothing_else(api: Api, aws_emulator: Emulator) -> None:
    account = Aws(api)
    account.create(order(), None, quiet)
    kept = account.create(order(name="ben-2"), None, quiet)
    aws_emulator.instance("ben-2").disable_api_termination = True
    with pytest.raises(Refused, match=kept.id):
        account.remove(None, quiet)
    assert {each.name for each in account.resources()} == {"ben-2"}


@pytest.mark.parametrize(("code", "ends"), [("UnauthorizedOperation", True), ("InternalError", False)])
def test_a_region_that_will_not_say_hides_no_other(
    api: Api, aws_emulator: Emulator, monkeypatch: pytest.MonkeyPatch, said: list[str], code: str, ends: bool
) -> None:
    account = Aws(api)
    made = account.create(order(), None, quiet)
    backend, error = _moto()
    really = backend.describe_instances

    def describe_instances(self: Any, **asked: Any) -> Any:
        if self.region_name == "eu-west-1":
            raise error(code, "with an explicit deny in a service control policy")
        return really(self, **asked)

    monkeypatch.setattr(backend, "describe_instances", describe_instances)
    assert [each.id for each in Aws(api).machines()] == [each.id for each in Aws(api).machines("ana-1")] == [made.id]
    assert {(each.kind, each.region) for each in account.resources()} >= {
        ("instance", "us-east-1"), ("unknown", "eu-west-1"),
    }  # fmt: skip
    if ends:
        assert Aws(api).machines("ben-2") == []
        account.remove(None, lambda line, _: said.append(line))
    else:
        with pytest.raises(Refused, match="eu-west-1"):
            Aws(api).machines("ben-2")
        with pytest.raises(Refused, match="eu-west-1"):
            account.remove(None, lambda line, _: said.append(line))
    assert any("eu-west-1 does not say" in line for line in said)
    assert aws_emulator.left() == []


def test_an_instance_that_is_in_no_list_yet_is_waited_for(
    api: Api, aws_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    account, looks = Aws(api), iter(range(2))
    monkeypatch.setattr(api, "pace", lambda seconds: 0.01 if seconds < 30 else seconds)
    account.create(order(), None, quiet)
    really = aws_holdings.everything

    def everything(*asked: Any) -> Any:
        return ([], {}) if next(looks, None) is not None else really(*asked)

    monkeypatch.setattr(aws_holdings, "everything", everything)
    assert account.remove("ana-1", quiet)
    assert aws_emulator.left() == []


def test_a_reclaimed_instance_says_so(api: Api, aws_emulator: Emulator) -> None:
    account = Aws(api)
    account.create(order(spot=True), None, quiet)
    aws_emulator.reclaim("ana-1")
    first = account.machines("ana-1")[0]
    assert (first.state, first.ended) == ("gone", "Server.SpotInstanceTermination: Spot instance termination")
    again = account.create(order(), None, quiet)
    assert [each.state for each in account.machines("ana-1")] == ["running", "gone"]
    account.remove("ana-1", quiet)
    ended = {each.id: each.ended for each in account.machines("ana-1")}
    assert ended == {first.id: first.ended, again.id: None}


def test_a_tag_is_anybodys_to_change() -> None:
    for text, known in (("1800000000", True), ("soon", False), ("9" * 30, False), ("٣٣", True), ("", False)):
        assert (aws_bodies.expires({"gpucheck-expires": text}) is not None) is known


# --- what moto lacks ---


def test_the_same_order_has_the_same_token(api: Api) -> None:
    """EC2 makes one instance of a ClientToken. The second time it is asked here it says nothing of the first yet."""
    account, wanted = Aws(api), order()
    account._image(wanted)
    made = {"Instances": [{"InstanceId": "i-1", "InstanceType": "g5.xlarge", "State": {"Name": "pending"}}]}
    group: Any = {"SecurityGroups": [{"GroupId": "sg-1", "Tags": [{"Key": "gpucheck", "Value": "ana-1"}],
                                      "IpPermissions": []}]}  # fmt: skip
    place = {"SubnetId": "subnet-1", "VpcId": "vpc-1", "AvailabilityZone": "us-east-1a"}
    token = aws_bodies.token(wanted, "us-east-1a")
    asked = dict.fromkeys(aws_bodies.instance(wanted, _place(), "sg-1", account._image(wanted)), ANY)
    with Stubber(api.ec2("us-east-1")) as stubber:
        for time in range(2):
            stubber.add_response("describe_instances", {"Reservations": []})
            if not time:
                stubber.add_response("describe_subnets", {"Subnets": [place]})
            stubber.add_response("describe_security_groups", group)
            stubber.add_response("create_tags", {})
            stubber.add_response("run_instances", made, {**asked, "ClientToken": token})
        assert [account.create(wanted, "us-east-1a", quiet).id for _ in range(2)] == ["i-1", "i-1"]
        stubber.assert_no_pending_responses()
    assert len(token) <= 64
    assert token != aws_bodies.token(wanted, "us-east-1b")
    assert token != aws_bodies.token(order(name="ben-2"), "us-east-1a")


@pytest.mark.parametrize(("kind", "spot", "code", "number", "wants"), [
    ("g5.xlarge", False, "VcpuLimitExceeded", "L-DB2E81BA", 4),
    ("gr6.4xlarge", True, "MaxSpotInstanceCountExceeded", "L-3819A6DF", 16),
    ("p4d.24xlarge", False, "VcpuLimitExceeded", "L-417A185B", 96),
    ("p4de.24xlarge", True, "MaxSpotInstanceCountExceeded", "L-7212CCBC", 96),
    ("p5.48xlarge", True, "MaxSpotInstanceCountExceeded", "L-C4BD4855", 192),
])  # fmt: skip
def test_a_quota_is_named_with_the_line_that_asks_for_more(
    api: Api, aws_emulator: Emulator, kind: str, spot: bool, code: str, number: str, wants: int
) -> None:
    aws_emulator.no_quota = True
    with pytest.raises(Refused, match=number) as no:
        Aws(api).create(order(instance_type=kind, spot=spot), None, quiet)
    assert no.value.reason == "quota"
    assert code in str(no.value)
    assert f"--quota-code {number} --desired-value {wants} --region us-east-1`" in no.value.tip


def test_a_group_of_a_moment_ago_is_asked_for_again(api: Api) -> None:
    account, wanted = Aws(api), order()
    account._image(wanted)
    places = account._default_places("us-east-1")
    with Stubber(api.ec2("us-east-1")) as stubber:
        stubber.add_response("describe_instances", {"Reservations": []})
        stubber.add_response("describe_security_groups", {"SecurityGroups": []})
        stubber.add_response("create_security_group", {"GroupId": "sg-1"})
        stubber.add_client_error("run_instances", "InvalidGroup.NotFound", "The security group 'sg-1' does not exist")
        made = {"InstanceId": "i-1", "InstanceType": "g5.xlarge", "State": {"Name": "pending"}}
        stubber.add_response("run_instances", {"Instances": [made]})
        assert account.create(wanted, places[0].zone, quiet).state == "starting"


@pytest.mark.parametrize("code", ["UnsupportedOperation", "InvalidParameterCombination"])
def test_an_older_type_has_no_latest_console(api: Api, code: str) -> None:
    account = Aws(api)
    made = account.create(order(), None, quiet)
    with Stubber(api.ec2("us-east-1")) as stubber:
        stubber.add_client_error("get_console_output", code, "This instance type does not support it")
        stubber.add_response("get_console_output", {"Output": "Ym9vdGVk"}, {"InstanceId": made.id, "Latest": False})
        assert account.console(made) == "booted"
        stubber.add_client_error("get_console_output", code)
        stubber.add_response("get_console_output", {})
        assert account.console(made) == "booted"
        stubber.add_client_error("get_console_output", "UnauthorizedOperation")
        with pytest.raises(Refused):
            account.console(made)


def _place() -> aws_bodies.Place:
    return aws_bodies.Place(zone="us-east-1a", subnet="subnet-1", vpc="vpc-1")


def _moto() -> tuple[Any, Any]:
    return import_module("moto.ec2.models").EC2Backend, import_module("moto.ec2.exceptions").EC2ClientError


def test_an_instance_ends_though_not_all_may_be_listed(
    api: Api, aws_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A policy without ec2:DescribeAddresses: what may be seen is ended, and what may not is told."""
    account = Aws(api)
    account.create(order(), None, quiet)
    error: Any = import_module("moto.ec2.exceptions").EC2ClientError

    def denied(*_: Any, **__: Any) -> Any:
        raise error("UnauthorizedOperation", "You are not authorized to perform this operation.")

    monkeypatch.setattr(import_module("moto.ec2.models").EC2Backend, "describe_addresses", denied)
    with pytest.raises(Refused, match="to list our address") as no:
        Aws(api).remove("ana-1", quiet)
    assert no.value.reason == "permission"
    assert aws_emulator.instance("ana-1").state == "terminated"


def test_its_own_region_is_emptied_before_all_others_are_asked(
    aws_emulator: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = clouds.cloud("aws", "us-west-2")
    order = rigs.aws(aws_emulator).order(region="us-west-2")
    account.create(order, account.zones(order)[0], lambda *_: None)
    asked: list[tuple[str, ...]] = []
    whole = aws_holdings.everything

    def everything(api: Api, name: str | None, regions: Sequence[str] = ()) -> Any:
        asked.append(tuple(regions))
        return whole(api, name, regions)

    monkeypatch.setattr(aws_holdings, "everything", everything)
    said: list[str] = []
    account.remove(order.name, lambda line, _: said.append(f"{len(asked)} {line}"))
    assert asked[:2] == [("us-west-2",), ()]
    assert said[0].startswith("1 deleting the instance")
    assert aws_emulator.left() == []
