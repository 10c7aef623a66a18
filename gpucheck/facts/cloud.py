"""The cloud that a machine is rented from, and what that is about to do with it."""

from __future__ import annotations

from gpucheck.facts.version import fact


@fact
class Cloud:
    provider: str | None  # aws, gcp, azure; None = none of these
    instance_type: str | None  # p5.48xlarge, a3-highgpu-8g, Standard_ND96isr_H100_v5
    untold: str | None = None  # why something here is not known where the provider is
    region: str | None = None  # us-east-1, us-central1, eastus
    zone: str | None = None  # us-east-1a, us-central1-a; on Azure a number, and many machines have none
    spot: bool | None = None  # the cloud may take it back at any time


@fact
class CloudEvent:
    kind: str  # reclaim, risk (of one), stop, reboot, pause (some seconds)
    when: str | None  # UTC, ISO 8601; None = at once, or the cloud does not say
    says: str  # the cloud's own word for it: terminate, TERMINATE_ON_HOST_MAINTENANCE, Preempt


@fact
class CloudEvents:
    """What the cloud has announced for this machine."""

    events: tuple[CloudEvent, ...]
    untold: str | None = None  # why there may be more
