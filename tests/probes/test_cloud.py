"""The cloud by DMI, and its metadata service.

DMI as cloud-init knows it (github.com/canonical/cloud-init, tools/ds-identify); the services' answers as
docs.cloud.google.com/compute/docs/metadata and learn.microsoft.com (azure, instance-metadata-service) say.
"""

from __future__ import annotations

import http.server
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from gpucheck.facts import Cloud
from gpucheck.host import CannotLook, Result
from gpucheck.probes import cloud, metadata

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


def told(code: int, out: str, err: str = "") -> Result:
    return Result(code=code, out=out, err=err)


def nowhere() -> Cloud:
    return Cloud(provider=None, instance_type=None)


def test_aws_writes_the_type_into_the_firmware(machine: Callable[..., Any]) -> None:
    host = machine(dmi(AWS))
    assert cloud.probe(host) == Cloud(provider="aws", instance_type="p5.48xlarge")
    assert host.asked == []


@pytest.mark.parametrize("fields", [{}, LAPTOP, HYPER_V, XEN, {"product_name": "\x00\xff" * 1000}])
def test_no_cloud_is_asked_where_none_is_named(machine: Callable[..., Any], fields: dict[str, str]) -> None:
    host = machine(dmi(fields))
    assert cloud.probe(host) == nowhere()
    assert host.asked == []


@pytest.mark.parametrize(
    ("fields", "provider", "answer"),
    [(GCP, "gcp", "a3-highgpu-8g"), (AZURE, "azure", "Standard_ND96isr_H100_v5")],
)
def test_the_metadata_service_is_asked(
    machine: Callable[..., Any], fields: dict[str, str], provider: str, answer: str
) -> None:
    asked = (*cloud.ASK, provider)
    found = cloud.probe(machine(dmi(fields), {asked: told(0, f"{answer}\n")}))
    assert found == Cloud(provider=provider, instance_type=answer)
    for silence in (told(1, "", "metadata.google.internal: timed out\n"), told(0, "<html>a b</html>"), CannotLook("x")):
        found = cloud.probe(machine(dmi(fields), {asked: silence}))
        assert (found.provider, found.instance_type) == (provider, None)
        assert found.untold


def test_aws_without_a_type(machine: Callable[..., Any]) -> None:
    found = cloud.probe(machine(dmi({**AWS, "product_name": "Not Specified\n"})))
    assert (found.provider, found.instance_type) == ("aws", None)
    assert found.untold


@pytest.mark.parametrize("fields", [AWS, GCP, AZURE, LAPTOP, HYPER_V, XEN])
def test_what_is_kept_says_the_same(fields: dict[str, str]) -> None:
    names = ("sys_vendor", "product_name", "chassis_asset_tag")
    full = {name: fields.get(name, "") for name in names}
    kept = {name: cloud.kept(text) for name, text in full.items()}
    assert cloud.parse(**kept) == cloud.parse(**full)
    assert "ACME" not in "".join(kept.values())


# --- the program ---


class Service(http.server.BaseHTTPRequestHandler):
    """GCP's: it refuses whoever does not say the header."""

    def do_GET(self) -> None:
        good = self.headers["Metadata-Flavor"] == "Google" and self.path == "/computeMetadata/v1/instance/machine-type"
        self.send_response(200 if good else 403)
        self.end_headers()
        self.wfile.write(b"projects/123456789012/machineTypes/a3-highgpu-8g" if good else b"no")

    def log_message(self, *_: Any) -> None: ...


@pytest.fixture
def service() -> Iterator[str]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Service) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()


def ask(monkeypatch: pytest.MonkeyPatch, host: str, headers: dict[str, str]) -> None:
    path = metadata.SERVICES["gcp"][1]
    monkeypatch.setitem(metadata.SERVICES, "gcp", (host, path, headers))
    monkeypatch.setattr(sys, "argv", ["metadata", "gcp"])
    metadata.main()


def test_the_projects_number_is_left_out(
    service: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ask(monkeypatch, service, metadata.SERVICES["gcp"][2])
    assert capsys.readouterr().out == "a3-highgpu-8g\n"


def test_a_refusal_is_said(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="answers 403"):
        ask(monkeypatch, service, {})


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit, match="refused"):
        ask(monkeypatch, "127.0.0.1:1", {})


def test_the_program_runs_by_its_name() -> None:
    code = f"import sys; sys.argv = ['metadata', 'gcp']; import {metadata.__name__} as m; print(sorted(m.SERVICES))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "['azure', 'gcp']\n"
