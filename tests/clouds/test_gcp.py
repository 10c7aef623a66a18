"""Google Cloud by its real SDK, against a small Compute Engine on this machine."""

from __future__ import annotations

import importlib
import json
import re
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from gpucheck import clouds
from gpucheck.clouds import ENDPOINT, Cloud, Order, Refused, gcp_api, gcp_bodies, gcp_errors
from tests.clouds.emulators.gcp import MEGABYTE, Answer, Emulator, checked
from tests.clouds.killed import order as an_order

FAMILY = "projects/ubuntu-os-accelerator-images/global/images/family/ubuntu-accelerator-2404-amd64-with-nvidia-580"
ZONE = "us-central1-a"


@pytest.fixture
def google(gcp_emulator: Emulator) -> Emulator:
    return gcp_emulator


def order(**given: Any) -> Order:
    return an_order(**{"instance_type": "g2-standard-4", "region": "us-central1", "image": FAMILY} | given)


def account() -> Cloud:
    return clouds.cloud("gcp")


def silence(*_: object) -> None:
    pass


def made(google: Emulator, **given: Any) -> dict[str, Any]:
    """The instance's body, as it came over the wire."""
    account().create(order(**given), ZONE, silence)
    return sent(google, "instances")


def sent(google: Emulator, kind: str) -> dict[str, Any]:
    asked = zip(google.calls, google.bodies, strict=True)
    return next(body for (method, path), body in asked if method == "POST" and path.endswith(f"/{kind}"))


def refusal(reason: str) -> Any:
    return pytest.raises(Refused, check=lambda refused: refused.reason == reason)


# --- what is sent ---


def test_instance_as_it_is_sent(google: Emulator) -> None:
    body = made(google, user_data="#cloud-config\nruncmd: [ä]\n")
    checked("Instance", body)
    assert set(body["labels"]) == {"gpucheck", "gpucheck-owner", "gpucheck-expires"}
    disk = body["disks"][0]
    assert disk["autoDelete"]
    assert disk["initializeParams"]["labels"] == body["labels"]
    assert disk["initializeParams"]["sourceImage"].endswith("580-v20261101")
    metadata = {each["key"]: each["value"] for each in body["metadata"]["items"]}
    assert metadata["user-data"] == "#cloud-config\nruncmd: [ä]\n"
    assert metadata["serial-port-enable"] == "FALSE"
    assert "enable-oslogin" not in metadata
    assert "serviceAccounts" not in body  # none at all: the API gives none by itself
    assert 3500 < int(body["scheduling"]["maxRunDuration"]["seconds"]) <= 3600
    assert body["scheduling"]["instanceTerminationAction"] == "DELETE"
    assert body["scheduling"]["provisioningModel"] == "STANDARD"
    assert "guestAccelerators" not in body


def test_spot_attached_gpu_and_ssh(google: Emulator) -> None:
    body = made(
        google, instance_type="n1-standard-4", gpu=("nvidia-tesla-t4", 2), spot=True, ssh_key="ssh-ed25519 AAAA x",
        ssh_from="203.0.113.7/32",
    )  # fmt: skip
    assert body["scheduling"]["provisioningModel"] == "SPOT"
    accelerator = {"acceleratorType": f"zones/{ZONE}/acceleratorTypes/nvidia-tesla-t4", "acceleratorCount": 2}
    assert body["guestAccelerators"] == [accelerator]
    assert {"key": "enable-oslogin", "value": "FALSE"} in body["metadata"]["items"]
    rules = {path.rpartition("/")[2]: rule for path, rule in google.things.items() if "/firewalls/" in path}
    deny, ssh = rules["gpucheck-ana-1-deny"], rules["gpucheck-ana-1-ssh"]
    assert deny["denied"] == [{"IPProtocol": "all"}]
    assert ssh["allowed"] == [{"IPProtocol": "tcp", "ports": ["22"]}]
    assert ssh["sourceRanges"] == ["203.0.113.7/32"]
    assert ssh["priority"] < deny["priority"] < 65534
    assert ssh["targetTags"] == deny["targetTags"] == body["tags"]["items"]


