"""Azure by its real SDK, against a small Resource Manager on this machine."""

from __future__ import annotations

import base64
import copy
import importlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from gpucheck import clouds
from gpucheck.clouds import Cloud, Order, Refused, azure_answers, azure_api, azure_bodies, azure_errors
from tests.clouds.emulators.azure import SUBSCRIPTION, Answer, Emulator, checked
from tests.clouds.killed import order as an_order

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/gpucheck-ana-1"
VM_PATH = r"PUT .*/virtualMachines/"


@pytest.fixture
def arm(azure_emulator: Emulator) -> Emulator:
    return azure_emulator


def order(**given: Any) -> Order:
    usual = {
        "instance_type": "Standard_NC4as_T4_v3",
        "region": "eastus",
        "image": "microsoft-dsvm:ubuntu-hpc:2204:latest",
    }
    return an_order(**usual | given)


def account() -> Cloud:
    return clouds.cloud("azure")


def silence(*_: object) -> None:
    pass


def sent(arm: Emulator, kind: str) -> dict[str, Any]:
    """The last body that was put under a path with `kind` in it."""
    asked = zip(arm.calls, arm.bodies, strict=True)
    found: list[dict[str, Any]]
    found = [body for (method, path), body in asked if method == "PUT" and f"/{kind}/" in path.lower()]
    return found[-1]


def puts(arm: Emulator) -> list[str]:
    return [path.rpartition("/")[2] for method, path in arm.calls if method == "PUT"]


def delete_elsewhere(arm: Emulator) -> None:
    """By somebody else, and it takes a while."""
    usual, arm.seconds = arm.seconds, 0.2
    arm.answer("DELETE", GROUP, {"api-version": "2025-04-01"}, None, "x")
    arm.seconds = usual


def refusal(reason: str, words: str = "") -> Any:
    return pytest.raises(
        Refused, check=lambda refused: refused.reason == reason and words in f"{refused} | {refused.tip}"
    )


# --- what is sent ---


def test_vm_as_it_is_sent(arm: Emulator) -> None:
    account().create(order(user_data="#cloud-config\nä: 1\n", spot=True, ssh_key="ssh-ed25519 AAAA ana"), "1", silence)
    body = sent(arm, "virtualmachines")
    machine = body["properties"]
    assert (body["location"], body["zones"]) == ("eastus", ["1"])
    assert (machine["priority"], machine["evictionPolicy"]) == ("Spot", "Delete")
    assert machine["hardwareProfile"] == {"vmSize": "Standard_NC4as_T4_v3"}
    assert machine["storageProfile"]["imageReference"] == {
        "publisher": "microsoft-dsvm", "offer": "ubuntu-hpc", "sku": "2204", "version": "latest"
    }  # fmt: skip
    disk = machine["storageProfile"]["osDisk"]
    assert (disk["diskSizeGB"], disk["deleteOption"]) == (100, "Delete")
    assert base64.b64decode(machine["osProfile"]["customData"]).decode() == "#cloud-config\nä: 1\n"
    linux = machine["osProfile"]["linuxConfiguration"]
    assert linux["disablePasswordAuthentication"] is True
    assert linux["ssh"]["publicKeys"][0]["keyData"] == "ssh-ed25519 AAAA ana"
    assert machine["networkProfile"]["networkInterfaces"][0]["properties"]["deleteOption"] == "Delete"
    assert machine["diagnosticsProfile"] == {"bootDiagnostics": {"enabled": True}}


def test_vm_that_is_no_spot_says_nothing_of_it(arm: Emulator) -> None:
    machine = account().create(order(), "1", silence)
    assert not {"priority", "evictionPolicy", "billingProfile"} & sent(arm, "virtualmachines")["properties"].keys()
    assert machine.spot is False


def test_api_of_the_vm_is_one_without_trusted_launch_by_default(arm: Emulator) -> None:
    """https://learn.microsoft.com/azure/virtual-machines/trusted-launch: the default from 2025-11-01 on."""
    assert azure_bodies.VM_API < "2025-11-01"
    account().create(order(), "1", silence)
    assert "securityProfile" not in sent(arm, "virtualmachines")["properties"]


