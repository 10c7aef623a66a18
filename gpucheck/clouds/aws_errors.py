"""What AWS or its SDK says when it will not, in words that say the next step.

The codes: docs.aws.amazon.com/AWSEC2/latest/APIReference/errors-overview.html, and those of SSM and STS.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from gpucheck.clouds.orders import Order, Reason, Refused
from gpucheck.lines import one_line

LONGEST = 400  # characters of what a cloud says
SKEW = 240.0  # seconds; a signature of a clock that is 300 wrong is refused
NEW_TYPE = "another --type; `gpucheck cloud offers --cloud aws` has some"
SIGN_IN = "`aws sts get-caller-identity` shows who AWS takes you for; `aws sso login` or `aws configure` signs in"
CODES: Mapping[Reason, tuple[str, tuple[str, ...]]] = {
    "stock": ("another zone, another type, or later", (
        "InsufficientInstanceCapacity", "InsufficientCapacity", "InsufficientHostCapacity", "Unsupported",
        "InsufficientReservedInstanceCapacity", "SpotMaxPriceTooLow", "InsufficientFreeAddressesInSubnet",
    )),
    "quota": ("ask for more on https://console.aws.amazon.com/servicequotas/home, or another --region", (
        "VcpuLimitExceeded", "MaxSpotInstanceCountExceeded", "InstanceLimitExceeded", "VolumeLimitExceeded",
        "SecurityGroupLimitExceeded", "NetworkInterfaceLimitExceeded", "AddressLimitExceeded",
        "SecurityGroupsPerVpcLimitExceeded", "SnapshotLimitExceeded",
    )),
    "image": ("another --image, or an ami-... of this region", (
        "InvalidAMIID.NotFound", "InvalidAMIID.Malformed", "InvalidAMIID.Unavailable", "ParameterNotFound",
        "ParameterVersionNotFound",
    )),
    "type": (NEW_TYPE, ("InvalidInstanceType", "InvalidInstanceType.NotFound")),
    "network": ("`aws ec2 create-default-vpc` makes the default network again", (
        "VPCIdNotSpecified", "InvalidSubnetID.NotFound", "InvalidVpcID.NotFound", "MissingInput",
    )),
    "credentials": (f"{SIGN_IN}; a region that is not enabled in the account refuses so too", (
        "AuthFailure", "ExpiredToken", "ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException",
        "InvalidAccessKeyId", "MissingAuthenticationToken", "SignatureDoesNotMatch", "InvalidSignatureException",
        "IncompleteSignature", "RequestExpired",
    )),
    "permission": ("ask whoever looks after the account to allow it", (
        "UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "UnauthorizedException",
    )),
    "busy": ("try again in a minute", (
        "RequestLimitExceeded", "Throttling", "ThrottlingException", "TooManyRequestsException", "InternalError",
        "InternalFailure", "Unavailable", "ServiceUnavailable",
    )),
    "name": ("another --name, or `gpucheck cloud destroy aws NAME`", (
        "InvalidGroup.Duplicate", "IdempotentParameterMismatch",
    )),
}  # fmt: skip
REASONS: Mapping[str, Reason] = {code: reason for reason, (_, codes) in CODES.items() for code in codes}
SIGNERS = (  # of the SDK, with what is made of them
    "NoCredentialsError", "PartialCredentialsError", "CredentialRetrievalError", "NoAuthTokenError", "SSOError",
    "TokenRetrievalError", "LoginError", "ProfileNotFound", "ConfigNotFound", "ConfigParseError", "InvalidConfigError",
    "UnknownCredentialError", "UnknownTokenProviderError", "UnauthorizedSSOTokenError",
)  # fmt: skip
CUT = ("HTTPClientError", "ConnectionError", "ResponseParserError")  # the last: a proxy's page, say
QUOTAS = {  # of vCPUs, by how the type begins and whether it is spot
    ("g", False): ("L-DB2E81BA", "Running On-Demand G and VT instances"),
    ("g", True): ("L-3819A6DF", "All G and VT Spot Instance Requests"),
    ("p", False): ("L-417A185B", "Running On-Demand P instances"),
    ("p", True): ("L-7212CCBC", "All P Spot Instance Requests"),
    ("p5", True): ("L-C4BD4855", "All P5 Spot Instance Requests"),
}


def code(error: BaseException | None) -> str:
    """Of a ClientError; "" of all others."""
    response: Mapping[str, Any] = getattr(error, "response", None) or {}
    return re.sub(r"^(Server|Client)\.", "", str(response.get("Error", {}).get("Code", "")))


def refused(error: Exception, what: str, region: str | None) -> Refused:
    """`what` was asked: "to make g5.xlarge in us-east-1a"."""
    if not code(error):
        return _of_the_sdk(error, what)
    response: Mapping[str, Any] = getattr(error, "response", {})
    reason = REASONS.get(code(error), "refused")
    message = str(response["Error"].get("Message", ""))
    if "for InstanceType" in message:  # InvalidParameterValue: Invalid value 'g5.huge' for InstanceType.
        reason = "type"
    if reason == "refused" and response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
        reason = "busy"
    sentence = f"AWS refused {what}: {_line(message)} ({code(error)}{f', {region}' if region else ''})"
    tip = CODES[reason][0] if reason in CODES else "what it says is what there is to change"
    if reason == "credentials" and (wrong := _skew(response)):
        clock = f"this machine's clock is {abs(wrong):.0f} s {'behind' if wrong > 0 else 'ahead of'} AWS's"
        return Refused(
            "clock", f"{clock}, which takes no signature of such a time: {sentence}",
            "set the clock: `timedatectl set-ntp true`",
        )  # fmt: skip
    if reason == "permission":
        action = re.search(r"perform: (\S+)", message)
        called = getattr(error, "operation_name", "")
        tip = f"ask whoever looks after the account to allow {action[1] if action else f'ec2:{called}'}"
    return Refused(reason, sentence, tip)


def quota(order: Order, vcpus: int | None, no: Refused) -> Refused:
    """The quota by its name, and the line that asks for more of it; `no` itself where it is of no vCPUs."""
    known = [each for each in QUOTAS if order.instance_type.startswith(each[0]) and each[1] is order.spot]
    if not known or code(no.__cause__) not in ("VcpuLimitExceeded", "MaxSpotInstanceCountExceeded"):
        return no
    number, title = QUOTAS[max(known)]
    limit = re.search(r"vCPU limit of (\d+)", str(no))
    wanted = int(limit[1]) + vcpus if limit and vcpus else vcpus or 192
    has = f"{order.instance_type} has {vcpus} vCPUs; " if vcpus else ""
    apart = "; not all accounts have P5 apart from L-7212CCBC" if number == "L-C4BD4855" else ""
    return Refused(
        "quota", f"the account's quota {title!r} ({number}) is too small in {order.region}: {no}",
        f"{has}`aws service-quotas request-service-quota-increase --service-code ec2 --quota-code {number}"
        f" --desired-value {wanted} --region {order.region}` asks for more, and a person may have to allow it{apart};"
        f" {'without' if order.spot else 'with'} --spot another quota counts",
    )  # fmt: skip


def _of_the_sdk(error: Exception, what: str) -> Refused:
    names = {each.__name__ for each in type(error).__mro__}
    said = _line(str(error))
    if names & set(SIGNERS):
        return Refused("credentials", f"AWS was asked {what}, and nobody is signed in: {said}", SIGN_IN)
    if names & {"NoRegionError", "InvalidRegionError"}:
        return Refused("region", f"AWS has no such region: {said}", "another --region")
    if "EndpointConnectionError" in names:
        return Refused(
            "refused", f"AWS was asked {what}, and cannot be reached: {said}",
            "the network, a proxy (HTTPS_PROXY), or the region's name is wrong",
        )  # fmt: skip
    if names & set(CUT):
        return Refused("busy", f"AWS was asked {what}, and does not answer: {said}", "try again in a minute")
    return Refused("refused", f"the SDK of AWS refused {what}: {said}", "what it says is what there is to change")


def _skew(response: Mapping[str, Any]) -> float:
    """Seconds that AWS's clock is ahead of ours; 0 where that is nothing to speak of."""
    date = response.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date", "")
    try:
        ahead = (parsedate_to_datetime(date) - datetime.now(UTC)).total_seconds()
    except (TypeError, ValueError):
        return 0
    return ahead if abs(ahead) >= SKEW else 0


def _line(text: str) -> str:
    return one_line(text.partition("Encoded authorization failure message")[0], LONGEST)