def test_nobody_gets_in_before_the_instance_is_there(google: Emulator) -> None:
    account().create(order(), ZONE, silence)
    posts = [path.rpartition("/")[2] for method, path in google.calls if method == "POST"]
    assert posts == ["firewalls", "wait", "wait", "instances", "wait", "wait"]


def test_h200_boots_from_hyperdisk() -> None:
    """https://docs.cloud.google.com/vertex-ai/docs/reference/rest/v1/DiskSpec"""
    body = gcp_bodies.instance(order(instance_type="a3-ultragpu-8g"), "europe-west4-b", "x", 60)
    assert body["disks"][0]["initialize_params"]["disk_type"].endswith("/hyperdisk-balanced")


def test_what_is_shown_is_what_is_sent(google: Emulator) -> None:
    what = order(ssh_key="ssh-ed25519 AAAA x", ssh_from="203.0.113.7/32")
    shown = account().request(what, ZONE)
    assert not google.left()
    account().create(what, ZONE, silence)
    posted = [
        body for (method, path), body in zip(google.calls, google.bodies, strict=True) if method == "POST" and body
    ]
    deny, ssh, instance = posted
    assert [shown["firewalls.insert gpucheck-ana-1-deny"], shown["firewalls.insert gpucheck-ana-1-ssh"]] == [deny, ssh]
    lives = (
        instance["scheduling"].pop("maxRunDuration"),
        shown["instances.insert"]["body"]["scheduling"].pop("maxRunDuration"),
    )
    assert abs(int(lives[0]["seconds"]) - int(lives[1]["seconds"])) < 60
    assert shown["instances.insert"]["body"] == instance


@pytest.mark.parametrize(
    ("kind", "body"),
    [
        ("Instance", {"name": "x", "label": {}}),
        ("Instance", {"scheduling": {"onHostMaintenance": "STOP"}}),
        ("Instance", {"scheduling": {"maxRunDuration": {"seconds": 3600}}}),
        ("Instance", {"disks": [{"initializeParams": {"diskSizeGb": 100}}]}),
        ("Instance", {"status": "RUNNING"}),  # output only
        ("Firewall", {"name": "x", "labels": {}}),  # there are none
        ("Firewall", {"denied": [{"ipProtocol": "all"}]}),
    ],
)
def test_schema_refuses(kind: str, body: dict[str, Any]) -> None:
    with pytest.raises(Answer, match="Invalid value"):
        checked(kind, body)


def test_sdk_refuses_a_field_that_it_does_not_have(google: Emulator) -> None:
    with pytest.raises(ValueError, match="nam"):
        gcp_api.Api(google.address).call("firewalls", "insert_unary", "x", firewall_resource={"nam": "x"})


# --- what there is to be had ---


def test_zones_that_have_the_type(google: Emulator) -> None:
    del google
    assert account().zones(order()) == ["us-central1-a", "us-central1-b", "us-central1-c"]


def test_zones_that_have_the_gpu_too(google: Emulator) -> None:
    del google
    what = order(instance_type="n1-standard-4", gpu=("nvidia-tesla-t4", 1), region="us-west1")
    assert account().zones(what) == ["us-west1-b"]


@pytest.mark.parametrize(
    ("given", "reason", "tip"),
    [
        ({"region": "us-central"}, "region", "us-central1"),
        ({"instance_type": "g2-standart-4"}, "type", "g2-standard-4"),
        ({"region": "europe-west4"}, "type", "us-west1"),
        (
            {"instance_type": "n1-standard-4", "gpu": ("nvidia-tesla-t4", 1), "region": "europe-west4"},
            "type",
            "us-west1",
        ),
    ],
)
def test_zones_refused(google: Emulator, given: dict[str, Any], reason: str, tip: str) -> None:
    del google
    with refusal(reason) as raised:
        account().zones(order(**given))
    assert tip in raised.value.tip