def test_all_is_tagged_as_it_is_made(arm: Emulator) -> None:
    what = order()
    account().create(what, "1", silence)
    bodies = [body for (method, _), body in zip(arm.calls, arm.bodies, strict=True) if method == "PUT"]
    assert len(bodies) == 7
    wanted = {"gpucheck": "ana-1", "gpucheck-owner": "ana", "gpucheck-expires": str(int(what.expires.timestamp()))}
    assert all(body["tags"] == wanted for body in bodies)


def test_nothing_comes_in_unless_it_is_asked_for(arm: Emulator) -> None:
    account().create(order(ssh_key="ssh-ed25519 AAAA"), "1", silence)
    assert sent(arm, "networksecuritygroups")["properties"]["securityRules"] == []


def test_ssh_comes_from_one_address(arm: Emulator) -> None:
    account().create(order(ssh_key="ssh-ed25519 AAAA", ssh_from="203.0.113.7/32"), "1", silence)
    (rule,) = sent(arm, "networksecuritygroups")["properties"]["securityRules"]
    inside = rule["properties"]
    assert (inside["sourceAddressPrefix"], inside["destinationPortRange"]) == ("203.0.113.7/32", "22")
    assert (inside["access"], inside["direction"], inside["protocol"]) == ("Allow", "Inbound", "Tcp")
    subnet = sent(arm, "virtualnetworks")["properties"]["subnets"][0]
    assert subnet["properties"]["networkSecurityGroup"]["id"].endswith("/networkSecurityGroups/ana-1-rules")


@pytest.mark.usefixtures("arm")
def test_key_of_nobody() -> None:
    one, other = account(), account()
    keys = [
        one.request(order(), "1")["virtual_machines.begin_create_or_update ana-1"],
        one.request(order(), "1")["virtual_machines.begin_create_or_update ana-1"],
        other.request(order(), "1")["virtual_machines.begin_create_or_update ana-1"],
    ]
    data = [each["properties"]["osProfile"]["linuxConfiguration"]["ssh"]["publicKeys"][0]["keyData"] for each in keys]
    assert data[0] == data[1] != data[2]
    read: Any = importlib.import_module("cryptography.hazmat.primitives.serialization").load_ssh_public_key
    assert read(data[0].encode()).key_size == 2048


def test_request_is_what_is_sent(arm: Emulator) -> None:
    cloud = account()
    shown = cloud.request(order(), "1")
    assert puts(arm) == [] == arm.left()
    cloud.create(order(expires=datetime.fromtimestamp(int(shown[next(iter(shown))]["tags"]["gpucheck-expires"]), UTC)),
                 "1", silence)  # fmt: skip
    bodies = [body for (method, _), body in zip(arm.calls, arm.bodies, strict=True) if method == "PUT"]
    assert list(shown.values()) == bodies


@pytest.mark.parametrize(
    "path", [("properties",), ("properties", "osProfile"), ("properties", "storageProfile", "osDisk")]
)
def test_schema_refuses_a_field_that_azure_does_not_have(arm: Emulator, path: tuple[str, ...]) -> None:
    account().create(order(spot=True), "1", silence)
    body = sent(arm, "virtualmachines")
    assert checked("VirtualMachine", body) == []
    wrong = copy.deepcopy(body)
    at = wrong
    for each in path:
        at = at[each]
    at["custumData"] = "x"
    assert len(checked("VirtualMachine", wrong)) == 1


# --- its end ---


@pytest.mark.parametrize(("second", "time"), [(0, "2359"), (1, "0000"), (59, "0000")])
def test_azure_ends_it_in_the_minute_of_its_expiry(arm: Emulator, second: int, time: str) -> None:
    expires = datetime.now(UTC).replace(hour=23, minute=59, second=second, microsecond=0) + timedelta(days=1)
    account().create(order(expires=expires), "1", silence)
    body = sent(arm, "schedules")["properties"]
    assert body["dailyRecurrence"] == {"time": time}
    assert (body["timeZoneId"], body["status"]) == ("UTC", "Enabled")
    assert body["targetResourceId"].endswith("/gpucheck-ana-1/providers/Microsoft.Compute/virtualMachines/ana-1")


