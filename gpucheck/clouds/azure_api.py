"""The calls of Azure Resource Manager: signed in, tried again where it is busy, waited for, and read to the last page.

The SDK is reached as Any: its types are 90,000 lines, which no type checker should have to read for our few fields.
"""

from __future__ import annotations

import importlib
import logging
import os
import weakref
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, build_opener

from gpucheck.clouds import azure_errors
from gpucheck.clouds.azure_errors import refusals
from gpucheck.clouds.orders import Refused

ARM = "https://management.azure.com"
POLL = 3.0  # seconds between two looks at an operation for which Azure names no time
RETRIES = 6  # of 429s, 5xx and cut lines, with pauses that double: about 50 s in all
SUBSCRIPTIONS_API = "2022-12-01"
COMPUTE, NETWORK, RESOURCES = "azure.mgmt.compute", "azure.mgmt.network", "azure.mgmt.resource.resources"
CLIENTS = {
    COMPUTE: "ComputeManagementClient",
    NETWORK: "NetworkManagementClient",
    RESOURCES: "ResourceManagementClient",
}
HOMES = {
    "resource_skus": COMPUTE, "virtual_machine_images": COMPUTE, "virtual_machines": COMPUTE, "disks": COMPUTE,
    "network_interfaces": NETWORK, "network_security_groups": NETWORK, "public_ip_addresses": NETWORK,
    "virtual_networks": NETWORK, "resource_groups": RESOURCES, "resources": RESOURCES,
}  # fmt: skip
BLOBS = (".blob.core.windows.net", ".blob.storage.azure.net", ".blob.core.usgovcloudapi.net",
         ".blob.core.chinacloudapi.cn")  # fmt: skip
LONGEST = 64 << 20  # bytes of a console


class Api:
    """One subscription of Azure."""

    def __init__(self, address: str | None) -> None:
        """Raises Refused where nobody is signed in, or it is not clear for which subscription."""
        for module in (*CLIENTS, "azure.identity"):  # missing: ModuleNotFoundError, before anything else can be
            importlib.import_module(module)
        logging.getLogger("azure").addHandler(logging.NullHandler())  # what it warns of is told by its errors too
        self._address = address
        self._clients: dict[str, Any] = {}
        self._more: dict[str, Any] = {"retry_total": RETRIES, "polling_interval": POLL}
        if address:
            self._credential: Any = _Nobody()
            no_token = importlib.import_module("azure.core.pipeline.policies").SansIOHTTPPolicy()
            self._more = {
                "retry_total": 4, "retry_backoff_factor": 0.01, "retry_backoff_max": 1, "polling_interval": 0.01,
                "authentication_policy": no_token, "base_url": address, "use_env_settings": False,
            }  # fmt: skip
        else:
            self._credential = importlib.import_module("azure.identity").DefaultAzureCredential()
        self.subscription = os.environ.get("AZURE_SUBSCRIPTION_ID") or self._only_subscription()

    def call(self, what: str, operation: str, *names: Any, **more: Any) -> Any:
        """`operation`: "virtual_machines.begin_create_or_update"; one that begins is waited for. Raises Refused."""
        with refusals(what):
            answer = self._method(operation)(*names, **more)
            return answer.result() if ".begin_" in operation else answer

    def begun(self, what: str, operation: str, *names: Any, **more: Any) -> Any:
        """The same without the wait; finish() waits."""
        with refusals(what):
            return self._method(operation)(*names, **more)

    def finish(self, what: str, begun: Any) -> None:
        with refusals(what):
            begun.result()

    def found(self, what: str, operation: str, *names: Any, **more: Any) -> Any:
        """The same; None where there is no such thing."""
        missing: Any = importlib.import_module("azure.core.exceptions").ResourceNotFoundError
        with refusals(what):
            try:
                return self._method(operation)(*names, **more)
            except missing:
                return None

    def listed(self, what: str, operation: str, *names: Any, **more: Any) -> list[Any]:
        """To the last page; nothing where what should hold it is not there."""
        missing: Any = importlib.import_module("azure.core.exceptions").ResourceNotFoundError
        with refusals(what):
            try:
                return list(self._method(operation)(*names, **more))
            except missing:
                return []

    def get(self, what: str, path: str) -> list[dict[str, Any]]:
        """`value` of a GET for which none of our clients has a method, through the SDK's own pipeline."""
        policies: Any = importlib.import_module("azure.core.pipeline.policies")
        core: Any = importlib.import_module("azure.core")
        rest: Any = importlib.import_module("azure.core.rest")
        token = self._more.get("authentication_policy") or policies.BearerTokenCredentialPolicy(
            self._credential, f"{ARM}/.default"
        )
        url = f"{self._address or ARM}{path}?api-version={SUBSCRIPTIONS_API}"
        pipeline = (policies.RetryPolicy(**self._more), token)
        with refusals(what), core.PipelineClient(ARM, policies=pipeline, use_env_settings=not self._address) as client:
            answer = client.send_request(rest.HttpRequest("GET", url, headers={"Accept": "application/json"}))
            answer.raise_for_status()
            return list(answer.json().get("value", ()))

    def blob(self, address: str) -> str:
        """A text that Azure named the address of: over TLS, from its own storage. Raises Refused."""
        split, own = urlsplit(address), urlsplit(self._address or "")
        host = split.hostname or ""
        if not (split.scheme == "https" and host.endswith(BLOBS)) and not (own.netloc and split.netloc == own.netloc):
            raise Refused(
                "refused", f"a console at {split.scheme}://{host} is not Azure's own", "`az vm boot-diagnostics`"
            )
        opener = build_opener(_Nowhere, *([ProxyHandler({})] if self._address else []))
        try:
            with opener.open(address, timeout=60) as answer:
                return str(answer.read(LONGEST).decode("utf-8", "replace")).replace("\0", "")
        except HTTPError as error:
            error.close()
            raise Refused("busy", f"the console at {host} cannot be read: HTTP {error.code}", "try again") from None
        except (URLError, OSError, HTTPException) as error:  # the address holds a signature: it is in no message
            raise Refused(
                "busy", f"the console at {host} cannot be read: {type(error).__name__}", "try again"
            ) from None

    def _method(self, operation: str) -> Any:
        service, _, method = operation.partition(".")
        home = HOMES[service]
        if home not in self._clients:
            client = getattr(importlib.import_module(home), CLIENTS[home])
            self._clients[home] = client(self._credential, self.subscription, **self._more)
            weakref.finalize(self, self._clients[home].close)
        return getattr(getattr(self._clients[home], service), method)

    def _only_subscription(self) -> str:
        listed = self.get("for the subscriptions", "/subscriptions")
        enabled = {each["subscriptionId"]: each.get("displayName", "") for each in listed if each["state"] == "Enabled"}
        if len(enabled) == 1:
            return str(next(iter(enabled)))
        names = ", ".join(f"{id} ({name})" for id, name in sorted(enabled.items()))
        raise Refused(
            "credentials",
            f"the credentials see {len(enabled)} subscriptions: {names}" if enabled else "they see no subscription",
            azure_errors.WHICH,
        )


class _Nobody:
    """An emulator asks for no token."""

    def get_token(self, *_: str, **__: Any) -> Any:
        return importlib.import_module("azure.core.credentials").AccessToken("none", 1 << 33)


class _Nowhere(HTTPRedirectHandler):
    """A console is where Azure says, and nowhere else."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None
