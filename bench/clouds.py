"""What renting costs beside the wait for a cloud, and what it leaves behind where its process is killed.

usage: scripts/bench clouds [--seed N]

Against the emulators of tests/clouds, which make nobody wait: the seconds are those of the tool itself (and of the
emulator), and the console has the whole report at the first look. The account at AWS has three regions, each is asked.
`verify` is the whole command, in a process of its own, beside a process in which the vendor's SDK sends the same
requests (bench/bare_clouds.py). A kill is at a random call from the first look to the last deletion, half of them
before the cloud carries it out, half of them after it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from itertools import product
from random import Random

import pytest

from bench import rows
from bench.measure import ROOT
from gpucheck import clouds, userdata
from gpucheck.clouds import CLOUDS, ENDPOINT, Refused
from gpucheck.userdata import DISTRIBUTIONS, LARGEST, Setup
from tests.clouds import player, rigs
from tests.clouds.killed import quiet
from tests.clouds.proxy import Proxy, proxy
from tests.clouds.rigs import Rig
from tests.clouds.test_kill import NEVER, placing

NAME, RUN = "ana-1", "derived-tensorflow-gpu"
PACKAGE = "gpucheck[verify] @ https://example.org/gpucheck-0.1.0-py3-none-any.whl"
KEY = f"ssh-ed25519 {'A' * 68} gpucheck {NAME}"  # as long as those that `gpucheck cloud create --ssh` makes
ROUNDS = 3
KILLS = 200


@contextmanager
def rigged(provider: str) -> Iterator[tuple[Rig, Proxy]]:
    """An empty account whose first instance tells a whole report, and what counts the calls to it."""
    emulators = importlib.import_module(f"tests.clouds.emulators.{provider}")
    with ExitStack() as held:
        patch = held.enter_context(pytest.MonkeyPatch.context())
        made = emulators.emulator(patch) if provider == "aws" else held.enter_context(emulators.emulator())
        for name in ("XDG_STATE_HOME", "XDG_CACHE_HOME"):
            patch.setenv(name, held.enter_context(tempfile.TemporaryDirectory()))
        for name in ("AZURE_SUBSCRIPTION_ID", "GOOGLE_CLOUD_PROJECT"):
            patch.delenv(name, raising=False)
        rig: Rig = getattr(rigs, provider)(made)
        rig.set_console(NAME, player.booted(NAME, player.doctor("h100x8-healthy"), player.verified(RUN)))
        between = held.enter_context(proxy(rig.address))
        patch.setenv(ENDPOINT, between.address)
        yield rig, between


def timed(between: Proxy, command: Sequence[str], given: str) -> tuple[float, int]:
    """Seconds and calls of a process."""
    between.calls.clear()
    started = time.monotonic()
    done = subprocess.run(command, input=given, capture_output=True, text=True, cwd=ROOT)
    seconds = time.monotonic() - started
    if done.returncode != 0:
        sys.exit(f"bench: {' '.join(command)} ended with {done.returncode}\n{done.stderr}")
    return seconds, len(between.calls)


def verify(provider: str, add: rows.Rows) -> None:
    with rigged(provider) as (rig, between):
        account, order = rig.account(), rig.order()
        requests = json.dumps(account.request(order, account.zones(order)[0]))
        whole = (sys.executable, "-m", "gpucheck", "cloud", "verify", provider, "--type", order.instance_type,
                 "--region", order.region, "--name", NAME, "--yes", "--package", PACKAGE)  # fmt: skip
        bare = (sys.executable, "-m", "bench.bare_clouds", provider, between.address, order.region)
        runs: dict[Sequence[str], list[tuple[float, int]]] = {whole: [], bare: []}
        for _ in range(ROUNDS):
            for command, seen in runs.items():
                seen.append(timed(between, command, requests))
                if stays := rig.left():
                    sys.exit(f"bench: {' '.join(command)} left {', '.join(stays)}")
        (seconds, calls), (floor, least) = (
            [statistics.median(each) for each in zip(*seen, strict=True)] for seen in runs.values()
        )
    told, other = ("scripts/bench", "clouds"), "its SDK alone, same requests"
    add.add(f"cloud verify, {provider} emulator: the tool's time", seconds, "s", other, floor, "-", told)
    add.add(f"cloud verify, {provider} emulator: API calls", calls, "", other, least, "-", told)


def sizes() -> list[int]:
    """Bytes of the user-data over distributions, drivers and ways in; `aws`, which alone has so little room for it."""
    return [
        len(userdata.render(Setup(
            distribution=distribution, package=PACKAGE, driver=driver, provider="aws", minutes=60, run=NAME, ssh_key=key
        )).encode())
        for distribution, driver, key in product(DISTRIBUTIONS, (None, "580"), (None, KEY))
    ]  # fmt: skip


def kills(provider: str, number: int, chance: Random) -> tuple[int, int]:
    """What was left after so many kills, and after how many of them there was something to remove."""
    left = made = 0
    with rigged(provider) as (rig, between), placing(rig, whole=True) as place:
        if place(between, NEVER, True) != 0 or rig.left():
            sys.exit(f"bench: {provider}: an instance that nobody killed was not given back")
        calls = len(between.calls)
        while number:
            moment = chance.randint(1, calls), chance.random() < 0.5
            ended = place(between, *moment)
            if ended == 0:  # it was quicker than the first: nobody was killed
                continue
            if ended != -signal.SIGKILL:
                sys.exit(f"bench: {provider}: ended with {ended}, not by the kill in call {moment}")
            cut = between.calls[moment[0] - 1]
            try:
                gone = clouds.cloud(provider, rig.usual["region"]).remove(
                    None, quiet
                )  # as `destroy --all` in a new process
            except Refused as refused:
                sys.stderr.write(f"{provider}: killed at {moment} {cut}: {refused}\n")
                gone = ()
            if stays := rig.left():
                sys.stderr.write(f"{provider}: killed at {moment} {cut}: left {', '.join(stays)}\n")
            left, made, number = left + len(stays), made + bool(gone), number - 1
    return left, made


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=7)
    seed = parser.parse_args().seed
    add, told = rows.Rows(), ("scripts/bench", "clouds")
    for name, size in (("least", min(sizes())), ("most", max(sizes()))):
        add.add(f"cloud: user-data, {name}", size, "bytes", "what AWS takes", LARGEST, f"<= {LARGEST}", told)
    for provider in CLOUDS:
        verify(provider, add)
    left = made = 0
    for at, provider in enumerate(CLOUDS):
        number = KILLS // len(CLOUDS) + (at < KILLS % len(CLOUDS))
        stayed, were = kills(provider, number, Random(f"{seed} {provider}"))  # noqa: S311 - no secret
        sys.stdout.write(f"{provider}: {number} kills, {were} left something to destroy, {stayed} left after that\n")
        left, made = left + stayed, made + were
    seeded = (*told, "--seed", str(seed))
    add.add(f"cloud: {KILLS} random kills, left after `destroy --all`", left, "", "-", None, "0", seeded)
    add.add(f"cloud: {KILLS} random kills, left before it", made, "kills", "all of them", KILLS, "-", seeded)


if __name__ == "__main__":
    main()
