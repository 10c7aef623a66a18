"""The cloud that a machine is rented from."""

from __future__ import annotations

from gpucheck.facts.version import fact


@fact
class Cloud:
    provider: str | None  # aws, gcp, azure; None = none of these
    instance_type: str | None  # p5.48xlarge, a3-highgpu-8g, Standard_ND96isr_H100_v5
    untold: str | None = None  # why the type is not known where the provider is
