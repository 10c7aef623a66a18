"""A small Compute Engine: the calls that gpucheck makes, over HTTP, with the answers and errors in Google's own forms.

It is the unkind one of what is allowed: an operation takes a few looks, a firewall rule is in no list before it is
made, lists come in pages, and a body with a field that is not in the recorded schema is refused.
"""

from __future__ import annotations

import copy
import json
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import jsonschema
import pytest

from gpucheck.clouds import ENDPOINT
from tests.serving import Server, running

SCHEMAS = Path(__file__).parents[1] / "schemas"
ZONES = {
    "us-central1": ("us-central1-a", "us-central1-b", "us-central1-c", "us-central1-f"),
    "us-west1": ("us-west1-a", "us-west1-b"),
    "europe-west4": ("europe-west4-a", "europe-west4-b", "europe-west4-c"),
}
TYPES = {
    "n1-standard-4": (*ZONES["us-central1"], *ZONES["us-west1"], *ZONES["europe-west4"]),
    "n1-standard-8": (*ZONES["us-central1"], *ZONES["us-west1"], *ZONES["europe-west4"]),
    "g2-standard-4": ("us-central1-a", "us-central1-b", "us-central1-c", "us-west1-a"),
    "g2-standard-8": ("us-central1-a", "us-central1-b", "us-central1-c", "us-west1-a"),
    "a2-highgpu-1g": ("us-central1-a", "us-central1-c", "us-central1-f", "europe-west4-a"),
    "a3-highgpu-8g": ("us-central1-a", "us-central1-c"),
    "a3-ultragpu-8g": ("europe-west4-b",),
}
GPUS = {"nvidia-tesla-t4": ("us-central1-a", "us-central1-b", "us-central1-c", "us-central1-f", "us-west1-b")}
FAMILIES = {
    ("ubuntu-os-accelerator-images", f"ubuntu-accelerator-{version}-amd64-with-nvidia-{driver}")
    for version in ("2204", "2404")
    for driver in ("570", "580")
} | {
    ("deeplearning-platform-release", "common-cu129-ubuntu-2404-nvidia-580"),
    ("ubuntu-os-cloud", "ubuntu-2204-lts"),
    ("ubuntu-os-cloud", "ubuntu-2404-lts-amd64"),
    ("debian-cloud", "debian-12"),
    ("rocky-linux-cloud", "rocky-linux-9"),
}
MEGABYTE = 1 << 20


class Answer(Exception):
    """An HTTP error, as the API answers it."""

    def __init__(self, status: int, reason: str, message: str, details: list[dict[str, Any]] | None = None) -> None:
        super().__init__(message)
        error = {
            "code": status,
            "message": message,
            "errors": [{"message": message, "domain": "global", "reason": reason}],
        }
        self.status, self.body = status, {"error": error | ({"details": details} if details else {})}


@dataclass
class _Operation:
    body: dict[str, Any]
    looks: int
    since: float
    then: Callable[[dict[str, Any]], None]


