"""The clients of AWS: one for each region, signed in by the SDK's own chain, and asked in all regions at once."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from gpucheck.clouds import aws_errors
from gpucheck.clouds.orders import Refused

if TYPE_CHECKING:
    from botocore.config import Config
    from mypy_boto3_ec2 import EC2Client
    from mypy_boto3_ssm import SSMClient

T = TypeVar("T")
HOME = "us-east-1"  # which is asked about regions where no other is known
ATTEMPTS = 5
AT_ONCE = 16  # regions that are asked at the same time


class Api:
    """One account."""

    def __init__(self, address: str | None, region: str | None) -> None:
        """`address`: an emulator's. Raises Refused for a profile that is not there."""
        import boto3

        self.emulated = address is not None
        self._address = address
        self._config = _config(self.emulated)
        secret = "emulated" if address else None  # None: the chain of the SDK itself
        with asking("to sign in"):
            self._session = boto3.Session(region_name=region, aws_access_key_id=secret, aws_secret_access_key=secret)
            home = self._session.region_name or HOME
        self.home = home if home in self.listed_regions() else HOME
        self._ec2: dict[str, EC2Client] = {}
        self._enabled: Sequence[str] = ()

    def ec2(self, region: str) -> EC2Client:
        if region not in self._ec2:
            with asking("to sign in", region):
                self._ec2[region] = self._session.client(
                    "ec2", region_name=region, endpoint_url=self._address, config=self._config
                )
        return self._ec2[region]

    def ssm(self, region: str) -> SSMClient:
        with asking("to sign in", region):
            return self._session.client("ssm", region_name=region, endpoint_url=self._address, config=self._config)

    def listed_regions(self) -> set[str]:
        """Those that this SDK knows of. AWS may have newer ones."""
        of = self._session.get_available_partitions()
        return {region for partition in of for region in self._session.get_available_regions("ec2", partition)}

    def all_regions(self) -> Sequence[str]:
        """Those that AWS has, enabled or not."""
        with asking("to list the regions", self.home):
            told = self.ec2(self.home).describe_regions(AllRegions=True)
        return sorted(each["RegionName"] for each in told["Regions"])

    def everywhere(
        self, ask: Callable[[EC2Client, str], T], regions: Sequence[str] = ()
    ) -> tuple[dict[str, T], dict[str, Refused]]:
        """What each enabled region answers, or those given; and which will not. Raises Refused where none does."""
        if not self._enabled:
            with asking("to list the regions", self.home):
                told = self.ec2(self.home).describe_regions()
            open_ = (each for each in told["Regions"] if each.get("OptInStatus") != "not-opted-in")
            self._enabled = sorted(each["RegionName"] for each in open_)
        clients = {region: self.ec2(region) for region in regions or self._enabled}  # a session is for one thread
        answers: dict[str, T] = {}
        refusals: dict[str, Refused] = {}
        with ThreadPoolExecutor(AT_ONCE) as threads:
            asked = {region: threads.submit(ask, client, region) for region, client in clients.items()}
        for region, answer in asked.items():
            try:
                answers[region] = answer.result()
            except Refused as refused:
                refusals[region] = refused
        if refusals and not answers:
            raise next(iter(refusals.values()))
        return answers, refusals

    def settled(self, ask: Callable[[], T], codes: Collection[str]) -> T:
        """Asks again where what was made a moment ago is not known everywhere yet. Raises Refused."""
        until = time.monotonic() + (1 if self.emulated else 30)
        while True:
            try:
                return ask()
            except Refused as refused:
                if aws_errors.code(refused.__cause__) not in codes or time.monotonic() >= until:
                    raise
            time.sleep(self.pace(2))

    def pace(self, seconds: float) -> float:
        """A wait; an emulator makes nobody wait."""
        return min(seconds, 0.02) if self.emulated else seconds


@contextmanager
def asking(what: str, region: str | None = None) -> Iterator[None]:
    """`what` is asked: "to list our instances". Raises Refused instead of the SDK's own."""
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    try:
        yield
    except (ClientError, BotoCoreError, ResponseParserError) as error:
        raise aws_errors.refused(error, what, region) from error


def listed(client: EC2Client, call: str, key: str, **asked: Any) -> list[Mapping[str, Any]]:
    """To the last page."""
    if not client.can_paginate(call):
        answer: Mapping[str, Any] = getattr(client, call)(**asked)
        return list(answer[key])
    pages: Any = client.get_paginator(call)  # type: ignore[call-overload]  # one overload for each name
    return [each for page in pages.paginate(**asked) for each in page[key]]


def _config(emulated: bool) -> Config:
    from botocore.config import Config

    attempts = 2 if emulated else ATTEMPTS  # the wait before the second is a second at most
    return Config(
        retries={"mode": "standard", "total_max_attempts": attempts},
        connect_timeout=10,
        read_timeout=60,
        user_agent_extra="gpucheck",
    )
