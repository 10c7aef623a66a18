"""What is sent to EC2, and a machine of what it answers: nothing here asks anything."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from gpucheck.clouds.orders import EXPIRES_TAG, OWNER_TAG, TAG, Machine, Order

STATES: Mapping[str, Literal["starting", "running", "stopping", "stopped", "gone"]] = {
    "pending": "starting", "running": "running", "shutting-down": "stopping", "stopping": "stopping",
    "stopped": "stopped", "terminated": "gone",
}  # fmt: skip
BY_US = ("Client.UserInitiatedShutdown", "Client.InstanceInitiatedShutdown")  # a call of the API; its own timer


@dataclass(frozen=True, kw_only=True, slots=True)
class Image:
    id: str
    root: str  # the device: /dev/sda1
    gib: int  # no smaller disk can hold it


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    zone: str
    subnet: str
    vpc: str


def name(run: str) -> str:
    return f"gpucheck-{run}"


def tags(order: Order) -> list[dict[str, str]]:
    values = {
        "Name": name(order.name),
        TAG: order.name,
        OWNER_TAG: order.owner,
        EXPIRES_TAG: str(int(order.expires.timestamp())),
    }
    return [{"Key": key, "Value": value} for key, value in values.items()]


def ours(run: str | None) -> dict[str, Any]:
    """A filter."""
    return {"Name": f"tag:{TAG}", "Values": [run]} if run else {"Name": "tag-key", "Values": [TAG]}


def group(order: Order, place: Place) -> dict[str, Any]:
    """A new one lets nothing in and everything out."""
    return {
        "GroupName": name(order.name),
        "Description": "gpucheck: made for one instance and deleted with it",
        "VpcId": place.vpc,
        "TagSpecifications": [{"ResourceType": "security-group", "Tags": tags(order)}],
    }


def ways_in(order: Order) -> list[dict[str, Any]]:
    """Port 22 for one address where a way in was asked for, else none."""
    if not (order.ssh_key and order.ssh_from):
        return []
    return [{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": order.ssh_from}]}]


def instance(order: Order, place: Place, group_id: str, image: Image) -> dict[str, Any]:
    marked = ["instance", "volume", "network-interface", *(["spot-instances-request"] if order.spot else [])]
    spot = {
        "MarketType": "spot",
        "SpotOptions": {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"},
    }
    return {
        "ImageId": image.id,
        "InstanceType": order.instance_type,
        "MinCount": 1,
        "MaxCount": 1,
        "ClientToken": token(order, place.zone),
        "UserData": order.user_data,
        "InstanceInitiatedShutdownBehavior": "terminate",
        "MetadataOptions": {"HttpEndpoint": "enabled", "HttpTokens": "required", "HttpPutResponseHopLimit": 2},
        "BlockDeviceMappings": [
            {
                "DeviceName": image.root,
                "Ebs": {
                    "VolumeSize": max(order.disk_gib, image.gib),
                    "VolumeType": "gp3",
                    "Encrypted": True,
                    "DeleteOnTermination": True,
                },
            }
        ],
        "NetworkInterfaces": [
            {
                "DeviceIndex": 0,
                "SubnetId": place.subnet,
                "Groups": [group_id],
                "AssociatePublicIpAddress": True,  # a default network has no other way out
                "DeleteOnTermination": True,
            }
        ],
        "TagSpecifications": [{"ResourceType": kind, "Tags": tags(order)} for kind in marked],
        **({"InstanceMarketOptions": spot} if order.spot else {}),
    }


def token(order: Order, zone: str) -> str:
    """The same for the same order: EC2 makes one instance of it, however often it is asked."""
    return hashlib.sha256(f"{order!r} {zone}".encode()).hexdigest()  # 64 characters, the most there may be


def machine(told: Mapping[str, Any], region: str) -> Machine:
    marks, reason = marks_of(told.get("Tags", ())), told.get("StateReason", {})
    return Machine(
        name=marks.get(TAG, ""),
        id=told["InstanceId"],
        provider="aws",
        instance_type=told["InstanceType"],
        region=region,
        zone=told.get("Placement", {}).get("AvailabilityZone"),
        state=STATES.get(told["State"]["Name"], "stopping"),
        spot=told.get("InstanceLifecycle") == "spot",
        owner=marks.get(OWNER_TAG),
        expires=expires(marks),
        address=told.get("PublicIpAddress"),
        ended=None if reason.get("Code", "") in ("", *BY_US) else reason.get("Message") or reason["Code"],
    )


def marks_of(told: Any) -> dict[str, str]:
    return {each["Key"]: each["Value"] for each in told}


def expires(marks: Mapping[str, str]) -> datetime | None:
    """Anybody can change a tag."""
    seconds = marks.get(EXPIRES_TAG, "")
    return datetime.fromtimestamp(int(seconds), UTC) if seconds.isdecimal() and len(seconds) <= 11 else None
