"""AWS: one EC2 instance in the default network, with a security group of its own, by boto3.

An order's image is the path of a public parameter of SSM that holds an AMI's id, or an ami-... of the region.
"""

from __future__ import annotations

import difflib
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from gpucheck.clouds import aws_bodies, aws_errors, aws_holdings, endpoint
from gpucheck.clouds.aws_api import Api, asking, listed
from gpucheck.clouds.aws_bodies import Image, Place
from gpucheck.clouds.orders import TAG, Cloud, Machine, Order, Refused, Resource
from gpucheck.model import Say

SETTLING = 30.0  # seconds after which an instance is in every list
NOT_YET = ("InvalidGroup.NotFound",)  # said of a group that was made a moment ago
LIVING = ("pending", "running")


def connect(region: str | None) -> Cloud:
    """`region`: the first to be asked about regions; None is the SDK's own default."""
    return Aws(Api(endpoint(), region))


class Aws:
    provider = "aws"

    def __init__(self, api: Api) -> None:
        self._api = api
        self._images: dict[tuple[str, str], Image] = {}
        self._places: dict[str, Sequence[Place]] = {}
        self._where: dict[str, str] = {}  # the region that a run was seen in last
        self._born: dict[str, dict[str, float]] = {}  # run: region: until when its instance may be in no list
        self._consoles: dict[str, str] = {}

    def zones(self, order: Order) -> Sequence[str]:
        region = order.region
        self._known(region)
        offered, places = self._offered(order), [each.zone for each in self._default_places(region)]
        if both := [zone for zone in places if zone in offered]:
            return both
        raise Refused(
            "network", f"{region} has {order.instance_type} in {', '.join(offered)}, and a default subnet in"
            f" {', '.join(places)} alone",
            f"`aws ec2 create-default-subnet --region {region} --availability-zone {offered[0]}`",
        )  # fmt: skip

    def request(self, order: Order, zone: str | None) -> Mapping[str, Any]:
        place = self._place(order, zone)
        group = "(of create_security_group)"
        opened = {"GroupId": group, "IpPermissions": aws_bodies.ways_in(order)}
        return {
            "create_security_group": aws_bodies.group(order, place),
            **({"authorize_security_group_ingress": opened} if opened["IpPermissions"] else {}),
            "run_instances": aws_bodies.instance(order, place, group, self._image(order)),
        }

    def create(self, order: Order, zone: str | None, say: Say) -> Machine:
        client, region = self._api.ec2(order.region), order.region
        if living := [each for each in self._of_region(order.name, region) if each.state in ("starting", "running")]:
            return living[0]
        place, image = self._place(order, zone), self._image(order)
        group = self._group(order, place, say)
        what = f"{order.instance_type}{' (spot)' if order.spot else ''} in {place.zone}"
        say(f"making {aws_bodies.name(order.name)}: {what}", None)
        born = self._born.setdefault(order.name, {})
        born[region] = time.monotonic() + self._api.pace(SETTLING)

        def run() -> Any:
            with asking(f"to make {what}", region):
                return client.run_instances(**aws_bodies.instance(order, place, group, image))

        try:
            made = self._api.settled(run, NOT_YET)
        except Refused as refused:
            if refused.reason != "busy":  # else it may have been made all the same
                born.pop(region)
            if refused.reason == "quota":
                raise aws_errors.quota(order, self._vcpus(order), refused) from refused.__cause__
            raise
        self._where[order.name] = region
        return aws_bodies.machine(made["Instances"][0], region)

    def machines(self, name: str | None = None) -> Sequence[Machine]:
        """The living before the dead, the newest first."""
        if name in self._where and (there := self._of_region(name, self._where[name])):
            return there
        found, refusals = self._api.everywhere(lambda _, region: self._of_region(name, region))
        machines = [each for there in found.values() for each in there]
        self._where.update((each.name, each.region) for each in machines)
        unknown = {region: no for region, no in refusals.items() if no.reason not in ("permission", "credentials")}
        if name and not machines and unknown:
            raise next(iter(unknown.values()))
        return sorted(machines, key=lambda each: each.state not in ("starting", "running"))

    def console(self, machine: Machine) -> str:
        """The latest where the type can tell it (Nitro), else what is posted as an instance starts and ends."""
        known = self._consoles.get(machine.id, "")
        for latest in (True, False):
            try:
                with asking(f"to show the console of {machine.name}", machine.region):
                    told = self._api.ec2(machine.region).get_console_output(InstanceId=machine.id, Latest=latest)
            except Refused as refused:
                if refused.reason in ("credentials", "permission", "clock"):
                    raise
                continue
            if text := told.get("Output", ""):
                self._consoles[machine.id] = text if latest else max(text, known, key=len)
                break
        return self._consoles.get(machine.id, "")

    def resources(self, name: str | None = None) -> Sequence[Resource]:
        """Of a region that will not say there is a row too, of kind `unknown`: who knows what is there."""
        found, refusals = aws_holdings.everything(self._api, name)
        return [
            *found,
            *(Resource(kind="unknown", id=f"no answer of {at}", region=at, name=None, expires=None) for at in refusals),
        ]

    def remove(self, name: str | None, say: Say) -> Sequence[Resource]:
        runs = [name] if name else [*self._born]
        born = {region: until for run in runs for region, until in self._born.get(run, {}).items()}
        return aws_holdings.end(self._api, name, born, say)

    def _of_region(self, name: str | None, region: str) -> list[Machine]:
        with asking("to list our instances", region):
            told = listed(self._api.ec2(region), "describe_instances", "Reservations", Filters=[aws_bodies.ours(name)])
        newest = sorted(
            (each for reservation in told for each in reservation["Instances"]),
            key=lambda each: (each["State"]["Name"] in LIVING, each["LaunchTime"]),
            reverse=True,
        )
        return [aws_bodies.machine(each, region) for each in newest]

    def _known(self, region: str) -> None:
        """Raises Refused for a region that there is not."""
        if region in self._api.listed_regions():
            return
        there = self._api.all_regions()
        if region not in there:
            near = difflib.get_close_matches(region, there, 3) or there
            raise Refused("region", f"AWS has no region {region!r}", f"another --region: {', '.join(near)}")

    def _offered(self, order: Order) -> list[str]:
        """The zones that have the type. Raises Refused where none has."""
        client, region, call = self._api.ec2(order.region), order.region, "describe_instance_type_offerings"
        only = [{"Name": "instance-type", "Values": [order.instance_type]}]
        with asking(f"to say which zones have {order.instance_type}", region):
            told = listed(client, call, "InstanceTypeOfferings", LocationType="availability-zone", Filters=only)
            if told:
                return sorted(each["Location"] for each in told)
            others = listed(client, call, "InstanceTypeOfferings", LocationType="region")
        near = difflib.get_close_matches(order.instance_type, {each["InstanceType"] for each in others}, 3)
        also = f"{region} has {', '.join(sorted(near))}; " if near else ""
        raise Refused(
            "type", f"{region} has no {order.instance_type}",
            f"{also}another --region may have it, or {aws_errors.NEW_TYPE}",
        )  # fmt: skip

    def _default_places(self, region: str) -> Sequence[Place]:
        """Raises Refused where there is no default network."""
        if region not in self._places:
            only = [{"Name": "default-for-az", "Values": ["true"]}]
            with asking("to show the default network", region):
                told = listed(self._api.ec2(region), "describe_subnets", "Subnets", Filters=only)
            places = [Place(zone=s["AvailabilityZone"], subnet=s["SubnetId"], vpc=s["VpcId"]) for s in told]
            if not places:
                raise Refused(
                    "network", f"the account has no default network in {region}, and gpucheck uses no other",
                    f"`aws ec2 create-default-vpc --region {region}` makes it, for nothing; or another --region",
                )  # fmt: skip
            self._places[region] = sorted(places, key=lambda place: place.zone)
        return self._places[region]

    def _place(self, order: Order, zone: str | None) -> Place:
        zone = zone or self.zones(order)[0]
        for place in self._default_places(order.region):
            if place.zone == zone:
                return place
        raise Refused(
            "network", f"the default network has no subnet in {zone}",
            f"`aws ec2 create-default-subnet --region {order.region} --availability-zone {zone}`, or another zone",
        )  # fmt: skip

    def _image(self, order: Order) -> Image:
        key = order.region, order.image
        if key not in self._images:
            ami = order.image
            if not ami.startswith("ami-"):
                with asking(f"to say which image {ami} is", order.region):
                    ami = self._api.ssm(order.region).get_parameter(Name=ami)["Parameter"]["Value"]
            with asking(f"to show the image {ami}", order.region):
                told = self._api.ec2(order.region).describe_images(ImageIds=[ami])["Images"]
            if not told or "RootDeviceName" not in told[0]:
                raise Refused("image", f"there is no image {ami} in {order.region}", "another --image")
            root = told[0]["RootDeviceName"]
            disks = (each["Ebs"] for each in told[0]["BlockDeviceMappings"] if each.get("DeviceName") == root)
            self._images[key] = Image(
                id=ami, root=root, gib=max((disk.get("VolumeSize", 0) for disk in disks), default=0)
            )
        return self._images[key]

    def _group(self, order: Order, place: Place, say: Say) -> str:
        """Of this name, with the ways in of this order and no others."""
        client, wanted = self._api.ec2(order.region), aws_bodies.group(order, place)
        name, ways_in = wanted["GroupName"], aws_bodies.ways_in(order)
        only = [{"Name": "group-name", "Values": [name]}, {"Name": "vpc-id", "Values": [place.vpc]}]
        with asking(f"to make the security group {name}", order.region):
            there = listed(client, "describe_security_groups", "SecurityGroups", Filters=only)
            if not there:
                say(f"making the security group {name}", None)
                group: str = client.create_security_group(**wanted)["GroupId"]
            elif aws_bodies.marks_of(there[0].get("Tags", ())).get(TAG) != order.name:
                raise Refused("name", f"the security group {name} is there and is not gpucheck's", "another --name")
            else:
                group = there[0]["GroupId"]
                client.create_tags(Resources=[group], Tags=wanted["TagSpecifications"][0]["Tags"])
                if opened := there[0]["IpPermissions"]:
                    client.revoke_security_group_ingress(GroupId=group, IpPermissions=opened)

        def let_in() -> None:
            with asking(f"to open port 22 to {order.ssh_from}", order.region):
                client.authorize_security_group_ingress(GroupId=group, IpPermissions=ways_in)  # type: ignore[arg-type]

        if ways_in:
            self._api.settled(let_in, NOT_YET)
        return group

    def _vcpus(self, order: Order) -> int | None:
        with suppress(Refused), asking(f"to say how large {order.instance_type} is", order.region):
            told = self._api.ec2(order.region).describe_instance_types(InstanceTypes=[order.instance_type])  # type: ignore[list-item]
            return told["InstanceTypes"][0]["VCpuInfo"]["DefaultVCpus"]
        return None
