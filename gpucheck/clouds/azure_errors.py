"""A no of Azure in one sentence: the errors of ARM, those of its long-running operations, and those of signing in."""

from __future__ import annotations

import importlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gpucheck.clouds.orders import Reason, Refused
from gpucheck.lines import one_line

OFFERS = "`gpucheck cloud offers --cloud azure` has others"
SIGN_IN = "`az login`, or AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET of a service principal"
WHICH = "`az account list --refresh -o table` has them; AZURE_SUBSCRIPTION_ID names one"
LOCATION = "`az account list-locations -o table` has the names; " + OFFERS
IMAGE = "PUBLISHER:OFFER:SKU:VERSION; `az vm image list --all --publisher PUBLISHER -o table` has them"
QUOTAS = "https://portal.azure.com/#view/Microsoft_Azure_Capacity/QuotaMenuBlade/~/myQuotas"
KINDS: Mapping[str, tuple[Reason, str]] = {
    **dict.fromkeys(
        ("SkuNotAvailable", "AllocationFailed", "ZonalAllocationFailed", "OverconstrainedAllocationRequest",
         "OverconstrainedZonalAllocationRequest"),
        ("stock", "another zone, another region, another type, or later"),
    ),
    **dict.fromkeys(
        ("QuotaExceeded", "ResourceQuotaExceeded", "PublicIPCountLimitReached", "PublicIpStandardCountLimitReached"),
        ("quota", f"ask for a higher quota at {QUOTAS}"),
    ),
    **dict.fromkeys(
        ("InvalidAuthenticationToken", "ExpiredAuthenticationToken", "InvalidAuthenticationTokenTenant",
         "AuthenticationFailed"),
        ("credentials", SIGN_IN),
    ),
    **dict.fromkeys(
        ("SubscriptionNotFound", "InvalidSubscriptionId", "ReadOnlyDisabledSubscription"), ("credentials", WHICH)
    ),
    **dict.fromkeys(
        ("AuthorizationFailed", "LinkedAuthorizationFailed"),
        ("permission", "the role Contributor of the subscription allows it; a role that is new takes minutes"),
    ),
    "ScopeLocked": ("permission", "`az lock list -o table` has the lock that is in the way"),
    **dict.fromkeys(
        ("ImageNotFound", "PlatformImageNotFound", "ArtifactNotFound", "ImageVersionDeprecated"), ("image", IMAGE)
    ),
    **dict.fromkeys(
        ("MarketplacePurchaseEligibilityFailed", "ResourcePurchaseValidationFailed", "VMMarketplaceInvalidInput"),
        ("image", "accept the terms of its plan: `az vm image terms accept --urn PUBLISHER:OFFER:SKU:VERSION`"),
    ),
    **dict.fromkeys(
        ("LocationNotAvailableForResourceType", "NoRegisteredProviderFound", "InvalidLocation",
         "LocationNotAvailableForResourceGroup"),
        ("region", LOCATION),
    ),
    "VMSizeNotSupported": ("type", OFFERS),
    "InvalidResourceGroupLocation": ("name", "another --name, or `gpucheck cloud destroy azure NAME`"),
    **dict.fromkeys(
        ("ResourceGroupBeingDeleted", "AnotherOperationInProgress", "RetryableError", "TooManyRequests",
         "OperationNotAllowedOnResourceBeingDeleted"),
        ("busy", "try again in a minute"),
    ),
}  # fmt: skip
SKEW = re.compile(r"AADSTS700024|AADSTS500133|not yet valid|clock", re.I)  # an assertion outside its time
SPENT = re.compile(
    r"exceeding (?:approved )?(?P<family>[\w ]+?)(?: Cores)? quota.*?Location: (?P<where>\w+),"
    r" Current Limit: (?P<limit>\d+), Current Usage: (?P<used>\d+), Additional Required: (?P<more>\d+)", re.S
)  # fmt: skip
POLICY = re.compile(r"\"policyDefinition\":\{\"name\":\"([^\"]+)\"|Policy identifiers?: '([^']+)'")
PROVIDER = re.compile(r"namespace '([\w.]+)'")
LONGEST = 400  # characters of what a cloud says


