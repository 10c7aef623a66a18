"""The cloud by DMI, and its metadata service.

DMI as cloud-init knows it (github.com/canonical/cloud-init, tools/ds-identify); the services' answers as
docs.cloud.google.com/compute/docs/metadata and learn.microsoft.com (azure, instance-metadata-service) say.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import product
from typing import Any, NamedTuple

import pytest

from gpucheck import codec
from gpucheck.facts import Cloud, CloudEvent, CloudEvents
from gpucheck.host import CannotLook, Result
from gpucheck.probes import cloud, metadata, metadata_answers
from gpucheck.redaction import redact
from tests.probes import imds

AWS = {"sys_vendor": "Amazon EC2\n", "product_name": "p5.48xlarge\n"}
GCP = {"sys_vendor": "Google\n", "product_name": "Google Compute Engine\n"}
AZURE = {
    "sys_vendor": "Microsoft Corporation\n",
    "product_name": "Virtual Machine\n",
    "chassis_asset_tag": f"{cloud.AZURE_TAG}\n",
}
LAPTOP = {"sys_vendor": "LENOVO\n", "product_name": "21HQCTO1WW\n", "chassis_asset_tag": "ACME-004711\n"}
HYPER_V = {**AZURE, "chassis_asset_tag": "2477-1094-4317-3520-6461-5434-05\n"}
# AWS before Nitro.
XEN = {"sys_vendor": "Xen\n", "product_name": "HVM domU\n"}


def dmi(fields: dict[str, str]) -> dict[str, str]:
    return {f"{cloud.DMI}/{name}": text for name, text in fields.items()}


def told(answer: Cloud | CloudEvents | str, code: int = 0, err: str = "") -> Result:
    text = answer if isinstance(answer, str) else json.dumps(codec.dump(answer))
    return Result(code=code, out=f"{text}\n", err=err)


PLACES = [
    (AWS, Cloud(provider="aws", instance_type="p5.48xlarge", region="us-east-1", zone="us-east-1a", spot=True)),
    (GCP, Cloud(provider="gcp", instance_type="a3-highgpu-8g", region="us-central1", zone="us-central1-a", spot=False)),
    (AZURE, Cloud(provider="azure", instance_type="Standard_ND96isr_H100_v5", region="eastus", zone=None, spot=True)),
]
RECLAIM = CloudEvents(events=(CloudEvent(kind="reclaim", when="2026-11-26T12:02:00Z", says="terminate"),))
GARBAGE = (
    "",
    "{",
    "[]",
    "null",
    "p5.48xlarge",
    "[" * 100_000,
    '{"provider": 5}',
    '{"events": [{}]}',
    "\x00\ufffd" * 1000,
)


@pytest.mark.parametrize("fields", [{}, LAPTOP, HYPER_V, XEN, {"product_name": "\x00\xff" * 1000}])
def test_no_cloud_is_asked_where_none_is_named(machine: Callable[..., Any], fields: dict[str, str]) -> None:
    host = machine(dmi(fields))
    assert cloud.probe(host) == Cloud(provider=None, instance_type=None)
    assert cloud.probe_events(host) == CloudEvents(events=())
    assert host.asked == []


@pytest.mark.parametrize(("fields", "place"), PLACES)
def test_the_metadata_service_is_asked(machine: Callable[..., Any], fields: dict[str, str], place: Cloud) -> None:
    runs = {
        (*cloud.ASK, place.provider, "place"): told(place),
        (*cloud.ASK, place.provider, "events"): told(RECLAIM),
    }
    host = machine(dmi(fields), runs)
    assert cloud.probe(host) == place
    assert cloud.probe_events(host) == RECLAIM
    assert host.asked == list(runs)


@pytest.mark.parametrize(("fields", "place"), PLACES)
def test_an_answer_that_is_none(machine: Callable[..., Any], fields: dict[str, str], place: Cloud) -> None:
    by_dmi = place.instance_type if fields is AWS else None
    failures = (told("", 1, "ValueError: x\n"), CannotLook("it did not answer within 2 s"))
    for answer in (*map(told, GARBAGE), *failures):
        host = machine(dmi(fields), {(*cloud.ASK, place.provider, what): answer for what in ("place", "events")})
        found = cloud.probe(host)
        assert (found.provider, found.instance_type, found.spot) == (place.provider, by_dmi, None)
        assert found.untold
        with pytest.raises(CannotLook):
            cloud.probe_events(host)


def test_the_firmware_of_aws_names_the_type_where_the_service_is_silent(machine: Callable[..., Any]) -> None:
    silent = Cloud(provider="aws", instance_type=None, untold="the metadata service did not answer within 0.3 s")
    host = machine(dmi(AWS), {(*cloud.ASK, "aws", "place"): told(silent)})
    assert cloud.probe(host) == replace(silent, instance_type="p5.48xlarge")
    host = machine(dmi({**AWS, "product_name": "Not Specified\n"}), {(*cloud.ASK, "aws", "place"): told(PLACES[0][1])})
    assert cloud.probe(host) == PLACES[0][1]


@pytest.mark.parametrize("fields", [AWS, GCP, AZURE, LAPTOP, HYPER_V, XEN])
def test_what_is_kept_says_the_same(fields: dict[str, str]) -> None:
    names = ("sys_vendor", "product_name", "chassis_asset_tag")
    full = {name: fields.get(name, "") for name in names}
    kept = {name: cloud.kept(text) for name, text in full.items()}
    assert cloud.parse(**kept) == cloud.parse(**full)
    assert "ACME" not in "".join(kept.values())


def test_what_is_kept_of_an_answer_says_the_same() -> None:
    for place in (place for _, place in PLACES):
        text = told(place).out
        assert cloud.parse_place(told(cloud.kept_answer(text))) == place
    assert cloud.parse_events(told(cloud.kept_answer(told(RECLAIM).out))) == RECLAIM
    assert {cloud.kept_answer(text) for text in (*GARBAGE, "account 123456789012")} == {""}


def test_a_recording_for_others_has_no_more_than_that() -> None:
    argv = [*cloud.ASK, "aws", "place"]
    asset = {f"{cloud.DMI}/chassis_asset_tag": {"text": "ACME-004711\n"}}
    for text, kept in ((told(PLACES[0][1]).out, told(PLACES[0][1]).out), ("account 123456789012\n", "")):
        runs = [{"argv": argv, "code": 0, "out": text, "err": "acme.example: no\n"}]
        redacted = redact({"schema": 1, "runs": runs, "files": asset})
        assert redacted["runs"][0]["out"] == kept
        assert "acme" not in json.dumps(redacted).lower()


# --- the program ---


class Asked(NamedTuple):
    told: dict[str, Any]
    seen: list[str]

    @property
    def events(self) -> list[tuple[str, str | None, str]]:
        return [(event["kind"], event["when"], event["says"]) for event in self.told["events"]]


@pytest.fixture
def ask(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Asked]:
    """A function (cloud, what, changes of its answers): the program's main(), whose service is on this machine."""

    def asked(provider: str, what: str, changes: imds.Answers | None = None) -> Asked:
        with imds.serving(provider, changes or {}, ("127.0.0.1", 0)) as (address, seen):
            monkeypatch.setattr(metadata, "ADDRESS", address)
            monkeypatch.setattr(sys, "argv", ["metadata", provider, what])
            metadata.main()
        out = capsys.readouterr().out
        assert [secret for secret in imds.SECRETS if secret in out] == []
        codec.load(CloudEvents if what == "events" else Cloud, json.loads(out))
        return Asked(json.loads(out), seen)

    return asked


