"""What a run asks of a cluster, by the official client: plain JSON comes back, and each refusal is one sentence."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any

import yaml
from kubernetes import client, config
from kubernetes.client.exceptions import ApiException
from urllib3.exceptions import HTTPError

from gpucheck.fleets.kubernetes_manifests import CONTAINER, RUN
from gpucheck.fleets.runs import printable
from gpucheck.model import Failure

SECONDS = (5, 15)  # to connect, and for the next bytes
PAGE = 500  # objects of one answer
AT_A_TIME = 16  # questions: a kubelet that hangs holds up no other's log
FORBIDDEN = re.compile(r'User "([^"]*)" cannot (\w+) resource "([^"]*)"')
CONFIGURED = "KUBECONFIG=FILE names one; `kubectl config get-contexts` shows what is in it"


class Refused(Failure):
    """The cluster said no, or nothing. `status` is HTTP's; 0 where no answer came."""

    def __init__(self, status: int, sentence: str, tip: str) -> None:
        super().__init__(sentence, tip)
        self.status = status


class Cluster:
    """Of one namespace and one run."""

    def __init__(self, context: str | None, namespace: str, run: str) -> None:
        self.namespace, self.run = namespace, run
        api = _connected(context)
        self.server = api.configuration.host
        self._core, self._batch = client.CoreV1Api(api), client.BatchV1Api(api)

    def nodes(self, selector: str | None) -> list[dict[str, Any]]:
        return self._listed(self._core.list_node, **({"label_selector": selector} if selector else {}))

    def has_node(self, name: str) -> bool:
        try:
            self._asked(self._core.read_node, name)
        except Refused as refusal:
            if refusal.status == 404:
                return False
            raise
        return True

    def node(self, name: str) -> dict[str, Any]:
        return self._json(self._core.read_node, name)

    def patch_node(self, name: str, patch: Mapping[str, Any]) -> None:
        """RFC 7396: a list takes the place of the one that is there."""
        self._asked(self._core.patch_node, name, patch, _content_type="application/merge-patch+json")

    def patch_node_status(self, name: str, patch: Mapping[str, Any]) -> None:
        """Strategic: of the conditions only those are touched that are named by their type."""
        self._asked(self._core.patch_node_status, name, patch, _content_type="application/strategic-merge-patch+json")

    def create(self, job: Mapping[str, Any]) -> str:
        """Its UID."""
        made = self._json(self._batch.create_namespaced_job, self.namespace, job)
        return str((made.get("metadata") or {}).get("uid") or "")

    def create_service(self, service: Mapping[str, Any]) -> None:
        self._asked(self._core.create_namespaced_service, self.namespace, service)

    def pods(self) -> list[dict[str, Any]]:
        return self._listed(self._core.list_namespaced_pod, self.namespace, label_selector=f"{RUN}={self.run}")

    def events(self, of: str) -> list[dict[str, Any]]:
        """The oldest first."""
        selector = f"involvedObject.name={of}"
        return self._listed(self._core.list_namespaced_event, self.namespace, field_selector=selector)

    def log(self, pod: str, most: int) -> bytes:
        """At most `most` bytes, from its beginning."""
        return self._asked(
            self._core.read_namespaced_pod_log, pod, self.namespace, most=most, container=CONTAINER, limit_bytes=most
        )

    def end(self) -> None:
        """All Jobs of this run, and their pods."""
        self._asked(
            self._batch.delete_collection_namespaced_job, self.namespace,
            label_selector=f"{RUN}={self.run}", propagation_policy="Background",
        )  # fmt: skip

    def _listed(self, verb: Callable[..., Any], *words: str, **more: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = []
        page: dict[str, Any] = {}
        while True:
            answer = self._json(verb, *words, limit=PAGE, **more, **page)
            found += [each for each in answer.get("items") or () if isinstance(each, dict)]
            onward = (answer.get("metadata") or {}).get("continue")
            if not onward:
                return found
            page = {"_continue": onward}

    def _json(self, verb: Callable[..., Any], *words: object, **more: Any) -> dict[str, Any]:
        try:
            answer = json.loads(self._asked(verb, *words, **more))
        except ValueError as error:
            raise Refused(0, f"{self.server} does not answer in JSON: it is no API server", CONFIGURED) from error
        return answer if isinstance(answer, dict) else {}

    def _asked(self, verb: Callable[..., Any], *words: object, most: int | None = None, **more: object) -> bytes:
        try:
            response = verb(*words, _preload_content=False, _request_timeout=SECONDS, **more)
            try:
                data: bytes = response.read(most)
                status, reason = int(response.status), str(response.reason)
            finally:
                response.close()
        except ApiException as error:
            raise self._refused(int(error.status or 0), str(error.reason), error.body or "") from error
        except (HTTPError, OSError) as error:
            raise self._silent(error) from error
        if not 200 <= status <= 299:
            raise self._refused(status, reason, data)
        return data

    def _refused(self, status: int, reason: str, body: str | bytes) -> Refused:
        try:
            said = str(json.loads(body)["message"])
        except (ValueError, KeyError, TypeError):
            said = reason
        if status == 401:
            tip = "`kubectl auth whoami`; log in again"
            return Refused(status, f"{self.server} does not know who we are: {printable(said)}", tip)
        if status == 403 and (told := FORBIDDEN.search(said)):
            who, what, resource = map(printable, told.groups())
            tip = "`gpucheck fleet run --engine kubernetes --render …` prints a Role with what a run needs"
            return Refused(status, f"{who} may not {what} {resource} there: {printable(said)}", tip)
        if status == 404 and f'namespaces "{self.namespace}" not found' in said:
            tip = f"`kubectl create namespace {self.namespace}`, or -O namespace=NAME"
            return Refused(status, f"there is no namespace {self.namespace!r} on {self.server}", tip)
        return Refused(status, f"the cluster refused: {printable(said)} ({status})", f"asked was {self.server}")

    def _silent(self, error: Exception) -> Refused:
        why = printable(str(getattr(error, "reason", None) or error).rpartition(">: ")[2])
        return Refused(
            0, f"no answer from the API server {self.server}: {why}", "`kubectl cluster-info`; " + CONFIGURED
        )


def _connected(context: str | None) -> client.ApiClient:
    found = client.Configuration()
    try:
        if context is None and not _has_file() and "KUBERNETES_SERVICE_HOST" in os.environ:
            config.load_incluster_config(client_configuration=found)  # type: ignore[no-untyped-call]
        else:
            file = os.environ.get("KUBECONFIG") or None  # the client has read it when it was imported
            config.load_kube_config(file, context, found)  # type: ignore[no-untyped-call]
    except config.ConfigException as error:
        if not _has_file():
            raise Failure("there is no kubeconfig here", CONFIGURED) from error
        raise Failure(f"the kubeconfig cannot be used: {printable(str(error))}", CONFIGURED) from error
    except (
        OSError,
        yaml.YAMLError,
        ValueError,
        TypeError,
        AttributeError,
        KeyError,
    ) as error:  # what a torn one makes of the client
        raise Failure(f"the kubeconfig cannot be used: {printable(str(error))}", CONFIGURED) from error
    found.retries = 0  # each question is asked again where that helps; and urllib3 tells its own retries on stderr
    found.connection_pool_maxsize = AT_A_TIME
    return client.ApiClient(found)


def _has_file() -> bool:
    named = os.environ.get("KUBECONFIG") or os.path.expanduser("~/.kube/config")
    return any(os.path.exists(each) for each in named.split(os.pathsep))
