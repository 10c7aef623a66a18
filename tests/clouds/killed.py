"""A program: `python -m tests.clouds.killed PROVIDER`. It places orders, each in a child that is there to be killed.

A line on stdin is {"address": ..., "order": ..., "whole": ...}: a whole one goes on to its report and is given back. It
answers with the child's number, waits for a line, lets the child go on, and answers with how it ended: its exit code,
or minus the signal. The SDK is imported once, before all of them.
"""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

from gpucheck import clouds, renting
from gpucheck.clouds import ENDPOINT, Cloud, Order

SDK = {"aws": ("boto3",), "gcp": ("google.cloud.compute_v1",), "azure": ("azure.mgmt.compute", "azure.mgmt.network",
       "azure.mgmt.resource", "azure.identity")}  # fmt: skip


def order(**given: Any) -> Order:
    """An order of tests; what is not given is the same for all three clouds."""
    usual: dict[str, Any] = {
        "name": "ana-1", "owner": "ana", "gpu": None, "user_data": "#cloud-config\n{}\n",
        "expires": datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1), "spot": False,
    }  # fmt: skip
    return Order(**usual | given)


def rent(account: Cloud, what: Order, whole: bool) -> None:
    if not whole:
        renting.placed(account, what, quiet)
        return
    with renting.rented(account, what, quiet, quiet) as machine:  # as `gpucheck cloud verify` does
        renting.proven(account, machine, what.name, quiet)


def quiet(*_: object) -> None:
    pass


def main() -> None:
    provider = sys.argv[1]
    for module in SDK[provider]:
        __import__(module)
    for line in sys.stdin:
        asked = json.loads(line)
        waits, tells = os.pipe()
        pid = os.fork()
        if pid == 0:
            os.read(waits, 1)
            os.environ[ENDPOINT] = asked["address"]
            rent(clouds.cloud(provider, asked["order"]["region"]), order(**asked["order"]), asked["whole"])
            os._exit(0)
        sys.stdout.write(f"{pid}\n")
        sys.stdout.flush()
        sys.stdin.readline()
        os.write(tells, b"x")
        _, status = os.waitpid(pid, 0)
        os.close(waits)
        os.close(tells)
        sys.stdout.write(f"{os.waitstatus_to_exitcode(status)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