@pytest.fixture(autouse=True)
def alarm() -> Iterator[None]:
    """As it was before the program's."""
    before = signal.getsignal(signal.SIGALRM)
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    signal.signal(signal.SIGALRM, before)


def place(instance_type: str, region: str, zone: str | None, spot: bool) -> dict[str, Any]:
    return {"instance_type": instance_type, "region": region, "zone": zone, "spot": spot, "untold": None}


QUIET = {
    "aws": place("p5.48xlarge", "us-east-1", "us-east-1a", False),
    "gcp": place("a3-highgpu-8g", "us-central1", "us-central1-a", False),
    "azure": place("Standard_NC40ads_H100_v5", "eastus", "2", False),
}
SPOT_TOLD: list[tuple[str, imds.Answers]] = [
    ("aws", {f"{imds.AWS}/instance-life-cycle": (200, "spot")}),
    ("gcp", {f"{imds.GCP}/scheduling/preemptible": (200, "TRUE")}),
    ("gcp", {f"{imds.GCP}/scheduling/provisioning-model": (200, "SPOT")}),
    ("azure", {imds.AZURE_COMPUTE: (200, json.dumps(imds.SPOT))}),
]


@pytest.mark.parametrize("provider", QUIET)
def test_where_it_is(ask: Callable[..., Asked], provider: str) -> None:
    assert ask(provider, "place").told == {"provider": provider, **QUIET[provider]}