def test_no_default_network(google: Emulator) -> None:
    google.network = False
    with refusal("network"):
        account().zones(order())
    with refusal("network"):
        account().create(order(), ZONE, silence)


def test_a_type_may_be_in_a_zone_that_does_not_answer(google: Emulator) -> None:
    google.silent = {"us-central1-a", "us-central1-b", "us-central1-c"}
    with refusal("busy"):
        account().zones(order())


@pytest.mark.parametrize("image", ["ubuntu", FAMILY.replace("580", "999"), "projects/p/global/images/none"])
def test_unknown_image(google: Emulator, image: str) -> None:
    with refusal("image"):
        account().create(order(image=image), ZONE, silence)
    assert not google.left()


def test_images_that_are_given_up(google: Emulator) -> None:
    path, said = "projects/p/global/images/old", []
    google.images["p/old"] = {"family": "f", "deprecated": {"state": "DEPRECATED", "replacement": "global/images/new"}}
    account().create(order(image=path), ZONE, lambda text, _: said.append(text))
    assert any("deprecated" in line and "new" in line for line in said)
    with pytest.raises(Refused, match=r"every image .* is deprecated"):
        account().request(order(image="projects/p/global/images/family/f"), ZONE)
    google.images["p/old"]["deprecated"]["state"] = "OBSOLETE"
    with refusal("image") as raised:
        account().request(order(image=path), ZONE)
    assert "new" in raised.value.tip


def test_disk_that_is_too_small_for_the_image(google: Emulator) -> None:
    google.images["p/big"] = {"diskSizeGb": "150"}
    with pytest.raises(Refused, match="150 GB, not 100"):
        account().request(order(image="projects/p/global/images/big"), ZONE)


# --- what goes wrong ---


def test_stock_out(google: Emulator) -> None:
    google.stock_out = {ZONE}
    cloud = account()
    with refusal("stock") as raised:
        cloud.create(order(), ZONE, silence)
    assert "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS" in str(raised.value)
    assert "us-central1-b" in raised.value.tip  # as its details say
    assert google.left() == ["global/firewalls/gpucheck-ana-1-deny"]
    assert cloud.create(order(), "us-central1-b", silence).zone == "us-central1-b"


@pytest.mark.parametrize(
    ("metric", "where"), [("GPUS_ALL_REGIONS", "globally"), ("NVIDIA_L4_GPUS", "in region us-central1")]
)
def test_quota(google: Emulator, metric: str, where: str) -> None:
    google.quota = metric
    with refusal("quota") as raised:
        account().create(order(), ZONE, silence)
    assert f"quota {metric} is 0 {where}" in str(raised.value)
    assert metric in raised.value.tip


def test_api_is_off(google: Emulator) -> None:
    google.api_off = True
    with refusal("permission") as raised:
        account().zones(order())
    assert "gcloud services enable compute.googleapis.com" in raised.value.tip


def test_signed_out(google: Emulator) -> None:
    google.signed_out = True
    with refusal("credentials"):
        account().machines()


def test_busy_for_a_while(google: Emulator) -> None:
    cloud = account()
    for method in (lambda: cloud.create(order(), ZONE, silence), lambda: cloud.remove("ana-1", silence)):
        google.busy = [503, 429, 500, 502]
        method()
    assert not google.left()


def test_busy_for_too_long(google: Emulator) -> None:
    google.busy = [503] * 1000
    with refusal("busy"):
        account().machines()


def test_lost_answer_makes_no_second_instance(google: Emulator) -> None:
    """The request is carried out, and asked again: its request ID finds the operation that was begun."""
    api, what = gcp_api.Api(google.address), order()
    body: dict[str, Any] = {"instance_resource": gcp_bodies.instance(what, ZONE, "x", 60), "zone": ZONE}
    first, second = (
        api.call("instances", "insert_unary", "x", **body, request_id=gcp_bodies.request_id(what, ZONE)) for _ in "12"
    )
    assert first.name == second.name