def test_end_is_set_while_the_vm_is_made_and_else_after_it(arm: Emulator) -> None:
    cloud = account()
    cloud.create(order(), "1", silence)
    assert puts(arm).count("shutdown-computevm-ana-1") == 1
    cloud.remove("ana-1", silence)
    arm.early_schedules, arm.seconds = False, 0.5  # long enough for a busy machine to come while it is being made
    cloud.create(order(), "1", silence)
    assert puts(arm).count("shutdown-computevm-ana-1") == 3
    assert any("shutdown-computevm-ana-1" in each for each in arm.left())


def test_vm_that_azure_would_not_end_is_not_left(arm: Emulator) -> None:
    arm.unregistered = {"Microsoft.DevTestLab"}
    with refusal("refused", "--namespace Microsoft.DevTestLab"):
        account().create(order(), "1", silence)
    assert not any("virtualMachines" in each or "publicIP" in each or "disks" in each for each in arm.left())


# --- what is there already ---


def test_second_create_answers_with_the_first(arm: Emulator) -> None:
    first = account().create(order(), "1", silence)
    left = arm.left()
    assert account().create(order(expires=datetime.now(UTC) + timedelta(hours=9)), "2", silence) == first
    assert arm.left() == left
    assert puts(arm).count("ana-1") == 1


def test_second_create_sets_the_end_that_the_first_was_cut_off_before(arm: Emulator) -> None:
    first = account().create(order(), "1", silence)
    del arm.things[f"{GROUP}/providers/Microsoft.DevTestLab/schedules/shutdown-computevm-ana-1".lower()]
    account().create(order(expires=datetime.now(UTC) + timedelta(hours=9)), "1", silence)
    assert first.expires is not None
    time = sent(arm, "schedules")["properties"]["dailyRecurrence"]["time"]
    assert time == f"{first.expires + timedelta(seconds=59):%H%M}"


def test_group_of_somebody_else_is_left_alone(arm: Emulator) -> None:
    arm.add("gpucheck-ana-1/microsoft.network/publicipaddresses/theirs", {})
    with refusal("name", "gpucheck-ana-1"):
        account().create(order(), "1", silence)
    assert account().remove("ana-1", silence) == []
    assert any("theirs" in each for each in arm.left())


def test_group_in_another_region_is_a_matter_of_names(arm: Emulator) -> None:
    account().create(order(), "1", silence)
    arm.deallocate("ana-1")
    with refusal("name", "InvalidResourceGroupLocation"):
        account().create(order(region="westeurope"), "1", silence)


def test_create_waits_for_a_group_that_is_being_deleted(arm: Emulator) -> None:
    account().create(order(), "1", silence)
    delete_elsewhere(arm)
    assert account().create(order(), "2", silence).zone == "2"


# --- what a region offers ---


def test_zones_of_the_size(arm: Emulator) -> None:
    assert account().zones(order()) == ["1", "2", "3"]
    assert account().zones(order(instance_type="standard_nv36ads_a10_v5")) == ["2", "3"]
    assert account().zones(order(region="northcentralus")) == [""]
    assert len([path for _, path in arm.calls if path.endswith("/skus")]) > 3  # in pages


def test_zone_that_this_subscription_may_not_use_is_left_out(arm: Emulator) -> None:
    arm.restrictions["Standard_NC4as_T4_v3"] = [_restriction("Zone", "NotAvailableForSubscription", ["2"])]
    assert account().zones(order()) == ["1", "3"]


@pytest.mark.parametrize(("why", "reason"), [("NotAvailableForSubscription", "type"), ("QuotaId", "quota")])
def test_region_that_this_subscription_may_not_use(arm: Emulator, why: str, reason: str) -> None:
    arm.restrictions["Standard_NC4as_T4_v3"] = [_restriction("Location", why, [])]
    with refusal(reason, why):
        account().zones(order())


def _restriction(kind: str, why: str, zones: list[str]) -> dict[str, Any]:
    info = {"locations": ["eastus"], "zones": zones}
    return {"type": kind, "values": ["eastus"], "restrictionInfo": info, "reasonCode": why}


def test_unknown_size_and_region_name_the_nearest(arm: Emulator) -> None:
    with refusal("type", "Standard_NC4as_T4_v3 or"):
        account().zones(order(instance_type="Standard_NC4as_T4"))
    with refusal("region", "eastus"):
        account().zones(order(region="eastus7"))
    assert arm.left() == []


