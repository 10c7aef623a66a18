"""What is asked of a cloud and what it answers: the same words for all three."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from gpucheck.model import Failure, Say

TAG = "gpucheck"  # the key of the tag (a label on GCP) that marks all that is ours; its value is the run's name
OWNER_TAG, EXPIRES_TAG = "gpucheck-owner", "gpucheck-expires"  # EXPIRES: seconds since 1970, in UTC, as digits

Reason = Literal[
    "quota", "stock", "network", "image", "type", "region", "credentials", "permission", "clock", "busy", "name",
    "refused",
]  # fmt: skip


class Refused(Failure):
    """A cloud will not, so nothing is known. `reason` says what kind of no: after `stock` the next zone is tried."""

    def __init__(self, reason: Reason, sentence: str, tip: str) -> None:
        super().__init__(sentence, tip, exit_code=3)
        self.reason = reason


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What the command line says. None = the usual."""

    provider: str
    instance_type: str | None = None
    gpu: str | None = None  # the cheapest type with one of these, where no type is given
    region: str | None = None
    image: str | None = None  # a key of data/rentals.toml
    name: str | None = None
    framework: str = "tensorflow"
    minutes: int = 60
    spot: bool = False
    package: str | None = None
    ssh_key: str | None = None
    ssh_from: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """One instance to be rented. `name` is the run's: [a-z][a-z0-9-]{0,30}, ends in no dash."""

    name: str
    owner: str  # [a-z0-9-]{1,63}
    instance_type: str
    gpu: tuple[str, int] | None  # to be attached (GCP n1): ("nvidia-tesla-t4", 1)
    region: str
    image: str  # how the cloud looks up the current one; the cloud's module says which form
    user_data: str
    expires: datetime  # UTC: the instance ends itself then
    disk_gib: int = 100
    spot: bool = False
    ssh_key: str | None = None  # the public half of an ephemeral key, in OpenSSH's one line; None = no way in
    ssh_from: str | None = None  # the only address that port 22 is open to: "203.0.113.7/32"


@dataclass(frozen=True, kw_only=True, slots=True)
class Machine:
    """An instance as its cloud tells of it."""

    name: str
    id: str
    provider: str
    instance_type: str
    region: str
    zone: str | None
    state: Literal["starting", "running", "stopping", "stopped", "gone"]
    spot: bool
    owner: str | None
    expires: datetime | None
    address: str | None = None  # public IPv4
    ended: str | None = None  # why, in the cloud's words, where it was not us: a reclaimed spot instance


@dataclass(frozen=True, kw_only=True, slots=True)
class Resource:
    """One thing that costs or is in the way, found by our tag: instance, disk, address, interface, group, rule."""

    kind: str
    id: str
    region: str
    name: str | None  # of the run, by its tag
    expires: datetime | None


class Cloud(Protocol):
    """One account of one cloud. Every call raises Refused, and nothing of an SDK's own.

    Nothing here decides to go on or to give up: gpucheck.renting does, in one way for all.
    """

    provider: str

    def zones(self, order: Order) -> Sequence[str]:
        """Where the region offers the type, in the order to try. Refused: region, type, network, credentials."""

    def request(self, order: Order, zone: str | None) -> Mapping[str, Any]:
        """What create() would send, by the name of each call, for people to read. It makes nothing."""

    def create(self, order: Order, zone: str | None, say: Say) -> Machine:
        """An instance that is starting; the same name again answers with the one that is there.

        What it needed (a network's rule, an address) is tagged as it is made, so that remove() finds it wherever this
        was cut off. A refusal for stock leaves nothing that the next zone would trip over.
        """

    def machines(self, name: str | None = None) -> Sequence[Machine]:
        """Ours in all regions, or that one of ours. One that is gone is left out after a while by the cloud itself."""

    def console(self, machine: Machine) -> str:
        """What is on its serial console by now. Untrusted text."""

    def resources(self, name: str | None = None) -> Sequence[Resource]:
        """All that is ours, in all regions, or what belongs to that run."""

    def remove(self, name: str | None, say: Say) -> Sequence[Resource]:
        """Ends and deletes all of it and waits until it is gone; what was there. Nothing there is no error."""