def _error(status: int, reason: str, message: str) -> Any:
    api: Any = importlib.import_module("google.api_core.exceptions")
    return api.from_http_status(status, f"POST https://x/y: {message}", errors=[{"reason": reason}])


@pytest.mark.parametrize(
    ("status", "reason", "message", "is_a"),
    [
        (403, "quotaExceeded", "Quota 'NVIDIA_T4_GPUS' exceeded.  Limit: 1.0 in region us-west1.", "quota"),
        (403, "rateLimitExceeded", "Rate Limit Exceeded", "busy"),
        (403, "forbidden", "Required 'compute.instances.create' permission", "permission"),
        (400, "resourceNotReady", "The resource 'projects/p/global/networks/default' is not ready", "busy"),
        (409, "alreadyExists", "The resource 'projects/p/zones/z/instances/x' already exists", "name"),
        (404, "notFound", "The resource 'projects/p/zones/z/machineTypes/x' was not found", "type"),
        (404, "notFound", "The resource 'projects/p/global/images/family/f' was not found", "image"),
        (404, "notFound", "The resource 'projects/nobodys' was not found", "credentials"),
        (404, "notFound", "The resource 'projects/p/zones/us-x1-a' was not found", "region"),
        (400, "invalid", "Invalid value for field 'resource.name': 'X'.", "refused"),
        (503, "backendError", "Try again", "busy"),
        (503, "STOCKOUT", "none left", "stock"),
    ],
)
def test_errors(status: int, reason: str, message: str, is_a: str) -> None:
    refused = gcp_errors.refused(_error(status, reason, message), "to do it")
    assert refused.reason == is_a
    assert reason in str(refused)
    assert "https://x/y" not in str(refused)
    assert refused.tip


@pytest.mark.parametrize(
    ("text", "is_a"),
    [
        ("invalid_grant: Token must be a short-lived token (60 minutes) and in a reasonable timeframe.", "clock"),
        ("invalid_grant: Token has been expired or revoked.", "credentials"),
        ("Reauthentication is needed.", "credentials"),
    ],
)
def test_sign_in_errors(text: str, is_a: str) -> None:
    auth: Any = importlib.import_module("google.auth.exceptions")
    refused = gcp_errors.refused(auth.RefreshError(text), "to do it")
    assert refused.reason == is_a
    assert "timedatectl" in refused.tip or "gcloud auth" in refused.tip


def test_nobody_is_signed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (ENDPOINT, "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    with refusal("credentials") as raised:
        account()
    assert "gcloud auth application-default login" in raised.value.tip


def test_no_project_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (ENDPOINT, "GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT"):
        monkeypatch.delenv(name, raising=False)
    key = {"type": "authorized_user", "client_id": "a", "client_secret": "b", "refresh_token": "c"}
    (tmp_path / "key.json").write_text(json.dumps(key))
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "key.json"))
    monkeypatch.setenv("CLOUDSDK_CONFIG", str(tmp_path))
    monkeypatch.setenv("NO_GCE_CHECK", "true")
    monkeypatch.setenv("PATH", str(tmp_path))  # no gcloud
    with refusal("credentials") as raised:
        account()
    assert "gcloud config set project" in raised.value.tip
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "mine")
    assert gcp_api.Api(None).project == "mine"


# --- the same name again ---


def test_same_name_again(google: Emulator) -> None:
    first = account().create(order(), ZONE, silence)
    later = order(expires=datetime.now(UTC).replace(microsecond=0) + timedelta(hours=2))
    assert account().create(later, ZONE, silence).id == first.id
    assert len([path for path in google.left() if "/instances/" in path]) == 1


def test_same_name_but_stopped(google: Emulator) -> None:
    account().create(order(), ZONE, silence)
    google.shut_down("ana-1")
    with refusal("name"):
        account().create(order(expires=datetime.now(UTC) + timedelta(hours=2)), ZONE, silence)


