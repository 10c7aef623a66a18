"""A metadata service as AWS, GCP and Azure have it, at any address: it refuses whoever does not ask in the right way.

The answers have the formats of docs.aws.amazon.com (instance metadata), aws/aws-node-termination-handler (ec2metadata),
docs.cloud.google.com (compute/docs/metadata, compute/docs/instances/monitor-plan-host-maintenance-event; the 503 of
GoogleCloudPlatform/sapagent, metadataserver) and learn.microsoft.com (instance-metadata-service, scheduled-events).
They are full of names that nobody is told: SECRETS.

As a program it serves one cloud at 169.254.169.254, asks the real program, and prints both sides:
    python tests/probes/imds.py aws place ['{"/latest/...": [404, ""]}']
"""

from __future__ import annotations

import http.server
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

Answers = Mapping[str, tuple[int, str]]
SECRETS = (
    "123456789012",
    "i-0abc",
    "instance-event-0d59",
    "02aab8a4",
    "xxxx-sub",
    "acme-gpu-7",
    "ssh-rsa",
    "hunter2",
    "TOKEN==",
)
AWS, GCP = "/latest/meta-data", "/computeMetadata/v1/instance"
AZURE_COMPUTE = "/metadata/instance/compute?api-version=2021-08-01"
AZURE_EVENTS = "/metadata/scheduledevents?api-version=2020-07-01"
SILENT = 0  # a status: nothing is answered at all
TRICKLE = 1  # a status: some bytes now and then, for ever
GONE = suppress(BrokenPipeError, ConnectionResetError)  # whoever asked

COMPUTE = {
    "evictionPolicy": "", "location": "eastus", "name": "acme-gpu-7", "osProfile": {"adminUsername": "acme-gpu-7"},
    "priority": "Regular", "publicKeys": [{"keyData": "ssh-rsa 0", "path": "/home/acme-gpu-7/.ssh/authorized_keys"}],
    "resourceGroupName": "acme-gpu-7", "subscriptionId": "xxxx-sub", "userData": "hunter2" * 9000,
    "vmId": "02aab8a4-74ef-476e-8182-f6d2ba4166a6", "vmSize": "Standard_NC40ads_H100_v5", "zone": "2",
}  # fmt: skip
SPOT = {**COMPUTE, "evictionPolicy": "Deallocate", "priority": "Spot"}
QUIET: dict[str, Answers] = {
    "aws": {
        f"{AWS}/instance-type": (200, "p5.48xlarge"), f"{AWS}/placement/region": (200, "us-east-1"),
        f"{AWS}/placement/availability-zone": (200, "us-east-1a"), f"{AWS}/instance-life-cycle": (200, "on-demand"),
        f"{AWS}/instance-id": (200, "i-0abc"), f"{AWS}/events/maintenance/scheduled": (200, "[]"),
    },
    "gcp": {
        f"{GCP}/machine-type": (200, "projects/123456789012/machineTypes/a3-highgpu-8g"),
        f"{GCP}/zone": (200, "projects/123456789012/zones/us-central1-a"),
        f"{GCP}/scheduling/preemptible": (200, "FALSE"), f"{GCP}/preempted": (200, "FALSE"),
        f"{GCP}/maintenance-event": (200, "NONE"),
        f"{GCP}/upcoming-maintenance?alt=json": (
            503, '{ "error": "no notifications have been received yet, try again later" }'
        ),
    },
    "azure": {
        AZURE_COMPUTE: (200, json.dumps(COMPUTE)),
        AZURE_EVENTS: (200, json.dumps({"DocumentIncarnation": 1, "Events": []})),
    },
}  # fmt: skip


def azure_event(kind: str, not_before: str = "Thu, 26 Nov 2026 12:00:30 GMT", *names: str) -> dict[str, Any]:
    return {
        "EventId": "02aab8a4-74ef-476e-8182-f6d2ba4166a6", "EventStatus": "Scheduled" if not_before else "Started",
        "EventType": kind, "ResourceType": "VirtualMachine", "Resources": names or ["ACME-gpu-7"],
        "NotBefore": not_before, "Description": "hunter2", "EventSource": "Platform", "DurationInSeconds": -1,
    }  # fmt: skip


class Handler(http.server.BaseHTTPRequestHandler):
    cloud: str
    answers: Answers
    seen: list[str]
    over: threading.Event

    def do_GET(self) -> None:
        self.seen.append(f"{self.command} {self.path}")
        refused = {
            "aws": (401, "Unauthorized") if self.headers["X-aws-ec2-metadata-token"] != "TOKEN==" else None,
            "gcp": (403, "Missing Metadata-Flavor:Google") if self.headers["Metadata-Flavor"] != "Google" else None,
            "azure": (400, "Bad Request") if self.headers["Metadata"] != "true" else None,
        }[self.cloud]
        self.answer(*(refused or self.answers.get(self.path) or (404, "Not Found")))

    def do_PUT(self) -> None:
        self.seen.append(f"{self.command} {self.path}")
        asked = self.cloud == "aws" and self.path == "/latest/api/token"
        seconds = self.headers["X-aws-ec2-metadata-token-ttl-seconds"]
        good = asked and seconds is not None and 1 <= int(seconds) <= 21600
        self.answer(*self.answers.get(self.path, (200, "TOKEN==") if good else (400, "Bad Request")))

    def answer(self, status: int, text: str) -> None:
        if status in (SILENT, TRICKLE):
            with GONE:
                while not self.over.wait(0.05):
                    self.wfile.write(b"HTTP/1.1 " if status == TRICKLE else b"")
            return
        self.send_response(status)
        if self.cloud == "gcp" and status == 200:
            self.send_header("Metadata-Flavor", "Google")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        with GONE:
            self.wfile.write(text.encode())

    def version_string(self) -> str:
        return {"aws": "EC2ws", "gcp": "Metadata Server for VM", "azure": "IMDS/150.870.65.1854"}[self.cloud]

    def log_message(self, *_: Any) -> None: ...


@contextmanager
def serving(cloud: str, changes: Answers, address: tuple[str, int]) -> Iterator[tuple[str, list[str]]]:
    """Where it is, and what it was asked."""
    seen: list[str] = []
    answers = {**QUIET[cloud], **changes}
    handler: type[Handler] = type(
        "Serving", (Handler,), {"cloud": cloud, "answers": answers, "seen": seen, "over": threading.Event()}
    )
    with http.server.ThreadingHTTPServer(address, handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"{address[0]}:{server.server_port}", seen
        handler.over.set()
        server.shutdown()


def main() -> None:
    cloud, what, *changes = sys.argv[1:]
    answers = {path: (status, text) for path, (status, text) in json.loads("".join(changes) or "{}").items()}
    with serving(cloud, answers, ("169.254.169.254", 80)) as (_, seen):
        command = [sys.executable, "-P", "-m", "gpucheck.probes.metadata", cloud, what]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    print(json.dumps({"code": done.returncode, "out": done.stdout, "err": done.stderr, "seen": seen}))  # noqa: T201


if __name__ == "__main__":
    main()