def test_unknown_region_that_azure_refuses_itself(arm: Emulator) -> None:
    arm.refusals.append(("/skus$", Answer(400, "NoRegisteredProviderFound", "No registered resource provider found.")))
    with refusal("region"):
        account().zones(order(region="mars"))


@pytest.mark.parametrize(
    "image", ["ubuntu", "microsoft-dsvm:ubuntu-hpc:1604:latest", "microsoft-dsvm:ubuntu-hpc:2204:1.0.0"]
)
def test_unknown_image_is_refused_before_anything_is_made(arm: Emulator, image: str) -> None:
    with refusal("image", image):
        account().create(order(image=image), "1", silence)
    assert arm.left() == []


@pytest.mark.usefixtures("arm")
def test_image_of_a_version() -> None:
    account().create(order(image="microsoft-dsvm:ubuntu-hpc:2204:22.04.2026110501"), "1", silence)


# --- what goes wrong ---


@pytest.mark.parametrize("late", [False, True])
def test_next_zone_after_a_stock_out(arm: Emulator, late: bool) -> None:
    arm.stock_out, arm.stock_late = {"1"}, late
    cloud = account()
    with refusal("stock", "ZonalAllocationFailed" if late else "SkuNotAvailable"):
        cloud.create(order(), "1", silence)
    assert not any(
        word in each for each in arm.left() for word in ("virtualMachines", "publicIP", "Interfaces", "disks")
    )
    assert cloud.create(order(), "2", silence).zone == "2"


def test_stock_out_of_a_region_without_zones(arm: Emulator) -> None:
    arm.stock_out, arm.stock_late = {""}, True
    with refusal("stock", "AllocationFailed"):
        account().create(order(region="northcentralus"), None, silence)


def test_what_a_killed_try_left_in_one_zone_is_not_in_the_way_of_another(arm: Emulator) -> None:
    arm.stock_out, arm.stock_late = {"1"}, True
    what, cloud = order(), account()
    for call in cloud._calls(what, "1")[:-1]:  # type: ignore[attr-defined]
        with suppress(Refused):  # the last: there is no stock
            cloud._make(call, silence)  # type: ignore[attr-defined]
    (failed,) = cloud.machines("ana-1")
    assert failed.state == "stopped"
    assert "ZonalAllocationFailed" in (failed.ended or "")
    assert cloud.create(what, "2", silence).zone == "2"


@pytest.mark.parametrize(("spot", "family"), [(False, "standardNCASv3_T4Family"), (True, "LowPriorityCores")])
def test_quota_by_its_name_and_numbers(arm: Emulator, spot: bool, family: str) -> None:
    arm.quota = True
    with refusal("quota", f"the quota {family} of eastus is 0 cores, 0 are used, 4 more are needed"):
        account().create(order(spot=spot), "1", silence)


@pytest.mark.parametrize(
    ("status", "code", "message", "reason", "words"),
    [
        (401, "ExpiredAuthenticationToken", "The access token expiry UTC time is earlier.", "credentials", "az login"),
        (401, "InvalidAuthenticationToken", "The access token is not yet valid.", "clock", "timedatectl"),
        (403, "AuthorizationFailed", "The client 'x' does not have authorization.", "permission", "Contributor"),
        (403, "Whatever", "no", "permission", "Contributor"),
        (404, "SubscriptionNotFound", "The subscription could not be found.", "credentials", "AZURE_SUBSCRIPTION_ID"),
        (409, "ScopeLocked", "The scope is locked.", "permission", "az lock list"),
        (409, "OperationNotAllowed", "Operation results in exceeding quota limits of Core. Maximum allowed: 20.",
         "quota", "myQuotas"),
        (400, "PublicIPCountLimitReached", "Cannot create more than 3 public IP addresses.", "quota", "myQuotas"),
        (409, "OverconstrainedZonalAllocationRequest", "Allocation failed.", "stock", "another zone"),
        (400, "MarketplacePurchaseEligibilityFailed", "See inner errors for details.", "image", "terms accept"),
        (409, "AnotherOperationInProgress", "Another operation is in progress.", "busy", "again"),
        (400, "InvalidParameter", "The value X provided for the VM size is not valid.", "type", "offers"),
        (400, "SomethingNew", "Azure has thought of something new.", "refused", "something new. (SomethingNew)"),
    ],
)  # fmt: skip
def test_no_of_azure(arm: Emulator, status: int, code: str, message: str, reason: str, words: str) -> None:
    arm.refusals.append((VM_PATH, Answer(status, code, message)))
    with refusal(reason, words):
        account().create(order(), "1", silence)