@pytest.mark.parametrize("path", [f"zones/{ZONE}/instances/gpucheck-ana-1", "global/firewalls/gpucheck-ana-1-deny"])
def test_the_name_is_somebody_elses(google: Emulator, path: str) -> None:
    google.add(path, status="RUNNING", description="mine")
    with refusal("name"):
        account().create(order(), ZONE, silence)
    account().remove(None, silence)
    assert google.left() == [path]


def test_rules_are_those_of_the_last_order(google: Emulator) -> None:
    cloud = account()
    cloud.create(order(ssh_key="k", ssh_from="203.0.113.7/32"), ZONE, silence)
    cloud.create(order(ssh_key="k", ssh_from="198.51.100.1/32"), ZONE, silence)
    assert google.things["global/firewalls/gpucheck-ana-1-ssh"]["sourceRanges"] == ["198.51.100.1/32"]
    last = order()  # its end is that of the rules, too, to the second
    cloud.create(last, ZONE, silence)
    assert "global/firewalls/gpucheck-ana-1-ssh" not in google.left()
    before = len(google.calls)
    cloud.create(last, ZONE, silence)
    assert not [call for call in google.calls[before:] if "firewalls/" in call[1]]  # as it was: nothing to change


# --- what is there, and how it ended ---


def test_machines_and_resources(google: Emulator) -> None:
    cloud, expires = account(), order().expires
    for name in ("ana-1", "ana-1-deny", "bob"):
        cloud.create(order(name=name, expires=expires), ZONE, silence)
    google.add(f"zones/{ZONE}/instances/theirs", status="RUNNING", labels={"team": "x"})
    google.add("global/firewalls/gpucheck-docs-deny", description="a rule of the documentation's")
    assert sorted(each.name for each in cloud.machines()) == ["ana-1", "ana-1-deny", "bob"]
    (machine,) = cloud.machines("ana-1")
    assert (machine.state, machine.owner, machine.expires, machine.address) == (
        "running",
        "ana",
        expires,
        "203.0.113.9",
    )
    assert sorted(each.kind for each in cloud.resources("ana-1")) == ["disk", "firewall", "instance"]
    assert len(cloud.resources()) == 9
    assert all(each.expires == expires for each in cloud.resources())


def test_a_silent_zone_hides_no_other_and_is_told(google: Emulator) -> None:
    cloud = account()
    cloud.create(order(), ZONE, silence)
    google.silent = {"europe-west4-a"}
    assert len(cloud.machines("ana-1")) == 1
    assert [each.region for each in cloud.resources("ana-1") if each.kind == "unknown"] == ["europe-west4-a"]
    google.silent = {ZONE}
    with refusal("busy"):  # not knowing is not gone
        cloud.machines("ana-1")
    with pytest.raises(Refused, match=ZONE):
        cloud.remove("ana-1", silence)


def test_preempted(google: Emulator) -> None:
    cloud = account()
    machine = cloud.create(order(spot=True), ZONE, silence)
    google.set_console("ana-1", "so far\n")
    assert cloud.console(machine) == "so far\n"
    google.preempt("ana-1")
    (gone,) = cloud.machines("ana-1")
    assert gone.state == "gone"
    assert "preempted" in (gone.ended or "")
    assert cloud.console(machine) == "so far\n"  # what was read is not lost with it
    assert not cloud.machines()
    cloud.remove("ana-1", silence)
    assert not cloud.machines("ana-1")
    assert not google.left()


def test_shut_down_from_the_inside(google: Emulator) -> None:
    cloud = account()
    cloud.create(order(), ZONE, silence)
    google.shut_down("ana-1")
    (stopped,) = cloud.machines("ana-1")
    assert stopped.state == "stopped"
    assert "guestTerminate" in (stopped.ended or "")
    cloud.remove("ana-1", silence)
    assert not google.left()


def test_ends_itself(google: Emulator) -> None:
    cloud = account()
    cloud.create(order(), ZONE, silence)
    google.pass_time(3500)
    assert cloud.machines("ana-1")[0].state == "running"
    google.pass_time(200)
    assert google.left() == ["global/firewalls/gpucheck-ana-1-deny"]  # which costs nothing


