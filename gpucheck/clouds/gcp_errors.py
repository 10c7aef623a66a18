"""A no of Compute Engine in one sentence: its HTTP errors, the errors of its operations, and those of signing in."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

from gpucheck.clouds.orders import Reason, Refused
from gpucheck.lines import one_line

STOCK = {
    "ZONE_RESOURCE_POOL_EXHAUSTED", "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "REGION_RESOURCE_POOL_EXHAUSTED",
    "RESOURCE_POOL_EXHAUSTED", "STOCKOUT", "GPU_STOCKOUT", "insufficientCapacity", "UNSUPPORTED_OPERATION",
}  # fmt: skip
QUOTA = {"QUOTA_EXCEEDED", "quotaExceeded"}
RATE = {
    "rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED", "resourceNotReady", "RESOURCE_NOT_READY",
    "RESOURCE_OPERATION_RATE_EXCEEDED",
}  # fmt: skip
API_OFF = {"accessNotConfigured", "SERVICE_DISABLED"}
EXISTS = {"alreadyExists", "RESOURCE_ALREADY_EXISTS"}
BILLING = {"billingNotEnabled", "BILLING_DISABLED"}
KINDS: Mapping[str, tuple[Reason, str]] = {
    "networks": ("network", "`gcloud compute networks create default`: gpucheck uses the default network"),
    "images": ("image", "another --image; `gcloud compute images list` has what there is"),
    "machineTypes": ("type", "another --type; `gpucheck cloud offers --cloud gcp` has some"),
    "acceleratorTypes": ("type", "another --region has that GPU; `gpucheck cloud offers --cloud gcp`"),
    "zones": ("region", "another --region; `gcloud compute regions list` has them"),
    "regions": ("region", "another --region; `gcloud compute regions list` has them"),
    "projects": ("credentials", "`gcloud config set project PROJECT`, or GOOGLE_CLOUD_PROJECT, names yours"),
}
SIGN_IN = "`gcloud auth application-default login`, or a service account's key in GOOGLE_APPLICATION_CREDENTIALS"
SKEW = re.compile(r"short-lived token|reasonable timeframe|\biat\b|used too early|before issued", re.I)
SPENT = re.compile(r"Quota '([^']+)' exceeded\.\s+Limit: ([\d.]+) (globally|in region [\w-]+)")
MISSING = re.compile(r"The resource '([^']+)' was not found")
LONGEST = 400  # characters of what a cloud says


def classes() -> tuple[type[Exception], ...]:
    """All that a call of the SDK raises."""
    api: Any = importlib.import_module("google.api_core.exceptions")
    auth: Any = importlib.import_module("google.auth.exceptions")
    http: Any = importlib.import_module("requests.exceptions")
    forms: Any = importlib.import_module("google.protobuf.json_format")  # of what is no JSON: a proxy's page, say
    return api.GoogleAPIError, auth.GoogleAuthError, http.RequestException, forms.ParseError


def again(error: BaseException) -> bool:
    """Whether the same request may well be answered in a moment: 429, 5xx and a line that was cut."""
    api: Any = importlib.import_module("google.api_core.exceptions")
    auth: Any = importlib.import_module("google.auth.exceptions")
    http: Any = importlib.import_module("requests.exceptions")
    if isinstance(error, api.GoogleAPICallError):
        codes = _codes(error)
        busy = error.code == 429 or (error.code or 0) >= 500
        return bool(codes & RATE) or (busy and not codes & (STOCK | QUOTA))
    return isinstance(error, auth.TransportError | http.ConnectionError | http.Timeout)


def refused(error: Exception, what: str) -> Refused:
    """`what` was asked for: "to make the instance"."""
    api: Any = importlib.import_module("google.api_core.exceptions")
    auth: Any = importlib.import_module("google.auth.exceptions")
    if isinstance(error, api.RetryError) and isinstance(error.cause, Exception):
        error = error.cause
    if isinstance(error, api.GoogleAPICallError):
        message = re.sub(r"^[A-Z]+ https?://\S+: ", "", error.message or "")
        return _refused(_codes(error), message, error.code, what, error.metadata or {})
    if isinstance(error, auth.TransportError) or not isinstance(error, auth.GoogleAuthError):
        return Refused(
            "busy", f"Google Cloud does not answer when asked {what}: {one_line(str(error), LONGEST)}", "try again"
        )
    if SKEW.search(str(error)):
        return Refused(
            "clock", f"Google takes no token of this machine's time: {one_line(str(error), LONGEST)}",
            "set the clock: `timedatectl set-ntp true`",
        )  # fmt: skip
    return Refused("credentials", f"Google does not know who asks {what}: {one_line(str(error), LONGEST)}", SIGN_IN)


def of_operation(operation: Any, what: str) -> Refused:
    """An operation that ended badly."""
    codes = {each.code for each in operation.error.errors}
    message = "; ".join(each.message for each in operation.error.errors) or operation.http_error_message
    metadata: dict[str, str] = {}
    for each in operation.error.errors:
        for detail in each.error_details:
            metadata.update(detail.error_info.metadatas)
    return _refused(codes, message, operation.http_error_status_code, what, metadata)


def _codes(error: Any) -> set[str]:
    """The words for machines in an error: those of the old form (`errors`) and of the new (`details`)."""
    words: Iterable[Any] = (each.get("reason") for each in error.errors if isinstance(each, Mapping))
    return {str(word) for word in (*words, error.reason) if word}


def _refused(codes: set[str], message: str, status: int | None, what: str, metadata: Mapping[str, str]) -> Refused:
    code = ", ".join(sorted(codes)) or f"HTTP {status}"
    sentence = f"Google Cloud refused {what}: {one_line(message, LONGEST)} ({code})"
    if codes & QUOTA:
        return _quota(message, sentence, what, code)
    if codes & STOCK:
        has = metadata.get("zonesAvailable")
        return Refused("stock", sentence, f"there is some in {has}" if has else "another zone, another type, or later")
    if codes & API_OFF:
        return Refused(
            "permission", f"the Compute Engine API is off in this project: {one_line(message, LONGEST)} ({code})",
            "`gcloud services enable compute.googleapis.com`, and wait a few minutes",
        )  # fmt: skip
    if codes & BILLING:
        return Refused("permission", sentence, "`gcloud billing projects link` gives the project a billing account")
    if codes & EXISTS or status == 409:
        return Refused("name", sentence, "another --name, or `gpucheck cloud destroy gcp NAME`")
    if codes & RATE or status == 429 or (status or 0) >= 500:
        return Refused("busy", sentence, "try again in a minute")
    if status == 401:
        return Refused("credentials", sentence, SIGN_IN)
    if status == 403:
        return Refused(
            "permission", sentence, "roles/compute.instanceAdmin.v1 and roles/compute.securityAdmin allow it"
        )
    if missing := MISSING.search(message):
        parts = missing[1].strip("/").split("/")
        kind = KINDS.get(parts[-2] if len(parts) > 1 else "")
        if "family" in parts:
            kind = KINDS["images"]
        if kind:
            return Refused(kind[0], sentence, kind[1])
    return Refused("refused", sentence, "what it says is what there is to change")


def _quota(message: str, sentence: str, what: str, code: str) -> Refused:
    """The quota by its metric and region, as the page on which more is asked for has it."""
    page = "https://console.cloud.google.com/iam-admin/quotas"
    found = SPENT.search(message)
    if not found:
        return Refused("quota", sentence, f"ask for more on {page}")
    metric, limit, where = found.groups()
    other = "" if metric == "GPUS_ALL_REGIONS" else " (GPUS_ALL_REGIONS must allow it too), or another --region"
    return Refused(
        "quota", f"Google Cloud refused {what}: the project's quota {metric} is {float(limit):g} {where} ({code})",
        f"ask for more of {metric} on {page}{other}",
    )  # fmt: skip