def test_reason_is_looked_for_within(arm: Emulator) -> None:
    """github.com/jenkins-infra/helpdesk/issues/3584"""
    details = [{"code": "OverconstrainedZonalAllocationRequest", "message": "Allocation failed."}]
    outer = Answer(
        409, "ResourceOperationFailure", "The resource operation completed with state 'Failed'.", details=details
    )
    arm.refusals.append((VM_PATH, outer))
    with refusal("stock", "OverconstrainedZonalAllocationRequest"):
        account().create(order(), "1", silence)


def test_policy_by_its_name(arm: Emulator) -> None:
    """https://learn.microsoft.com/azure/azure-resource-manager/troubleshooting/error-policy-requestdisallowedbypolicy"""
    policy = '[{"policyAssignment":{"name":"no gpus"},"policyDefinition":{"name":"Allowed sizes","id":"/x"}}]'
    message = f"Resource 'ana-1' was disallowed by policy. Policy identifiers: '{policy}'."
    arm.refusals.append((VM_PATH, Answer(403, "RequestDisallowedByPolicy", message)))
    with refusal("permission", "Allowed sizes"):
        account().create(order(), "1", silence)


def test_provider_that_nobody_registered(arm: Emulator) -> None:
    arm.unregistered = {"Microsoft.Network"}
    with refusal("refused", "`az provider register --wait --namespace Microsoft.Network`"):
        account().create(order(), "1", silence)


def test_busy_azure_is_asked_again(arm: Emulator) -> None:
    cloud = account()
    arm.busy = [429, 503, 500]
    assert cloud.machines("ana-1") == ()
    arm.busy = [503, 429]
    assert cloud.create(order(), "1", silence).state == "running"
    arm.busy = [500] * 9
    with refusal("busy", "TooManyRequests"):
        cloud.machines("ana-1")


def test_azure_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
    monkeypatch.setenv(clouds.ENDPOINT, "http://127.0.0.1:9")
    with refusal("busy", "does not answer"):
        account().machines()


@pytest.mark.parametrize(
    ("text", "reason", "words"),
    [
        ("DefaultAzureCredential failed to retrieve a token from the included credentials.\nAttempted:\n\tX",
         "credentials", "az login"),
        ("AADSTS700024: Client assertion is not within its valid time range.", "clock", "timedatectl"),
        ("AADSTS7000215: Invalid client secret provided.", "credentials", "AADSTS7000215"),
    ],
)  # fmt: skip
def test_signing_in(text: str, reason: str, words: str) -> None:
    errors: Any = importlib.import_module("azure.core.exceptions")
    refused = azure_errors.refused(errors.ClientAuthenticationError(message=text), "for ana-1")
    assert refused.reason == reason
    assert words in f"{refused} {refused.tip}"
    assert "\n" not in str(refused)


def test_certificate_of_another_time() -> None:
    errors: Any = importlib.import_module("azure.core.exceptions")
    text = "[SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: certificate is not yet valid (_ssl.c:1006)"
    assert azure_errors.refused(errors.ServiceRequestError(text), "for ana-1").reason == "clock"


# --- which subscription ---


def test_only_enabled_subscription(arm: Emulator) -> None:
    arm.subscriptions = [("a", "Disabled"), ("b", "Enabled"), ("c", "Warned")]
    request = account().request(order(), "1")
    assert "/subscriptions/b/" in json.dumps(request["virtual_machines.begin_create_or_update ana-1"])