def test_console_of_more_than_a_megabyte(google: Emulator) -> None:
    cloud = account()
    machine = cloud.create(order(), ZONE, silence)
    text = "".join(f"line {number}\n" for number in range(MEGABYTE // 8))
    assert cloud.console(machine) == ""
    for part in (MEGABYTE // 2, MEGABYTE, len(text)):
        google.set_console("ana-1", text[:part])
        whole = cloud.console(machine)
    assert whole == text
    assert len(account().console(machine)) == MEGABYTE  # who comes late has what is kept
    google.set_console("ana-1", text + "x" * (MEGABYTE + 1))
    assert cloud.console(machine).startswith(text + "\nxxx")


# --- the end ---


def test_nothing_is_left(google: Emulator) -> None:
    cloud = account()
    cloud.create(order(ssh_key="k", ssh_from="203.0.113.7/32"), ZONE, silence)
    labels = {"gpucheck": "ana-1"}
    google.add("zones/us-west1-a/disks/orphan", labels=labels)
    google.add("regions/us-west1/addresses/orphan", labels=labels)
    google.add("zones/us-west1-a/disks/theirs")
    gone = cloud.remove("ana-1", silence)
    assert sorted(each.kind for each in gone) == ["address", "disk", "disk", "firewall", "firewall", "instance"]
    assert google.left() == ["zones/us-west1-a/disks/theirs"]
    assert cloud.remove("ana-1", silence) == []
    assert cloud.remove(None, silence) == []


def test_what_is_still_being_made_is_waited_for(google: Emulator) -> None:
    """As a process leaves it that was killed: the rule is in no list yet."""
    api, what = gcp_api.Api(google.address), order()
    api.call("firewalls", "insert_unary", "x", firewall_resource=gcp_bodies.rules(what)[0])
    body = gcp_bodies.instance(what, ZONE, "x", 60)
    api.call("instances", "insert_unary", "x", instance_resource=body, zone=ZONE)
    account().remove("ana-1", silence)
    assert not google.left()


def test_one_refusal_keeps_no_other(google: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    cloud = account()
    for name in ("ana-1", "ana-2", "ana-3"):
        cloud.create(order(name=name), ZONE, silence)
    delete = google._delete

    def stubborn(path: str) -> dict[str, Any]:
        if path.endswith("instances/gpucheck-ana-2"):
            raise Answer(403, "forbidden", "Required 'compute.instances.delete' permission")
        return delete(path)

    monkeypatch.setattr(google, "_delete", stubborn)
    with refusal("permission"):
        cloud.remove(None, silence)
    assert not [path for path in google.left() if re.search("ana-[13]", path)]
    assert f"zones/{ZONE}/instances/gpucheck-ana-2" in google.left()


def test_deleted_by_two_at_once(google: Emulator) -> None:
    account().create(order(), ZONE, silence)
    failed: list[BaseException] = []

    def remove() -> None:
        try:
            account().remove("ana-1", silence)
        except Refused as refused:
            failed.append(refused)

    threads = [threading.Thread(target=remove) for _ in range(2)]
    for each in threads:
        each.start()
        time.sleep(0.01)
    for each in threads:
        each.join()
    assert not failed
    assert not google.left()


def test_what_is_there_is_deleted_though_what_comes_is_not_told(
    google: Emulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    account().create(order(), ZONE, silence)
    whole = gcp_api.Api.everywhere

    def everywhere(api: Any, service: str, *given: Any) -> Any:
        if service == "global_operations":
            raise Refused("permission", "compute.globalOperations.list is not allowed", "ask")
        return whole(api, service, *given)

    monkeypatch.setattr(gcp_api.Api, "everywhere", everywhere)
    with refusal("permission"):
        account().remove("ana-1", silence)
    assert google.left() == []


def test_an_answer_that_is_none_of_googles() -> None:
    forms: Any = importlib.import_module("google.protobuf.json_format")
    with refusal("busy"), gcp_api._asking("for our instances"):
        raise forms.ParseError("Failed to load JSON: <html>sign in to the network</html>")