@contextmanager
def refusals(what: str) -> Iterator[None]:
    """`what` was asked for: "to make the VM". Raises Refused, and nothing of the SDK's own."""
    errors: Any = importlib.import_module("azure.core.exceptions")
    try:
        yield
    except errors.AzureError as error:
        raise refused(error, what) from error


def refused(error: Any, what: str) -> Refused:
    errors: Any = importlib.import_module("azure.core.exceptions")
    text = str(getattr(error, "message", error))
    answer = getattr(error, "response", None)
    if isinstance(error, errors.ClientAuthenticationError) or "AADSTS" in text:
        if SKEW.search(text):
            return Refused(
                "clock", f"Azure takes no token of this machine's time: {one_line(text, LONGEST)}",
                "set the clock: `timedatectl set-ntp true`",
            )  # fmt: skip
        if answer is None:  # no way of DefaultAzureCredential led anywhere; it tells of each on a line of its own
            return Refused(
                "credentials", f"nobody is signed in to Azure: {one_line(text.partition(chr(10))[0], LONGEST)}", SIGN_IN
            )
    if answer is None:
        if "CERTIFICATE_VERIFY_FAILED" in text and SKEW.search(text):
            return Refused(
                "clock",
                f"Azure's certificate is not of this machine's time: {one_line(text, LONGEST)}",
                "set the clock",
            )
        return Refused("busy", f"Azure does not answer when asked {what}: {one_line(text, LONGEST)}", "try again")
    told = list(_told(getattr(error, "error", None)))
    for code, message in told:
        if known := _known(code, message, what):
            return known
    code, message = told[0] if told else (f"HTTP {error.status_code}", text)
    sentence = f"Azure refused {what}: {one_line(message, LONGEST)} ({code})"
    status = error.status_code or 0
    if status == 429 or status >= 500:
        return Refused("busy", sentence, "try again in a minute")
    if status == 401:
        return Refused("credentials", sentence, SIGN_IN)
    if status == 403:
        return Refused("permission", sentence, KINDS["AuthorizationFailed"][1])
    return Refused("refused", sentence, "what it says is what there is to change")


def _told(error: Any) -> Iterator[tuple[str, str]]:
    """An error and those that it holds: "ResourceOperationFailure" says nothing, its details say what it was."""
    if error is None:
        return
    yield str(error.code), str(error.message)
    for each in error.details or ():
        yield from _told(each)


def _known(code: str, message: str, what: str) -> Refused | None:
    sentence = f"Azure refused {what}: {one_line(message, LONGEST)} ({code})"
    if code in ("QuotaExceeded", "OperationNotAllowed") and (spent := SPENT.search(message)):
        return _quota(code, spent)
    if code == "OperationNotAllowed" and "quota" in message.lower():
        return Refused("quota", sentence, f"ask for a higher quota at {QUOTAS}")
    if code in ("MissingSubscriptionRegistration", "SubscriptionNotRegistered"):
        found = PROVIDER.search(message)
        provider = found[1] if found else "Microsoft.Compute"
        return Refused(
            "refused", sentence, f"`az provider register --wait --namespace {provider}`, once a subscription"
        )
    if code == "RequestDisallowedByPolicy":
        found = POLICY.search(message)
        name = next(filter(None, found.groups()), "") if found else ""
        told = name or one_line(message, LONGEST)
        return Refused(
            "permission", f"a policy of the subscription forbids {what.removeprefix('to ')}: {told} ({code})",
            "another region or type that it allows; `az policy assignment list -o table` has the policies",
        )  # fmt: skip
    if code == "InvalidParameter" and "VM size" in message:
        return Refused("type", sentence, OFFERS)
    if known := KINDS.get(code):
        return Refused(known[0], sentence, known[1])
    return None


def _quota(code: str, spent: re.Match[str]) -> Refused:
    """The quota by its name and numbers, as the page on which more is asked for has them."""
    family, where, limit, used, more = spent.group("family", "where", "limit", "used", "more")
    need = int(used) + int(more)
    return Refused(
        "quota", f"the quota {family} of {where} is {limit} cores, {used} are used, {more} more are needed ({code})",
        f"ask for a quota of {need} at {QUOTAS}, or another --region; `az vm list-usage -l {where} -o table`",
    )  # fmt: skip
