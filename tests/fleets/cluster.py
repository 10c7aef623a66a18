"""A cluster of one HTTP service, as far as the engine asks it: paths, verbs and bodies as the API's reference has them.

What becomes of a node's pod follows from the node's name. There is no scheduler, no kubelet and no admission here.
https://kubernetes.io/docs/reference/kubernetes-api/
"""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from tests.fleets import patching
from tests.serving import Server, running

READY = {"type": "Ready", "status": "True"}
PATHS = (  # path, resource, namespaced
    (r"/api/v1/nodes(?:/(?P<name>[^/]+))?", "nodes"),
    (r"/api/v1/nodes/(?P<name>[^/]+)/status", "nodes/status"),
    (r"/api/v1/namespaces/(?P<ns>[^/]+)/pods(?:/(?P<name>[^/]+))?", "pods"),
    (r"/api/v1/namespaces/(?P<ns>[^/]+)/pods/(?P<name>[^/]+)/log", "pods/log"),
    (r"/api/v1/namespaces/(?P<ns>[^/]+)/events", "events"),
    (r"/api/v1/namespaces/(?P<ns>[^/]+)/services", "services"),
    (r"/apis/batch/v1/namespaces/(?P<ns>[^/]+)/jobs(?:/(?P<name>[^/]+))?", "jobs"),
)


def node(name: str, gpus: int = 8, labels: dict[str, str] | None = None, **spec: Any) -> dict[str, Any]:
    counted = {"cpu": "64", **({"nvidia.com/gpu": str(gpus)} if gpus else {})}
    status = {"conditions": [{"type": "MemoryPressure", "status": "False"}, READY],
              "capacity": counted, "allocatable": counted}  # fmt: skip
    about = {"name": name, "labels": labels or {}, "resourceVersion": "1"}
    return {"metadata": about, "spec": spec, "status": status}


def terminated(code: int, **more: str) -> dict[str, Any]:
    state = {"terminated": {"exitCode": code, "reason": "Completed" if code == 0 else "Error", **more}}
    return {"phase": "Failed" if code else "Succeeded", "containerStatuses": [{"name": "gpucheck", "state": state}]}


def starting(reason: str, message: str) -> dict[str, Any]:
    state = {"waiting": {"reason": reason, "message": message}}
    return {"phase": "Pending", "containerStatuses": [{"name": "gpucheck", "state": state}]}


