"""`gpucheck cloud list` and `destroy`: what is ours in an account, and its end."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import typer

from gpucheck.cli.cloud_options import a_name
from gpucheck.cli.screen import complain, saying
from gpucheck.clouds import CLOUDS
from gpucheck.consoles import clean
from gpucheck.model import Failure

if TYPE_CHECKING:
    from gpucheck.clouds import Cloud, Machine, Resource

NOT_KNOWN = 3


def listing(
    cloud: Annotated[str | None, typer.Argument(help="Default: all three.", metavar="[CLOUD]")] = None,
) -> int:
    """All that is ours, in all regions, by its tag: instances, and what was left beside them."""
    failed = 0
    for provider in _clouds(cloud):
        try:
            account = account_of(provider)
            machines = [machine for machine in account.machines() if machine.state != "gone"]
            resources = account.resources()
        except Failure as failure:  # one cloud that does not answer hides no other
            complain(f"{provider}: not known: {failure}", failure.tip)
            failed = NOT_KNOWN
            continue
        sys.stdout.writelines(line(machine) for machine in machines)
        sys.stdout.writelines(_resource(provider, each) for each in resources if each.kind != "instance")
        if any(each.kind == "unknown" for each in resources):
            failed = NOT_KNOWN
        if not machines and not resources:
            sys.stdout.write(f"{provider}: nothing of gpucheck's\n")
    return failed


def destroy(
    cloud: Annotated[str | None, typer.Argument(help="Default: all three.", metavar="[CLOUD]")] = None,
    name: Annotated[str | None, typer.Argument(help="The run.", metavar="[NAME]", callback=a_name)] = None,
    everything: Annotated[bool, typer.Option("--all", help="Every run of gpucheck, in all regions.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
) -> int:
    """End and delete a run, or all: instances, disks, addresses, interfaces, groups. Nothing there is no error."""
    from gpucheck import ssh as door

    if (name is None) is not everything:
        raise Failure(
            "which run?", "`gpucheck cloud destroy CLOUD NAME`, or --all; `gpucheck cloud list` has the names"
        )
    failed = 0
    for provider in _clouds(cloud):
        try:
            account = account_of(provider)
            found = account.resources(name)
            sys.stdout.writelines(_resource(provider, each) for each in found)
            if found and everything and not yes and not confirmed(f"destroy these {len(found)}?"):
                return 1
            if any(each.kind == "unknown" for each in found):
                failed = NOT_KNOWN  # what is there is not known, so it is not known to be gone
            with saying() as say:
                gone = account.remove(name, say)
        except Failure as failure:
            complain(f"{provider}: not known to be empty: {failure}", failure.tip)
            failed = NOT_KNOWN
            continue
        for run in {each.name for each in gone if each.name} | ({name} if name else set()):
            door.forget(provider, run)
        sys.stdout.write(f"{provider}: {f'{len(gone)} gone' if gone else 'nothing was there'}\n")
    return failed


def account_of(provider: str, region: str | None = None) -> Cloud:
    from gpucheck import clouds

    return clouds.cloud(provider, region)


def _clouds(given: str | None) -> Iterator[str]:
    if given is not None and given not in CLOUDS:
        raise Failure(f"there is no cloud {given!r}", ", ".join(CLOUDS))
    yield from (given,) if given else CLOUDS


def confirmed(question: str) -> bool:
    """Raises Failure where there is no terminal to ask on."""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise Failure("there is no terminal to ask on", "`--yes` asks nothing; `--dry-run` shows what would be sent")
    with suppress(typer.Abort):
        return typer.confirm(question, err=True)
    return False


def line(machine: Machine) -> str:
    spot = " spot" if machine.spot else ""
    ends = f"ends itself at {machine.expires:%H:%M} UTC" if machine.expires else "of unknown end"
    where = machine.zone or machine.region
    words = (
        f"{machine.provider}  {machine.name}  of {machine.owner or 'nobody'}  {machine.instance_type}{spot}  {where}  "
        f"{machine.state}  {machine.address or '-'}  {ends}"
    )
    return f"{clean(words)}\n"


def _resource(provider: str, each: Resource) -> str:
    return clean(f"{provider}  {each.name or '-'}  {each.kind}  {each.id}  {each.region}") + "\n"
