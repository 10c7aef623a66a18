"""The calls of Compute Engine: signed in, tried again where it is busy, waited for, and read to the last page.

The SDK is reached as Any: its types are 160,000 lines, which no type checker should have to read for our few fields.
"""

from __future__ import annotations

import importlib
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gpucheck.clouds import gcp_errors
from gpucheck.clouds.orders import Refused

PATIENCE = 45.0  # seconds of 429s, 5xx and cut lines before a cloud counts as busy
LONGEST = 900.0  # seconds that an operation may take: the deletion of a GPU instance takes minutes
ANSWER = 150.0  # seconds for one answer: `wait` is answered within two minutes
CLIENTS = {
    "accelerator_types": "AcceleratorTypesClient",
    "addresses": "AddressesClient",
    "disks": "DisksClient",
    "firewalls": "FirewallsClient",
    "global_operations": "GlobalOperationsClient",
    "images": "ImagesClient",
    "instances": "InstancesClient",
    "machine_types": "MachineTypesClient",
    "networks": "NetworksClient",
    "region_operations": "RegionOperationsClient",
    "regions": "RegionsClient",
    "zone_operations": "ZoneOperationsClient",
}


def last(path: str) -> str:
    """projects/p/zones/us-central1-a -> us-central1-a"""
    return path.rstrip("/").rpartition("/")[2]


def region_of(zone: str) -> str:
    """us-central1-a -> us-central1"""
    return zone.rpartition("-")[0]


def sdk() -> Any:
    return importlib.import_module("google.cloud.compute_v1")


class Api:
    """One project's Compute Engine."""

    def __init__(self, address: str | None) -> None:
        """Raises Refused where nobody is signed in, or no project is named."""
        sdk()  # missing: ModuleNotFoundError, before anything else can be
        self._address = address
        self._clients: dict[str, Any] = {}
        if address:
            self._credentials = _anonymous()
            self.project = os.environ.get("GOOGLE_CLOUD_PROJECT") or "emulated"
        else:
            self._credentials, self.project = _signed_in()
        retrying: Any = importlib.import_module("google.api_core.retry")
        first, longest, patience = (0.02, 0.2, 1.5) if address else (1.0, 15.0, PATIENCE)
        self._retry = retrying.Retry(
            predicate=gcp_errors.again, initial=first, maximum=longest, multiplier=2.0, timeout=patience
        )

    def call(self, service: str, method: str, what: str, *, patient: bool = True, **fields: Any) -> Any:
        """`fields`: of the SDK's request; one that it does not have is a ValueError. Raises Refused."""
        with _asking(what):
            return getattr(self._client(service), method)(
                request={"project": self.project, **fields}, retry=self._retry if patient else None, timeout=ANSWER
            )

    def found(self, service: str, method: str, what: str, **fields: Any) -> Any:
        """The same; None where there is no such thing."""
        missing: type[Exception] = importlib.import_module("google.api_core.exceptions").NotFound
        try:
            return self.call(service, method, what, **fields)
        except Refused as refused:
            if isinstance(refused.__cause__, missing):
                return None
            raise

    def everywhere(self, service: str, what: str, filter: str) -> tuple[list[Any], list[str]]:
        """All that the filter lets through, in all zones and regions; and those which did not answer."""
        field = "operations" if service.endswith("_operations") else service
        found: list[Any] = []
        silent: set[str] = set()
        pager = self.call(service, "aggregated_list", what, filter=filter, **_partial(service))
        with _asking(what):
            for page in pager.pages:
                silent.update(last(scope) for scope in page.unreachables)
                for scope, there in page.items.items():
                    found += getattr(there, field)
                    if there.warning.code == "UNREACHABLE":
                        silent.add(last(scope))
        return found, sorted(silent)

    def listed(self, service: str, what: str, **fields: Any) -> list[Any]:
        pager = self.call(service, "list", what, **fields)
        with _asking(what):
            return list(pager)

    def finish(self, operation: Any, what: str) -> None:
        """Waits for an operation. Raises Refused where it ended badly.

        The SDK's own waiting asks at Google's address even where the client was made for another one.
        """
        until = time.monotonic() + LONGEST
        while operation.status != sdk().Operation.Status.DONE:
            if time.monotonic() > until:
                raise Refused("busy", f"Google Cloud took over {LONGEST:.0f} s {what}", "`gpucheck cloud list gcp`")
            where: dict[str, Any] = {"zone": last(operation.zone)} if operation.zone else {}
            if operation.region and not operation.zone:
                where = {"region": last(operation.region)}
            service = f"{next(iter(where), 'global')}_operations"
            operation = self.call(service, "wait", what, operation=operation.name, **where)
            time.sleep(0.02 if self._address else 0.5)
        if operation.error.errors or operation.http_error_status_code:
            raise gcp_errors.of_operation(operation, what)

    def _client(self, service: str) -> Any:
        if service not in self._clients:
            options = importlib.import_module("google.api_core.client_options").ClientOptions
            self._clients[service] = getattr(sdk(), CLIENTS[service])(
                credentials=self._credentials, client_options=options(api_endpoint=self._address)
            )
        return self._clients[service]


def _partial(service: str) -> dict[str, bool]:
    """That some of the answer is better than none: said to the API's versions that have to be told."""
    kind = f"AggregatedList{CLIENTS[service].removesuffix('Client')}Request"
    return {"return_partial_success": True} if "return_partial_success" in getattr(sdk(), kind).meta.fields else {}


@contextmanager
def _asking(what: str) -> Iterator[None]:
    try:
        yield
    except gcp_errors.classes() as error:
        raise gcp_errors.refused(error, what) from error


def _anonymous() -> Any:
    return importlib.import_module("google.auth.credentials").AnonymousCredentials()


def _signed_in() -> tuple[Any, str]:
    """By the SDK's own chain: the environment, gcloud's file, the metadata service. Raises Refused."""
    auth: Any = importlib.import_module("google.auth")
    with _asking("to sign in"), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # it says of everyone's own account that it has no quota project
        credentials, project = auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    if not project:
        raise Refused(
            "credentials",
            "no Google Cloud project is named",
            "`gcloud config set project PROJECT`, or GOOGLE_CLOUD_PROJECT",
        )
    return credentials, str(project)
