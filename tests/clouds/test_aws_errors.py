"""The codes of AWS and the exceptions of its SDK, as refusals. The sentences are AWS's own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from botocore import exceptions
from botocore.exceptions import ClientError
from botocore.parsers import ResponseParserError

from gpucheck.clouds import Refused, aws_errors
from gpucheck.clouds.aws import Aws
from gpucheck.clouds.aws_api import Api, asking


def refused(code: str, message: str = "", behind: float | None = None, status: int = 400) -> Refused:
    headers = {}
    if behind is not None:
        headers["date"] = format_datetime(datetime.now(UTC) + timedelta(seconds=behind), usegmt=True)
    response: Any = {
        "Error": {"Code": code, "Message": message},
        "ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": headers},
    }
    return aws_errors.refused(ClientError(response, "RunInstances"), "to make g5.xlarge in us-east-1a", "us-east-1")


@pytest.mark.parametrize(("code", "reason"), [
    ("InsufficientInstanceCapacity", "stock"), ("Server.InsufficientInstanceCapacity", "stock"),
    ("Unsupported", "stock"), ("SpotMaxPriceTooLow", "stock"), ("VcpuLimitExceeded", "quota"),
    ("MaxSpotInstanceCountExceeded", "quota"), ("InstanceLimitExceeded", "quota"), ("InvalidAMIID.NotFound", "image"),
    ("InvalidAMIID.Malformed", "image"), ("ParameterNotFound", "image"), ("InvalidInstanceType", "type"),
    ("VPCIdNotSpecified", "network"), ("AuthFailure", "credentials"), ("ExpiredToken", "credentials"),
    ("ExpiredTokenException", "credentials"), ("InvalidClientTokenId", "credentials"),
    ("UnauthorizedOperation", "permission"), ("AccessDenied", "permission"), ("RequestLimitExceeded", "busy"),
    ("OptInRequired", "refused"), ("IdempotentParameterMismatch", "name"), ("PendingVerification", "refused"),
])  # fmt: skip
def test_codes(code: str, reason: str) -> None:
    no = refused(code, "Because of that.")
    assert no.reason == reason
    assert code.removeprefix("Server.") in str(no)
    assert "to make g5.xlarge in us-east-1a" in str(no)
    assert no.tip


def test_an_answer_that_is_none_of_aws() -> None:
    with pytest.raises(Refused, match="does not answer") as no, asking("to list our instances", "us-east-1"):
        raise ResponseParserError("Unable to parse response, invalid XML received: <html>sign in to the network</html>")
    assert no.value.reason == "busy"


def test_what_a_cloud_says_moves_no_cursor() -> None:
    assert "\x1b" not in str(refused("Whatever", "tag \x1b]0;owned\x07\x1b[2J"))


def test_a_value_that_is_no_type() -> None:
    assert refused("InvalidParameterValue", "Invalid value 'g5.huge' for InstanceType.").reason == "type"
    assert refused("InvalidParameterValue", "User data is limited to 16384 bytes").reason == "refused"


def test_a_server_that_fails_is_busy_and_a_stock_out_is_none() -> None:
    assert refused("Whatever", status=503).reason == "busy"
    assert refused("InsufficientInstanceCapacity", status=500).reason == "stock"


@pytest.mark.parametrize(("code", "behind", "reason"), [
    ("RequestExpired", 900, "clock"), ("SignatureDoesNotMatch", -900, "clock"), ("AuthFailure", 900, "clock"),
    ("RequestExpired", 1, "credentials"), ("RequestExpired", None, "credentials"), ("AuthFailure", -1, "credentials"),
    ("UnauthorizedOperation", 900, "permission"),
])  # fmt: skip
def test_a_clock_is_wrong_where_the_answers_date_says_so(code: str, behind: float | None, reason: str) -> None:
    no = refused(code, "Request has expired.", behind)
    assert no.reason == reason
    if reason == "clock":
        assert ("behind" if behind and behind > 0 else "ahead of") in str(no)


def test_the_right_that_is_missing_is_named() -> None:
    no = refused(
        "UnauthorizedOperation",
        "You are not authorized to perform this operation. User: arn:aws:iam::123456789012:user/ana is not authorized"
        " to perform: ec2:CreateTags on resource: arn:aws:ec2:us-east-1:123456789012:instance/* because no"
        " identity-based policy allows the ec2:CreateTags action. Encoded authorization failure message: "
        + "4AaXx"
        * 300,
    )
    assert "ec2:CreateTags" in no.tip
    assert "4AaXx" not in str(no)
    assert "ec2:RunInstances" in refused("UnauthorizedOperation", "You are not authorized.").tip


@pytest.mark.parametrize(("error", "reason"), [
    (exceptions.NoCredentialsError(), "credentials"),
    (exceptions.PartialCredentialsError(provider="env", cred_var="AWS_SECRET_ACCESS_KEY"), "credentials"),
    (exceptions.UnauthorizedSSOTokenError(), "credentials"),
    (exceptions.SSOTokenLoadError(error_msg="token has expired"), "credentials"),
    (exceptions.TokenRetrievalError(provider="sso", error_msg="expired"), "credentials"),
    (exceptions.CredentialRetrievalError(provider="process", error_msg="no"), "credentials"),
    (exceptions.ProfileNotFound(profile="nobody"), "credentials"),
    (exceptions.NoRegionError(), "region"),
    (exceptions.EndpointConnectionError(endpoint_url="https://ec2.us-esat-1.amazonaws.com/"), "refused"),
    (exceptions.ConnectTimeoutError(endpoint_url="https://ec2.us-east-1.amazonaws.com/"), "busy"),
    (exceptions.ReadTimeoutError(endpoint_url="https://ec2.us-east-1.amazonaws.com/"), "busy"),
    (exceptions.ConnectionClosedError(endpoint_url="https://ec2.us-east-1.amazonaws.com/"), "busy"),
    (exceptions.ParamValidationError(report="Missing required parameter"), "refused"),
])  # fmt: skip
def test_the_sdks_own(error: exceptions.BotoCoreError, reason: str) -> None:
    with pytest.raises(Refused) as no, asking("to list our instances", "us-east-1"):
        raise error
    assert no.value.reason == reason
    assert " ".join(str(error).split())[:60] in str(no.value)


def test_nobody_is_signed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_CONTAINER_CREDENTIALS_FULL_URI",
                 "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_WEB_IDENTITY_TOKEN_FILE"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(tmp_path / name))
    with pytest.raises(Refused) as no:
        Aws(Api(None, "us-east-1")).machines()
    assert (no.value.reason, "aws sso login" in no.value.tip) == ("credentials", True)
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    with pytest.raises(Refused, match="nobody") as no:
        Api(None, "us-east-1")
    assert no.value.reason == "credentials"


def test_an_address_that_nobody_answers_at_is_said() -> None:
    with pytest.raises(Refused, match=r"http://127\.0\.0\.1:1/") as no:
        Aws(Api("http://127.0.0.1:1", "us-east-1")).machines()
    assert no.value.reason == "refused"