def test_subscription_that_the_environment_names(arm: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", "d")
    account()
    assert arm.calls == []


@pytest.mark.parametrize("ids", [[], ["a", "b"]])
def test_no_subscription_is_guessed(arm: Emulator, ids: list[str]) -> None:
    arm.subscriptions = [(id, "Enabled") for id in ids]
    with refusal("credentials", "AZURE_SUBSCRIPTION_ID") as refused:
        account()
    assert all(id in str(refused.value) for id in ids)


# --- what there is ---


@pytest.mark.usefixtures("arm")
def test_machine_as_it_is_told() -> None:
    what = order(spot=True)
    made = account().create(what, "3", silence)
    assert (made.name, made.id, made.provider) == ("ana-1", "gpucheck-ana-1/ana-1", "azure")
    assert (made.instance_type, made.region, made.zone) == (what.instance_type, "eastus", "3")
    assert (made.state, made.spot, made.owner, made.expires) == ("running", True, "ana", what.expires)
    assert (made.address, made.ended) == ("203.0.113.80", None)
    assert list(account().machines()) == list(account().machines("ana-1")) == [made]
    assert account().machines("bob-1") == ()


@pytest.mark.parametrize("knob", ["shut_down", "deallocate"])
def test_vm_that_ended_itself(arm: Emulator, knob: str) -> None:
    account().create(order(), "1", silence)
    getattr(arm, knob)("ana-1")
    (machine,) = account().machines("ana-1")
    assert (machine.state, machine.ended) == ("stopped", None)


def test_evicted_vm(arm: Emulator) -> None:
    cloud = account()
    made = cloud.create(order(spot=True), "1", silence)
    arm.set_console("ana-1", "booting\n")
    assert cloud.console(made) == "booting\n"
    arm.preempt("ana-1")
    (gone,) = cloud.machines("ana-1")
    assert gone.state == "gone"
    assert "evicted" in (gone.ended or "")
    assert cloud.console(gone) == "booting\n"
    cloud.remove("ana-1", silence)
    assert cloud.machines("ana-1") == ()
    assert arm.left() == []


@pytest.mark.usefixtures("arm")
def test_vm_that_somebody_else_deleted() -> None:
    cloud = account()
    cloud.create(order(), "1", silence)
    account().remove("ana-1", silence)
    (gone,) = cloud.machines("ana-1")
    assert (gone.state, gone.ended) == ("gone", "its resource group was deleted, not by this gpucheck")


@pytest.mark.parametrize("text", ["x", "-1", "9" * 40, "", "١٢"])
def test_tag_of_expiry_that_was_changed(text: str) -> None:
    assert azure_bodies.expiry({"gpucheck-expires": text}) is None


def test_resources_and_their_end(arm: Emulator) -> None:
    cloud = account()
    for name in ("ana-1", "bob-1"):
        cloud.create(order(name=name), "1", silence)
    kinds = {"group", "instance", "disk", "interface", "address", "network", "rules", "schedule"}
    assert {each.kind for each in cloud.resources("bob-1")} == kinds
    assert {each.name for each in cloud.resources("bob-1")} == {"bob-1"}
    assert len(cloud.resources()) == 16
    assert len(cloud.remove("bob-1", silence)) == 8
    assert {each.name for each in cloud.resources()} == {"ana-1"}
    assert len(cloud.remove(None, silence)) == 8
    assert arm.left() == []
    assert cloud.remove(None, silence) == []
    assert cloud.remove("ana-1", silence) == []


def test_group_that_is_being_deleted_is_waited_for(arm: Emulator) -> None:
    account().create(order(), "1", silence)
    delete_elsewhere(arm)
    arm.refusals.append((f"DELETE {GROUP}$".replace("resourceGroups", "resource[gG]roups"),
                         Answer(409, "ResourceGroupBeingDeleted", "It is being deleted.")))  # fmt: skip
    account().remove("ana-1", silence)
    assert arm.groups == {}


def test_group_that_is_locked_is_told_after_the_others_are_gone(arm: Emulator) -> None:
    cloud = account()
    for name in ("ana-1", "bob-1"):
        cloud.create(order(name=name), "1", silence)
    arm.refusals.append((r"DELETE .*/gpucheck-ana-1$", Answer(409, "ScopeLocked", "The scope is locked.")))
    with refusal("permission", "az lock list"):
        cloud.remove(None, silence)
    assert {each.name for each in cloud.resources()} == {"ana-1"}


def test_ours_in_the_group_of_somebody_else(arm: Emulator) -> None:
    """A Terraform module's: what holds each other goes in the order in which it can, what is not ours stays."""
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/shared/providers"
    ours = {"gpucheck": "ana-1"}
    address = f"{group}/Microsoft.Network/publicIPAddresses/a"
    arm.add("shared/microsoft.network/publicipaddresses/a", ours)
    inside = [{"properties": {"publicIPAddress": {"id": address}}}]
    arm.add("shared/microsoft.network/networkinterfaces/i", ours, ipConfigurations=inside)
    arm.add("shared/microsoft.network/publicipaddresses/theirs", {"team": "x"})
    arm.groups["shared"]["tags"] = {"gpucheck": "ana-1"}
    gone = account().remove(None, silence)
    assert sorted(each.kind for each in gone) == ["address", "interface"]
    assert [each.rpartition("/")[2] for each in arm.left()] == ["shared", "theirs"]


def test_ours_of_an_unknown_kind_is_told(arm: Emulator) -> None:
    arm.add("shared/microsoft.storage/storageaccounts/s", {"gpucheck": "ana-1"})
    with refusal("refused", "az resource delete --ids"):
        account().remove("ana-1", silence)


# --- the console ---


@pytest.mark.usefixtures("arm")
def test_console_of_a_vm_without_one() -> None:
    made = account().create(order(), "1", silence)
    assert account().console(made) == ""


def test_console_is_text_whatever_it_holds(arm: Emulator) -> None:
    made = account().create(order(), "1", silence)
    arm.set_console("ana-1", b"a\xff\x00\x00\n")
    assert account().console(made) == "a\ufffd\n"


def test_console_that_fails_for_a_moment_is_what_it_was(arm: Emulator) -> None:
    cloud = account()
    made = cloud.create(order(), "1", silence)
    arm.set_console("ana-1", "one\n")
    cloud.console(made)
    arm.refusals.append(("/consoles/", Answer(403, "AuthenticationFailed", "Server failed to authenticate.")))
    assert cloud.console(made) == "one\n"
    arm.refusals.append(("POST", Answer(403, "AuthorizationFailed", "no")))
    with refusal("permission"):
        cloud.console(made)


@pytest.mark.parametrize(
    "address",
    [
        "https://example.com/x", "http://a.blob.core.windows.net/x", "https://blob.core.windows.net.example.com/x",
        "file:///etc/passwd", "http://127.0.0.1:1/x", "https://127.0.0.1/x", "https://xblob.core.windows.net/x",
    ],
)  # fmt: skip
def test_console_elsewhere_is_not_read(arm: Emulator, address: str) -> None:
    with refusal("refused", "not Azure's own"):
        azure_api.Api(arm.address).blob(address)


@pytest.fixture
def elsewhere() -> Iterator[str]:
    """A server that leads to /etc."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302)
            self.send_header("Location", "http://127.0.0.1:1/")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_console_leads_nowhere_and_its_signature_is_not_told(elsewhere: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
    with refusal("busy", "HTTP 302") as refused:
        azure_api.Api(elsewhere).blob(f"{elsewhere}/x?sig=secret")
    assert "secret" not in f"{refused.value}{refused.value.tip}"


def test_states_of_an_instance_view() -> None:
    class Found:
        def __init__(self, provisioning: str, *codes: str) -> None:
            self.provisioning_state = provisioning
            statuses = [type("Status", (), {"code": code, "message": None}) for code in codes]
            self.instance_view = type("View", (), {"statuses": statuses})

    assert azure_answers.state(Found("Creating")) == "starting"
    assert azure_answers.state(Found("Creating", "ProvisioningState/creating", "PowerState/running")) == "running"
    assert azure_answers.state(Found("Deleting", "PowerState/running")) == "stopping"
    assert azure_answers.state(Found("Failed", "ProvisioningState/failed")) == "stopped"
    assert azure_answers.state(Found("Succeeded", "PowerState/deallocating")) == "stopping"
    assert azure_answers.state(Found("Succeeded", "PowerState/unknown")) == "starting"


def test_names_of_the_schema_files_are_those_that_the_emulator_reads() -> None:
    made = {path.name for path in azure_schemas()}
    assert made == {
        f"azure_{name}.json"
        for name in ("ResourceGroup", "NetworkSecurityGroup", "VirtualNetwork", "PublicIPAddress", "NetworkInterface",
                     "VirtualMachine", "Schedule")
    }  # fmt: skip
    assert all(
        re.search(r"of azure-mgmt-[a-z]+ \d+\.", json.loads(path.read_text())["$comment"]) for path in azure_schemas()
    )


def azure_schemas() -> list[Any]:
    from tests.clouds.emulators.azure import SCHEMAS

    return list(SCHEMAS.glob("azure_*.json"))