class Fake(Server):
    def __init__(self, nodes: list[dict[str, Any]], statuses: dict[str, Any], logs: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.nodes = {each["metadata"]["name"]: each for each in nodes}
        self.statuses, self.logs = statuses, logs  # by node
        self.namespace = "gpucheck"
        self.jobs: dict[str, Any] = {}
        self.services: dict[str, Any] = {}
        self.made: list[str] = []
        self.asked: list[tuple[str, str]] = []  # verb, resource, as RBAC names them
        self.queries: list[tuple[str, str, dict[str, str]]] = []
        self.refuse: dict[tuple[str, ...], tuple[int, str]] = {}  # verb and resource, or these and a name
        self.meanwhile: dict[str, Callable[[dict[str, Any]], object]] = {}  # by node: what befalls it before a patch
        self.drop: dict[tuple[str, str], str] = {}  # resource and name of a patch: the connection ends before or after
        self.looks = 0  # at the pods, once there are Jobs

    def of(self, job: dict[str, Any]) -> str:
        needed = job["spec"]["template"]["spec"]["affinity"]["nodeAffinity"]
        (term,) = needed["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        (wanted,) = term["matchFields"]
        assert (wanted["key"], wanted["operator"]) == ("metadata.name", "In")
        (name,) = wanted["values"]
        return str(name)

    def pods(self) -> list[dict[str, Any]]:
        self.looks += bool(self.jobs)
        found = []
        for name, job in self.jobs.items():
            where = self.of(job)
            if where.startswith("refused") or (where.startswith(("gone", "evicted")) and self.looks > 1):
                if where.startswith("gone"):
                    self.nodes.pop(where, None)
                continue
            status = self.statuses.get(where) or terminated(0)
            placed = {} if "conditions" in status else {"nodeName": where}
            about = {"name": f"{name}-x", "labels": job["spec"]["template"]["metadata"]["labels"]}
            found.append({"metadata": about, "spec": placed, "status": status})
        return found


class Handler(BaseHTTPRequestHandler):
    server: Fake
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_: object) -> None:
        pass

    def do_GET(self) -> None:
        self._answer("get")

    def do_POST(self) -> None:
        self._answer("create")

    def do_PATCH(self) -> None:
        self._answer("patch")

    def do_DELETE(self) -> None:
        self._answer("delete")

    def _answer(self, verb: str) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        found = ((re.fullmatch(pattern, url.path), resource) for pattern, resource in PATHS)
        match, resource = next((each for each in found if each[0]), (None, ""))
        if match is None:
            return self._status(404, "the server could not find the requested resource")
        name, namespace = match["name"] if "name" in match.groupdict() else None, match.groupdict().get("ns")
        if name is None:
            verb = {"get": "list", "delete": "deletecollection"}.get(verb, verb)
        self.server.asked.append((verb, resource))
        self.server.queries.append((verb, resource, query))
        refuse = self.server.refuse
        if refused := refuse.get((verb, resource, str(name))) or refuse.get((verb, resource)):
            return self._status(*refused)
        if verb == "patch" and name is not None:
            return self._patch(resource, name, json.loads(body))
        if verb == "create" and namespace != self.server.namespace:
            return self._status(404, f'namespaces "{namespace}" not found')
        return self._good(verb, resource, name, query, body)

    def _patch(self, resource: str, name: str, patch: dict[str, Any]) -> None:
        fake, drop = self.server, self.server.drop.pop((resource, name), None)
        if name not in fake.nodes:
            return self._status(404, f'nodes "{name}" not found')
        if drop == "before":
            return self._hang_up()
        found = fake.nodes[name]
        if befalls := fake.meanwhile.pop(name, None):
            befalls(found)
            found["metadata"]["resourceVersion"] += "0"
        if refused := patching.refusal(found, resource, patch, str(self.headers["Content-Type"])):
            return self._status(*refused)
        fake.nodes[name] = patching.patched(found, resource, patch)
        return self._hang_up() if drop else self._send(fake.nodes[name])

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def _good(self, verb: str, resource: str, name: str | None, query: dict[str, str], body: bytes) -> None:
        fake = self.server
        match verb, resource:
            case "list", "nodes":
                wanted = dict(each.split("=") for each in query.get("labelSelector", "").split(",") if each)
                fit = [each for each in fake.nodes.values() if wanted.items() <= each["metadata"]["labels"].items()]
                first = int(query.get("continue", "0"))
                page = {"metadata": {"continue": str(first + 7)} if len(fit) > first + 7 else {}}
                return self._send({**page, "items": fit[first : first + 7]})  # a small page: there are more
            case "get", "nodes":
                return self._send(fake.nodes[name]) if name in fake.nodes else self._status(404, "not found")
            case "create", "jobs":
                job = json.loads(body)
                if fake.of(job).startswith("taken"):
                    return self._status(409, f'jobs.batch "{job["metadata"]["name"]}" already exists')
                job["metadata"]["uid"] = f"uid-{job['metadata']['name']}"
                fake.jobs[job["metadata"]["name"]] = job
                fake.made.append(fake.of(job))
                return self._send(job, 201)
            case "create", "services":
                service = json.loads(body)
                fake.services[service["metadata"]["name"]] = service
                return self._send(service, 201)
            case "deletecollection", "jobs":
                assert re.fullmatch("gpucheck-run=r[0-9a-f]{8}", query["labelSelector"])
                assert query["propagationPolicy"] == "Background"
                gone = {job["metadata"]["uid"] for job in fake.jobs.values()}
                fake.jobs.clear()
                for service in [*fake.services.values()]:  # as the garbage collector does
                    if {each["uid"] for each in service["metadata"]["ownerReferences"]} <= gone:
                        del fake.services[service["metadata"]["name"]]
                return self._send({"kind": "Status", "status": "Success"})
            case "list", "pods":
                return self._send({"metadata": {}, "items": fake.pods()})
            case "list", "events":
                of = query["fieldSelector"].removeprefix("involvedObject.name=")
                said = 'pods "x" is forbidden: exceeded quota' if of in fake.jobs else "Failed to pull image"
                return self._send({"metadata": {}, "items": [{"type": "Normal", "message": "no"},
                                                             {"type": "Warning", "message": said}]})  # fmt: skip
            case "get", "pods/log":
                where = fake.of(fake.jobs[str(name).removesuffix("-x")])
                if where.startswith("unreadable"):
                    return self._status(500, "Get kubelet: dial tcp 10.0.0.9:10250: connect: connection refused")
                log = fake.logs.get(where, fake.logs["good"])
                return self._raw(log[: int(query["limitBytes"])], "text/plain")
        raise AssertionError((verb, resource))

    def _status(self, code: int, message: str) -> None:
        self._send({"kind": "Status", "status": "Failure", "message": message, "code": code}, code)

    def _send(self, document: object, code: int = 200) -> None:
        self._raw(json.dumps(document).encode(), "application/json", code)

    def _raw(self, data: bytes, kind: str, code: int = 200) -> None:
        self.send_response(code)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)


@contextmanager
def started(fake: Fake) -> Iterator[Fake]:
    with running(fake):
        yield fake


def kubeconfig(folder: Path, port: int) -> Path:
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [{"name": "test", "cluster": {"server": f"http://127.0.0.1:{port}"}}],
        "users": [{"name": "test", "user": {}}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
    }  # fmt: skip
    file = folder / "kubeconfig"
    file.write_text(json.dumps(config))
    return file