@pytest.mark.parametrize(("provider", "changes"), SPOT_TOLD)
def test_a_spot_machine(ask: Callable[..., Asked], provider: str, changes: imds.Answers) -> None:
    assert ask(provider, "place", changes).told == {"provider": provider, **QUIET[provider], "spot": True}


def scheduled(*events: Any) -> imds.Answers:
    return {f"{imds.AWS}/events/maintenance/scheduled": (200, json.dumps(events))}


def planned(code: Any, state: str = "active", when: Any = "21 Jan 2027 09:00:43 GMT") -> dict[str, Any]:
    return {
        "NotBefore": when, "Code": code, "Description": "hunter2", "EventId": "instance-event-0d59937288b749b32",
        "NotAfter": "21 Jan 2027 09:17:23 GMT", "State": state,
    }  # fmt: skip


def upcoming(document: Any) -> imds.Answers:
    return {f"{imds.GCP}/upcoming-maintenance?alt=json": (200, json.dumps(document))}


def azure(*events: Any) -> imds.Answers:
    told = {"DocumentIncarnation": 7, "Events": events}
    return {imds.AZURE_COMPUTE: (200, json.dumps(imds.SPOT)), imds.AZURE_EVENTS: (200, json.dumps(told))}


WINDOW = {
    "can_reschedule": "true", "latest_window_start_time": "2026-12-01T19:00:01Z", "maintenance_status": "PENDING",
    "maintenance_reasons": ["PLANNED_UPDATE"], "type": "SCHEDULED", "window_end_time": "2026-12-01T21:00:01Z",
    "window_start_time": "2026-12-01T19:00:01Z",
}  # fmt: skip
AT_NINE, AT_TWELVE = "2027-01-21T09:00:43Z", "2026-11-26T12:00:30Z"
ANNOUNCED: list[tuple[str, imds.Answers, list[tuple[str, str | None, str]]]] = [
    ("aws", {}, []),
    (
        "aws",
        {f"{imds.AWS}/spot/instance-action": (200, '{"action": "terminate", "time": "2026-11-26T12:02:00Z"}')},
        [("reclaim", "2026-11-26T12:02:00Z", "terminate")],
    ),
    ("aws", {f"{imds.AWS}/spot/instance-action": (200, '{"action": "hibernate"}')}, [("reclaim", None, "hibernate")]),
    (
        "aws",
        {f"{imds.AWS}/events/recommendations/rebalance": (200, '{"noticeTime": "2026-11-26T12:00:00Z"}')},
        [("risk", None, "rebalance recommendation")],
    ),
    ("aws", scheduled(planned("system-reboot")), [("reboot", AT_NINE, "system-reboot")]),
    ("aws", scheduled(planned("instance-retirement")), [("stop", AT_NINE, "instance-retirement")]),
    ("aws", scheduled(planned("something-new", when="soon")), [("stop", None, "something-new")]),
    ("aws", scheduled(planned("system-reboot", state="completed"), "x", 5), []),
    ("aws", scheduled(planned(["hunter2"])), [("stop", AT_NINE, "no word for it")]),
    ("gcp", {}, []),
    ("gcp", {f"{imds.GCP}/upcoming-maintenance?alt=json": (404, "Not Found")}, []),
    ("gcp", upcoming({}), []),
    ("gcp", upcoming("NONE"), []),
    ("gcp", {f"{imds.GCP}/preempted": (200, "TRUE")}, [("reclaim", None, "preempted")]),
    (
        "gcp",
        {f"{imds.GCP}/maintenance-event": (200, "TERMINATE_ON_HOST_MAINTENANCE")},
        [("stop", None, "TERMINATE_ON_HOST_MAINTENANCE")],
    ),
    (
        "gcp",
        {f"{imds.GCP}/maintenance-event": (200, "MIGRATE_ON_HOST_MAINTENANCE")},
        [("pause", None, "MIGRATE_ON_HOST_MAINTENANCE")],
    ),
    ("gcp", upcoming(WINDOW), [("stop", "2026-12-01T19:00:01Z", "SCHEDULED maintenance")]),
    ("gcp", upcoming({"Upcoming maintenance": WINDOW}), [("stop", "2026-12-01T19:00:01Z", "SCHEDULED maintenance")]),
    ("gcp", upcoming({**WINDOW, "maintenance_status": "COMPLETE"}), []),
    ("azure", azure(), []),
    ("azure", azure(imds.azure_event("Preempt")), [("reclaim", AT_TWELVE, "Preempt")]),
    ("azure", azure(imds.azure_event("Redeploy", "")), [("stop", None, "Redeploy")]),
    ("azure", azure(imds.azure_event("Freeze")), [("pause", AT_TWELVE, "Freeze")]),
    ("azure", azure(imds.azure_event("Preempt", AT_TWELVE, "another", "a-third")), []),
]