@dataclass
class Emulator:
    """Knobs on top; then what there is. `calls` are (method, path) in their order, without the query."""

    address: str = ""
    project: str = "emulated"
    looks: int = 2  # at an operation, until it is done
    page: int = 2  # things on one page of a list
    stock_out: set[str] = field(default_factory=set)  # zones with nothing to be had
    quota: str | None = None  # a metric of which there is none
    silent: set[str] = field(default_factory=set)  # zones that do not answer
    network: bool = True
    api_off: bool = False
    signed_out: bool = False
    busy: list[int] = field(default_factory=list)  # statuses of the next answers, whatever is asked: [503, 429]
    families: set[tuple[str, str]] = field(default_factory=lambda: set(FAMILIES))
    images: dict[str, dict[str, Any]] = field(default_factory=dict)  # project/name -> more of its fields
    ahead: timedelta = timedelta()  # of the clock
    calls: list[tuple[str, str]] = field(default_factory=list)
    bodies: list[dict[str, Any]] = field(default_factory=list)
    consoles: dict[str, bytes] = field(default_factory=dict)
    things: dict[str, dict[str, Any]] = field(default_factory=dict)  # by path behind projects/P/
    hidden: set[str] = field(default_factory=set)
    operations: dict[str, _Operation] = field(default_factory=dict)
    requests: dict[str, str] = field(default_factory=dict)
    lock: Any = field(default_factory=threading.RLock)

    # --- what a test does ---

    def left(self) -> list[str]:
        """What is there, and what will be in a moment."""
        with self.lock:
            for each in list(self.operations.values()):
                self._end(each)
            return sorted(self.things)

    def set_console(self, name: str, text: str | bytes) -> None:
        self.consoles[f"gpucheck-{name}"] = text if isinstance(text, bytes) else text.encode()

    def preempt(self, name: str) -> None:
        """Takes a spot instance away: it is deleted, or stopped, as it was asked for when it was made."""
        path, instance = self._named(name)
        self._own(path, instance, "preempted", "Instance was preempted.")
        if instance["scheduling"].get("instanceTerminationAction") == "DELETE":
            self._gone(path)
        else:
            instance["status"] = "TERMINATED"

    def shut_down(self, name: str) -> None:
        """From the inside: Compute Engine keeps what is stopped, and its disk."""
        path, instance = self._named(name)
        self._own(path, instance, "guestTerminate", "Instance terminated by guest OS shutdown.")
        instance["status"] = "TERMINATED"

    def pass_time(self, seconds: float) -> None:
        with self.lock:
            self.ahead += timedelta(seconds=seconds)
            self._expire()

    def add(self, path: str, **fields: Any) -> None:
        """A thing that an earlier run left, or somebody else's: add("zones/us-west1-a/disks/x", labels={...})."""
        with self.lock:
            self._put(path, {"name": path.rpartition("/")[2], **fields})

    # --- what the API does ---

    def answer(self, method: str, path: str, query: Mapping[str, str], body: dict[str, Any]) -> dict[str, Any]:
        with self.lock:
            self.calls.append((method, path))
            self.bodies.append(body)
            if self.busy:
                status = self.busy.pop(0)
                raise Answer(status, "rateLimitExceeded" if status == 429 else "backendError", "Try again later.")
            if self.signed_out:
                raise Answer(401, "authError", "Request had invalid authentication credentials.")
            if self.api_off:
                message = f"Compute Engine API has not been used in project {self.project} before or it is disabled."
                kind = "type.googleapis.com/google.rpc.ErrorInfo"
                raise Answer(
                    403, "accessNotConfigured", message,
                    [{"@type": kind, "reason": "SERVICE_DISABLED", "domain": "googleapis.com"}],
                )  # fmt: skip
            for each in list(self.operations.values()):
                if time.monotonic() - each.since > 0.5:
                    self._end(each)
            self._expire()
            found = re.fullmatch(r"/compute/v1/projects/([^/]+)/(.+)", path)
            if not found:
                raise Answer(404, "notFound", f"no {path}")
            return self._routed(method, found[1], found[2], query, body)

    def _routed(
        self, method: str, project: str, path: str, query: Mapping[str, str], body: dict[str, Any]
    ) -> dict[str, Any]:
        parts = path.split("/")
        if method == "GET" and parts[0] == "aggregated":
            return self._aggregated(parts[1], query)
        if method == "POST" and parts[-1] == "wait":
            return self._wait(parts[-2])
        if "images" in parts:
            return self._image(project, parts[2:], query)
        if method == "GET" and parts[-1] == "serialPort":
            return self._console(path.removesuffix("/serialPort"), int(query.get("start", 0)))
        if method == "GET" and parts[-1] in ("machineTypes", "firewalls", "regions"):
            return self._listed(path, query)
        if method == "POST" and parts[-1] in ("instances", "firewalls"):
            return self._insert(path, query, body)
        if method == "PUT" and parts[-2] == "firewalls":
            return self._update(path, body)
        if method == "GET":
            return self._get(path)
        if method == "DELETE":
            return self._delete(path)
        raise Answer(404, "notFound", f"no {method} {path}")

    def _get(self, path: str) -> dict[str, Any]:
        parts = path.split("/")
        if path == "global/networks/default" and self.network:
            return {"name": "default", "selfLink": self._link(path)}
        if parts[0] == "regions" and len(parts) == 2 and parts[1] in ZONES:
            return {
                "name": parts[1],
                "zones": [self._link(f"zones/{zone}") for zone in ZONES[parts[1]]],
                "status": "UP",
            }
        thing = self._thing(path)
        if thing.get("status") == "STAGING":
            thing["status"] = "RUNNING"
        return thing

    def _thing(self, path: str) -> dict[str, Any]:
        if path not in self.things or path in self.hidden:
            raise Answer(404, "notFound", f"The resource 'projects/{self.project}/{path}' was not found")
        return self.things[path]

    def _listed(self, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        parts = path.split("/")
        if path == "regions":
            items: list[dict[str, Any]] = [{"name": name} for name in ZONES]
        elif parts[-1] == "machineTypes":
            items = [{"name": name} for name, zones in TYPES.items() if parts[1] in zones]
        else:
            items = [each for at, each in self.things.items() if at.startswith(f"{path}/") and at not in self.hidden]
        items, more = self._paged([each for each in items if matches(each, query.get("filter"))], query)
        return {"items": items} | more

    def _aggregated(self, kind: str, query: Mapping[str, str]) -> dict[str, Any]:
        if kind in ("machineTypes", "acceleratorTypes"):
            offered = TYPES if kind == "machineTypes" else GPUS
            found = [
                (f"zones/{z}", {"name": n, "zone": self._link(f"zones/{z}")}) for n, at in offered.items() for z in at
            ]
        elif kind == "operations":
            found = [(_scope(each.body), each.body) for each in self.operations.values()]
        else:
            found = [
                (path.rpartition(f"/{kind}/")[0], each)
                for path, each in self.things.items() if f"/{kind}/" in path and path not in self.hidden
            ]  # fmt: skip
        lost = {f"zones/{zone}" for zone in self.silent}
        found = [(scope, each) for scope, each in found if scope not in lost and matches(each, query.get("filter"))]
        page, more = self._paged(found, query)
        scopes = [f"zones/{zone}" for zones in ZONES.values() for zone in zones]
        empty = {"warning": {"code": "NO_RESULTS_ON_PAGE", "message": "There are no results for scope on this page."}}
        items: dict[str, Any] = {scope: dict(empty) for scope in scopes if scope not in lost}
        for scope, each in page:
            items[scope] = {kind: [*items.get(scope, {}).get(kind, ()), each]}
            if kind == "instances" and each["status"] == "STAGING":
                each["status"] = "RUNNING"
        for scope in lost:
            items[scope] = {"warning": {"code": "UNREACHABLE", "message": f"{scope} is unavailable."}}
        return {"items": items, "unreachables": sorted(lost)} | more

    def _paged(self, items: list[Any], query: Mapping[str, str]) -> tuple[list[Any], dict[str, str]]:
        start = int(query.get("pageToken") or 0)
        end = start + self.page
        return items[start:end], {"nextPageToken": str(end)} if end < len(items) else {}

    def _image(self, project: str, parts: list[str], query: Mapping[str, str]) -> dict[str, Any]:
        """global/images, global/images/family/F or global/images/I: `parts` is what comes behind."""
        if not parts:
            named = re.search(r'family = "(.+)"', query.get("filter", ""))
            found = [each for each in self.images.values() if named and each.get("family") == named[1]]
            return {"items": found}
        if parts[0] == "family":
            if (project, parts[1]) in self.families:
                return {"name": f"{parts[1]}-v20261101", "family": parts[1], "status": "READY", "diskSizeGb": "10"}
        elif f"{project}/{parts[0]}" in self.images:
            return {"name": parts[0], "status": "READY", "diskSizeGb": "10", **self.images[f"{project}/{parts[0]}"]}
        path = f"projects/{project}/global/images/{'/'.join(parts)}"
        raise Answer(404, "notFound", f"The resource '{path}' was not found")

    def _insert(self, path: str, query: Mapping[str, str], body: dict[str, Any]) -> dict[str, Any]:
        made, again = f"{path}/{body.get('name')}", query.get("requestId")
        if again and again in self.requests:
            return self.operations[self.requests[again]].body
        kind = "Instance" if path.endswith("instances") else "Firewall"
        checked(kind, body)
        if made in self.things:
            raise Answer(409, "alreadyExists", f"The resource 'projects/{self.project}/{made}' already exists")
        if not self.network:
            gone = f"The resource 'projects/{self.project}/global/networks/default' was not found"
            raise Answer(404, "notFound", gone)
        begin = self._instance if kind == "Instance" else self._firewall
        begun = self._begin("insert", made, begin(path, made, body))
        if again:
            self.requests[again] = begun["name"]
        return begun

    def _firewall(self, path: str, made: str, body: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
        del path
        self._put(made, body)
        self.hidden.add(made)
        return lambda _: self.hidden.discard(made)

    def _instance(self, path: str, made: str, body: dict[str, Any]) -> Callable[[dict[str, Any]], None]:
        zone = path.split("/")[1]
        kind = body["machineType"].rpartition("/")[2]
        if zone not in TYPES.get(kind, ()):
            gone = f"The resource 'projects/{self.project}/zones/{zone}/machineTypes/{kind}' was not found"
            raise Answer(404, "notFound", gone)
        boot = f"zones/{zone}/disks/{body['name']}"
        self._put(boot, {"name": body["name"], "labels": body["disks"][0]["initializeParams"].get("labels", {})})
        self._put(made, {**body, "status": "PROVISIONING", "creationTimestamp": self._now().isoformat()})

        def then(operation: dict[str, Any]) -> None:
            no = self._no(kind, zone, body)
            if no:
                operation.update(no)
                self._gone(made)
            elif made in self.things:
                self.things[made]["status"] = "STAGING"
                self.things[made]["networkInterfaces"][0]["accessConfigs"][0]["natIP"] = "203.0.113.9"

        return then

    def _no(self, kind: str, zone: str, body: dict[str, Any]) -> dict[str, Any] | None:
        if self.quota:
            where = "globally" if self.quota == "GPUS_ALL_REGIONS" else f"in region {zone.rpartition('-')[0]}"
            message = f"Quota '{self.quota}' exceeded.  Limit: 0.0 {where}."
            error = {"code": "QUOTA_EXCEEDED", "message": message}
            return {"error": {"errors": [error]}, "httpErrorStatusCode": 403, "httpErrorMessage": "FORBIDDEN"}
        if zone in self.stock_out:
            message = (
                f"The zone 'projects/{self.project}/zones/{zone}' does not have enough resources available to fulfill "
                "the request.  '(resource type:compute)'."
            )
            free = ",".join(each for each in TYPES[kind] if each not in self.stock_out)
            info = {
                "reason": "resource_availability", "domain": "compute.googleapis.com",
                "metadatas": {"vmType": kind, "zone": zone, "zonesAvailable": free},
            }  # fmt: skip
            code = "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS"
            error = {"code": code, "message": message, "errorDetails": [{"errorInfo": info}]}  # type: ignore[dict-item]
            return {"error": {"errors": [error]}, "httpErrorStatusCode": 503, "httpErrorMessage": "SERVICE UNAVAILABLE"}
        del body
        return None

    def _update(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        checked("Firewall", body)
        self._thing(path)
        return self._begin("update", path, lambda _: self._put(path, body))

    def _delete(self, path: str) -> dict[str, Any]:
        thing = self._thing(path)
        target = thing["selfLink"]
        if any(
            each.body["targetLink"] == target and each.body["status"] != "DONE" for each in self.operations.values()
        ):
            message = f"The resource 'projects/{self.project}/{path}' is not ready"
            raise Answer(400, "resourceNotReady", message)
        if "/instances/" in path:
            thing["status"] = "STOPPING"
        return self._begin("delete", path, lambda _: self._gone(path))

    def _wait(self, name: str) -> dict[str, Any]:
        if name not in self.operations:
            raise Answer(404, "notFound", f"The resource 'projects/{self.project}/operations/{name}' was not found")
        operation = self.operations[name]
        operation.looks -= 1
        if operation.looks <= 0:
            self._end(operation)
        return operation.body

    def _console(self, path: str, start: int) -> dict[str, Any]:
        instance = self._thing(path)
        if instance["status"] != "RUNNING":
            message = f"The resource 'projects/{self.project}/{path}' is not ready"
            raise Answer(400, "resourceNotReady", message)
        whole = self.consoles.get(instance["name"], b"")
        start = max(start, len(whole) - MEGABYTE)
        contents = whole[start:].decode(errors="replace")
        return {"contents": contents, "start": str(start), "next": str(len(whole))}

    # --- how it is kept ---

    def _begin(self, kind: str, path: str, then: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
        scope, target = path.split("/")[:2], self.things[path]
        where = {scope[0].rstrip("s"): self._link("/".join(scope))} if scope[0] != "global" else {}
        body = {
            "name": f"operation-{uuid.uuid4().hex}", "operationType": kind, "status": "RUNNING",
            "targetLink": target["selfLink"], "targetId": target["id"], "insertTime": self._now().isoformat(), **where,
        }  # fmt: skip
        self.operations[body["name"]] = _Operation(body, self.looks, time.monotonic(), then)
        return body

    def _end(self, operation: _Operation) -> None:
        if operation.body["status"] != "DONE":
            operation.body["status"] = "DONE"
            operation.then(operation.body)

    def _own(self, path: str, instance: dict[str, Any], kind: str, message: str) -> None:
        with self.lock:
            body = self._begin(f"compute.instances.{kind}", path, lambda _: None)
            body.update(status="DONE", statusMessage=message)
            del instance

    def _put(self, path: str, body: dict[str, Any]) -> None:
        parts = path.split("/")
        where = {parts[0].rstrip("s"): self._link("/".join(parts[:2]))} if parts[0] != "global" else {}
        number = self.things.get(path, {}).get("id") or str(uuid.uuid4().int % 10**18)
        self.things[path] = {**copy.deepcopy(body), "id": number, "selfLink": self._link(path), **where}

    def _gone(self, path: str) -> None:
        self.things.pop(path, None)
        if "/instances/" in path:  # its boot disk was made with autoDelete
            self.things.pop(path.replace("/instances/", "/disks/"), None)

    def _expire(self) -> None:
        for path, each in list(self.things.items()):
            lives = each.get("scheduling", {}).get("maxRunDuration", {}).get("seconds")
            born = each.get("creationTimestamp")
            if not (lives and born and each["status"] == "RUNNING"):
                continue  # what is stopped has no end any more
            if self._now() >= datetime.fromisoformat(born) + timedelta(seconds=int(lives)):
                self._gone(path)

    def _named(self, name: str) -> tuple[str, dict[str, Any]]:
        return next((path, each) for path, each in self.things.items() if path.endswith(f"/instances/gpucheck-{name}"))

    def _link(self, path: str) -> str:
        return f"https://www.googleapis.com/compute/v1/projects/{self.project}/{path}"

    def _now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


def _scope(body: Mapping[str, Any]) -> str:
    where = body.get("zone") or body.get("region")
    return "/".join(str(where).split("/")[-2:]) if where else "global"


def checked(kind: str, body: dict[str, Any]) -> None:
    """Raises what Compute Engine answers to a field that it does not know, or a value that it does not take."""
    schema = json.loads((SCHEMAS / f"gcp_{kind}.json").read_text())
    try:
        jsonschema.validate(body, schema)
    except jsonschema.ValidationError as error:
        raise Answer(400, "invalid", f"Invalid value for field {error.json_path}: {error.message}") from error


def matches(thing: Mapping[str, Any], filter: str | None) -> bool:
    """The few forms of a filter that are sent; any other is refused, as a mistyped one is."""
    if not filter:
        return True
    if found := re.fullmatch(r"labels\.([a-z-]+):\*", filter):
        return found[1] in thing.get("labels", {})
    if found := re.fullmatch(r"labels\.([a-z-]+) = ([a-z0-9_-]+)", filter):
        return bool(thing.get("labels", {}).get(found[1]) == found[2])
    if found := re.fullmatch(r'(\w+) eq "([^"]+)"', filter):
        return re.fullmatch(found[2], str(thing.get(found[1], ""))) is not None
    if found := re.fullmatch(r'(\w+) (=|!=) (?:"([^"]+)"|(\w+))', filter):
        return (str(thing.get(found[1], "")) == (found[3] or found[4])) is (found[2] == "=")
    raise Answer(400, "invalid", f"Invalid value for field 'filter': '{filter}'. Invalid list filter expression.")


class _Handler(BaseHTTPRequestHandler):
    emulator: Emulator

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self) -> None:
        split = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(split.query).items()}
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        status = 200
        try:
            body = self.emulator.answer(self.command, split.path, query, json.loads(data) if data else {})
        except Answer as error:
            status, body = error.status, error.body
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = _answer  # noqa: N815 - http.server's names


@contextmanager
def emulator() -> Iterator[Emulator]:
    made = Emulator()
    with running(Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"emulator": made}))) as server:
        made.address = server.address
        yield made


@pytest.fixture
def gcp_emulator(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    """An empty project behind GPUCHECK_CLOUD_ENDPOINT."""
    with emulator() as made:
        monkeypatch.setenv(ENDPOINT, made.address)
        monkeypatch.delenv("GOOGLE_CLOUD_PROJECT", raising=False)
        yield made
