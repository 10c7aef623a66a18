"""A program: `python -m bench.bare_clouds PROVIDER ADDRESS REGION`: an instance, made and deleted by the SDK alone.

On stdin are the requests that gpucheck would send (`Cloud.request`). They are sent and waited for, the console is read
once, and all is deleted: no look at what is offered, what is there or what is left, and no refusal understood.
"""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Callable, Mapping
from typing import Any
from urllib.request import urlopen

Requests = Mapping[str, Any]


def aws(address: str, region: str, requests: Requests) -> None:
    import boto3

    nobody = "none"
    session: Any = boto3.Session(region_name=region, aws_access_key_id=nobody, aws_secret_access_key=nobody)
    client = session.client("ec2", endpoint_url=address)
    group = client.create_security_group(**requests["create_security_group"])["GroupId"]
    body = requests["run_instances"]
    body["NetworkInterfaces"][0]["Groups"] = [group]
    machine = client.run_instances(**body)["Instances"][0]["InstanceId"]
    client.get_waiter("instance_running").wait(InstanceIds=[machine])
    client.get_console_output(InstanceId=machine, Latest=True)
    client.terminate_instances(InstanceIds=[machine])
    client.get_waiter("instance_terminated").wait(InstanceIds=[machine])
    client.delete_security_group(GroupId=group)


def gcp(address: str, _: str, requests: Requests) -> None:
    sdk: Any = importlib.import_module("google.cloud.compute_v1")
    anonymous: Any = importlib.import_module("google.auth.credentials")
    of_clients: Any = importlib.import_module("google.api_core.client_options")
    given = {
        "credentials": anonymous.AnonymousCredentials(),
        "client_options": of_clients.ClientOptions(api_endpoint=address),
    }
    instances, firewalls = sdk.InstancesClient(**given), sdk.FirewallsClient(**given)
    in_zone, of_project = sdk.ZoneOperationsClient(**given), sdk.GlobalOperationsClient(**given)
    asked = requests["instances.insert"]
    place = {"project": asked["project"], "zone": asked["zone"]}
    rules = [body for call, body in requests.items() if call.startswith("firewalls.insert")]

    def waited(waiting: Any, operation: Any, **where: str) -> None:
        while operation.status != sdk.Operation.Status.DONE:
            operation = waiting.wait(operation=operation.name, **where)

    project = {"project": asked["project"]}
    for rule in rules:
        begun = firewalls.insert_unary(firewall_resource=sdk.Firewall.from_json(json.dumps(rule)), **project)
        waited(of_project, begun, **project)
    body = sdk.Instance.from_json(json.dumps(asked["body"]))
    waited(in_zone, instances.insert_unary(instance_resource=body, **place), **place)
    instances.get(instance=body.name, **place)
    instances.get_serial_port_output(instance=body.name, **place)
    waited(in_zone, instances.delete_unary(instance=body.name, **place), **place)
    for rule in rules:
        waited(of_project, firewalls.delete_unary(firewall=rule["name"], **project), **project)


def azure(address: str, _: str, requests: Requests) -> None:
    policies: Any = importlib.import_module("azure.core.pipeline.policies")
    homes = {
        name: getattr(importlib.import_module(module), f"{client}ManagementClient")
        for name, module, client in (
            ("compute", "azure.mgmt.compute", "Compute"), ("network", "azure.mgmt.network", "Network"),
            ("resource", "azure.mgmt.resource.resources", "Resource"),
        )
    }  # fmt: skip
    more = {"base_url": address, "authentication_policy": policies.SansIOHTTPPolicy(), "polling_interval": 0.01}
    machine = requests_of(requests, "virtual_machines")[0]
    subscription = machine[1]["properties"]["networkProfile"]["networkInterfaces"][0]["id"].split("/")[2]
    clients = {name: client(Nobody(), subscription, **more) for name, client in homes.items()}
    compute, network, resource = clients["compute"], clients["network"], clients["resource"]
    [(group, body)] = requests_of(requests, "resource_groups")
    resource.resource_groups.create_or_update(group, body)
    for kind in ("network_security_groups", "virtual_networks", "public_ip_addresses", "network_interfaces"):
        for name, body in requests_of(requests, kind):
            getattr(network, kind).begin_create_or_update(group, name, body).result()
    name, body = machine
    compute.virtual_machines.begin_create_or_update(group, name, body, api_version="2024-11-01").result()
    here = f"/subscriptions/{subscription}/resourceGroups/{group}/providers/Microsoft.DevTestLab/schedules"
    for schedule, body in requests_of(requests, "resources"):
        resource.resources.begin_create_or_update_by_id(
            f"{here}/{schedule}", parameters=body, api_version="2018-09-15"
        ).result()
    compute.virtual_machines.get(group, name, expand="instanceView")
    console = compute.virtual_machines.retrieve_boot_diagnostics_data(group, name)
    urlopen(console.serial_console_log_blob_uri).close()  # noqa: S310 - the emulator named it
    resource.resource_groups.begin_delete(group, force_deletion_types="Microsoft.Compute/virtualMachines").result()


def requests_of(requests: Requests, service: str) -> list[tuple[str, Any]]:
    """(name, body) of those calls."""
    named = ((*call.split(" "), body) for call, body in requests.items())
    return [(name, body) for operation, name, body in named if operation.partition(".")[0] == service]


class Nobody:
    """An emulator asks for no token."""

    def get_token(self, *_: str, **__: Any) -> Any:
        return importlib.import_module("azure.core.credentials").AccessToken("none", 1 << 33)


CLOUDS: dict[str, Callable[[str, str, Requests], None]] = {"aws": aws, "gcp": gcp, "azure": azure}

if __name__ == "__main__":
    CLOUDS[sys.argv[1]](sys.argv[2], sys.argv[3], json.load(sys.stdin))