@pytest.mark.parametrize(("provider", "changes", "events"), ANNOUNCED)
def test_what_is_announced(
    ask: Callable[..., Asked], provider: str, changes: imds.Answers, events: list[tuple[str, str | None, str]]
) -> None:
    asked = ask(provider, "events", changes)
    assert asked.events == events
    assert asked.told["untold"] is None


def test_azure_is_asked_for_events_on_spot_machines_alone(ask: Callable[..., Asked]) -> None:
    """For a day after the question a restart by the portal waits: scylladb/scylla-cluster-tests issue 5608."""
    asked = ask("azure", "events")
    assert "spot" in asked.told["untold"]
    assert asked.seen == [f"GET {imds.AZURE_COMPUTE}"]


BROKEN: list[tuple[str, str, imds.Answers, str]] = [
    ("aws", "place", {"/latest/api/token": (403, "Forbidden")}, "answers 403"),
    ("aws", "events", {"/latest/api/token": (403, "Forbidden")}, "answers 403"),
    ("aws", "place", {"/latest/api/token": (200, "a b\r\nX: y")}, "not of its form"),
    ("aws", "place", {"/latest/api/token": (imds.SILENT, "")}, "hop limit"),
    ("aws", "events", {"/latest/api/token": (imds.SILENT, "")}, "hop limit"),
    ("aws", "place", {f"{imds.AWS}/placement/region": (imds.TRICKLE, "")}, "did not answer within"),
    ("aws", "place", {f"{imds.AWS}/placement/region": (200, "<html>i-0abc</html>")}, "not of its form"),
    ("aws", "place", {f"{imds.AWS}/placement/region": (404, "")}, "answers 404"),
    ("aws", "events", {f"{imds.AWS}/spot/instance-action": (500, "")}, "answers 500"),
    ("aws", "events", {f"{imds.AWS}/spot/instance-action": (200, "soon")}, "not JSON"),
    ("aws", "events", {f"{imds.AWS}/events/maintenance/scheduled": (200, "{}")}, "not of its form"),
    ("aws", "events", {f"{imds.AWS}/events/maintenance/scheduled": (200, "[" * 100_000)}, "not JSON"),
    ("gcp", "place", {f"{imds.GCP}/zone": (imds.SILENT, "")}, "did not answer within"),
    ("gcp", "events", {f"{imds.GCP}/maintenance-event": (404, "")}, "answers 404"),
    ("gcp", "events", {f"{imds.GCP}/upcoming-maintenance?alt=json": (503, "overloaded")}, "answers 503"),
    ("azure", "place", {imds.AZURE_COMPUTE: (200, json.dumps(imds.COMPUTE)[:-1])}, "not JSON"),
    ("azure", "place", {imds.AZURE_COMPUTE: (429, "")}, "answers 429"),
    ("azure", "events", {**azure(), imds.AZURE_EVENTS: (imds.SILENT, "")}, "two minutes"),
    ("azure", "events", {**azure(), imds.AZURE_EVENTS: (200, '{"Events": null}')}, "not of its form"),
]


@pytest.mark.parametrize(("provider", "what", "changes", "why"), BROKEN)
def test_what_is_not_told_is_said(
    ask: Callable[..., Asked], provider: str, what: str, changes: imds.Answers, why: str
) -> None:
    asked = ask(provider, what, changes)
    assert why in asked.told["untold"]
    assert not asked.told.get("events")


