"""Rented machines that their cloud is about to take back or to stop."""

from __future__ import annotations

from gpucheck.facts import CloudEvent
from tests.machines.constructed.basics import T4
from tests.machines.constructed.places import TENSORFLOW, WITH_T4
from tests.machines.parts import Described, rented

SILENT = "the metadata service did not answer within 0.3 s (in a container: the instance's hop limit may be 1)"

MACHINES: dict[str, Described] = {
    "aws-spot-reclaimed": T4
    | rented(
        "aws",
        "g4dn.xlarge",
        CloudEvent(kind="reclaim", when="2026-11-26T12:02:00Z", says="terminate"),
        CloudEvent(kind="risk", when=None, says="rebalance recommendation"),
        spot=True,
    ),
    "gcp-host-maintenance": T4
    | rented("gcp", "n1-standard-4", CloudEvent(kind="stop", when=None, says="TERMINATE_ON_HOST_MAINTENANCE")),
    "azure-spot-preempted": T4
    | rented(
        "azure",
        "Standard_NC4as_T4_v3",
        CloudEvent(kind="reclaim", when="2026-11-26T12:00:30Z", says="Preempt"),
        spot=True,
    ),
    # Docker's bridge is one hop more than the answer to a token's request may travel.
    "container-on-aws-unanswered": WITH_T4 | TENSORFLOW | rented("aws", "g4dn.xlarge", untold=SILENT),
}
