"""The three emulators behind one set of knobs, for what holds of every cloud."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from gpucheck import clouds
from gpucheck.clouds import Cloud, Order
from tests.clouds.emulators.aws import DEEP_LEARNING
from tests.clouds.killed import order

DRIVEN = "projects/ubuntu-os-accelerator-images/global/images/family"


@dataclass(frozen=True, kw_only=True)
class Rig:
    """`usual` is what an order of this cloud needs beside a name; the rest are knobs of the emulator."""

    provider: str
    address: str
    usual: dict[str, Any]
    other_type: str
    wrong_image: str
    user_data: Callable[[str], str]
    set_console: Callable[[str, str], None]
    take_away: Callable[[str], None]
    shut_down: Callable[[str], None]  # from the inside
    stock_out: Callable[[set[str]], None]
    no_quota: Callable[[], None]
    left: Callable[[], list[str]]

    def order(self, **given: Any) -> Order:
        return order(**self.usual | given)

    def account(self) -> Cloud:
        return clouds.cloud(self.provider, self.usual["region"])


def aws(emulator: Any) -> Rig:
    return Rig(
        provider="aws", address=emulator.address,
        usual={"region": "us-east-1", "instance_type": "g5.xlarge", "gpu": None, "image": DEEP_LEARNING},
        other_type="g5.2xlarge", wrong_image="/aws/service/no/such",
        user_data=emulator.user_data, set_console=emulator.set_console, take_away=emulator.reclaim,
        shut_down=emulator.shut_down,
        stock_out=emulator.stock_out.update, no_quota=lambda: setattr(emulator, "no_quota", True),
        left=emulator.left,
    )  # fmt: skip


def gcp(emulator: Any) -> Rig:
    def user_data(name: str) -> str:
        _, instance = emulator._named(name)
        return next(str(each["value"]) for each in instance["metadata"]["items"] if each["key"] == "user-data")

    return Rig(
        provider="gcp", address=emulator.address,
        usual={"region": "us-central1", "instance_type": "g2-standard-4", "gpu": None,
               "image": f"{DRIVEN}/ubuntu-accelerator-2404-amd64-with-nvidia-580"},
        other_type="g2-standard-8", wrong_image="projects/ubuntu-os-cloud/global/images/family/no-such",
        user_data=user_data, set_console=emulator.set_console, take_away=emulator.preempt,
        shut_down=emulator.shut_down,
        stock_out=emulator.stock_out.update, no_quota=lambda: setattr(emulator, "quota", "NVIDIA_L4_GPUS"),
        left=emulator.left,
    )  # fmt: skip


def azure(emulator: Any) -> Rig:
    def user_data(name: str) -> str:
        return decoded(emulator._named(name)["properties"]["osProfile"]["customData"])

    return Rig(
        provider="azure", address=emulator.address,
        usual={"region": "eastus", "instance_type": "Standard_NC4as_T4_v3", "gpu": None,
               "image": "microsoft-dsvm:ubuntu-hpc:2404:latest"},
        other_type="Standard_NC8as_T4_v3", wrong_image="microsoft-dsvm:ubuntu-hpc:no-such:latest",
        user_data=user_data, set_console=emulator.set_console, take_away=emulator.preempt,
        shut_down=emulator.shut_down,
        stock_out=emulator.stock_out.update, no_quota=lambda: setattr(emulator, "quota", True),
        left=emulator.left,
    )  # fmt: skip


def decoded(data: str) -> str:
    return base64.b64decode(data).decode()