def test_one_answer_that_fails_hides_no_other(ask: Callable[..., Asked]) -> None:
    told = ask("aws", "place", {f"{imds.AWS}/placement/region": (500, "")}).told
    assert told["untold"]
    assert {**told, "untold": None} == {"provider": "aws", **QUIET["aws"], "region": None}
    soon = {f"{imds.AWS}/spot/instance-action": (200, '{"action": "stop", "time": "2026-11-26T12:02:00Z"}')}
    asked = ask("aws", "events", {**soon, f"{imds.AWS}/events/maintenance/scheduled": (imds.TRICKLE, "")})
    assert asked.events == [("reclaim", "2026-11-26T12:02:00Z", "stop")]
    assert asked.told["untold"]


def test_an_answer_that_is_not_googles(ask: Callable[..., Asked], monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy's, or a captive portal's."""
    monkeypatch.setattr(imds.Handler, "send_header", lambda *_: None)
    for what in ("place", "events"):
        asked = ask("gcp", what)
        assert "not Google's answer" in asked.told["untold"]
        assert not asked.told.get("events")


def test_nobody_there(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(metadata, "ADDRESS", "127.0.0.1:1")
    for provider, what in product(("aws", "gcp", "azure"), ("place", "events")):
        monkeypatch.setattr(sys, "argv", ["metadata", provider, what])
        metadata.main()
        assert "Connection refused" in json.loads(capsys.readouterr().out)["untold"]


@pytest.mark.parametrize(
    "text", ["", "soon", "x" * 10_000, "99999999999", "0001-01-01T00:00:00+14:00", "1 Foo", 5, None, []]
)
def test_a_time_that_is_none(text: Any) -> None:
    assert metadata_answers.moment(text) is None


# --- the program as it is, and its services where the clouds have them ---


def in_a_network_of_its_own(script: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """With 169.254.169.254 on its loopback, and nothing else."""
    command = ["unshare", "--net", "sh", "-c", f"ip link set lo up && {script}", "sh", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


ADDRESSED = "ip address add 169.254.169.254/32 dev lo"


@pytest.fixture(scope="module")
def network() -> None:
    if shutil.which("unshare") is None or shutil.which("ip") is None or in_a_network_of_its_own(ADDRESSED).returncode:
        pytest.skip("needs root, unshare and ip: nothing was asked at 169.254.169.254")


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize(
    ("provider", "what", "changes", "expected"),
    [
        *((provider, "place", {}, {"provider": provider, **QUIET[provider]}) for provider in QUIET),
        (
            "aws",
            "events",
            ANNOUNCED[1][1],
            {"events": [{"kind": "reclaim", "when": "2026-11-26T12:02:00Z", "says": "terminate"}], "untold": None},
        ),
        (
            "gcp",
            "events",
            upcoming(WINDOW),
            {
                "events": [{"kind": "stop", "when": "2026-12-01T19:00:01Z", "says": "SCHEDULED maintenance"}],
                "untold": None,
            },
        ),
        (
            "azure",
            "events",
            azure(imds.azure_event("Preempt")),
            {"events": [{"kind": "reclaim", "when": AT_TWELVE, "says": "Preempt"}], "untold": None},
        ),
    ],
)
def test_at_their_own_address(provider: str, what: str, changes: imds.Answers, expected: dict[str, Any]) -> None:
    script = f'{ADDRESSED} && exec "$@"'
    done = in_a_network_of_its_own(script, sys.executable, imds.__file__, provider, what, json.dumps(changes))
    assert done.returncode == 0, done.stderr
    asked = json.loads(done.stdout)
    assert (asked["code"], asked["err"], json.loads(asked["out"])) == (0, "", expected)
    if provider == "aws":
        assert asked["seen"][0] == "PUT /latest/api/token"


@pytest.mark.usefixtures("network")
@pytest.mark.parametrize("provider", QUIET)
def test_where_there_is_no_way_to_it(provider: str) -> None:
    done = in_a_network_of_its_own('exec "$@"', sys.executable, "-P", "-m", metadata.__name__, provider, "events")
    assert (done.returncode, done.stderr) == (0, "")
    assert "Network is unreachable" in json.loads(done.stdout)["untold"]
