"""`gpucheck cloud`: rent a GPU instance, prove that training runs on its GPU, fetch the report, give it back."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from gpucheck.cli import cloud_account, cloud_files
from gpucheck.cli.cloud_account import account_of, confirmed, line
from gpucheck.cli.cloud_options import Where, a_name, of_an_order
from gpucheck.cli.examples import epilog
from gpucheck.cli.manners import mannered
from gpucheck.cli.options import a_format
from gpucheck.cli.screen import complain, manners, saying, show, write_whole
from gpucheck.clouds import Asked
from gpucheck.model import Failure, Report

if TYPE_CHECKING:
    from gpucheck.clouds import Cloud, Machine, Resource
    from gpucheck.ordering import Ordered
    from gpucheck.renting import Home

NOT_KNOWN = 3

app = typer.Typer(
    help="Rent a GPU instance, prove that training runs on its GPU, fetch the report, give it back.",
    no_args_is_help=True, rich_markup_mode=None,
)  # fmt: skip
Name = Annotated[
    str, typer.Argument(help="The run's name, as `gpucheck cloud list` has it.", metavar="NAME", callback=a_name)
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask before it costs.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the exact request; send nothing that costs.")]
Folder = Annotated[Path | None, typer.Option("--output", "-o", help="Also keep the reports here.", metavar="DIR")]
Format = Annotated[str, typer.Option(help="How to print the report.", callback=a_format)]


def verify(
    asked: Asked, yes: Yes = False, dry_run: DryRun = False, output: Folder = None, format: Format = "terminal"
) -> int:
    """Rent, set up, prove, fetch the report, give back: whatever comes between, it is given back.

    The exit code is the verdict's.
    """
    from gpucheck import renting
    from gpucheck.ordering import ordered

    what = ordered(asked)
    _writable(output)
    account = account_of(asked.provider, what.order.region)
    if not _agreed(account, what, yes, dry_run):
        return 0
    if not yes:
        what = ordered(asked)  # its time begins as it is agreed to, not as it was asked
    home: Home | None = None
    try:
        with saying() as say, renting.rented(account, what.order, say, _returned) as machine:
            home = renting.proven(account, machine, what.order.name, say)
    except Failure:
        if home:  # it could not be given back, and what it proved is here
            _judged(home, output, format, asked.framework)
        raise
    return _judged(home, output, format, asked.framework)


def create(
    asked: Asked,
    ssh: Annotated[bool, typer.Option("--ssh", help="Open port 22, to your address alone.")] = False,
    ssh_from: Annotated[
        str | None, typer.Option(help="That address. Default: as checkip.amazonaws.com sees it.", metavar="CIDR")
    ] = None,
    yes: Yes = False,
    dry_run: DryRun = False,
) -> int:
    """Rent an instance that sets itself up and proves itself, and leave it until its end of life."""
    from gpucheck import renting
    from gpucheck import ssh as door
    from gpucheck.ordering import ordered

    if ssh or ssh_from:
        address, name = door.own_address(ssh_from), ordered(asked).order.name
        asked = replace(asked, ssh_key=door.key(asked.provider, name), ssh_from=address)
    what = ordered(asked)
    account = account_of(asked.provider, what.order.region)
    if not _agreed(account, what, yes, dry_run):
        return 0
    if not yes:
        what = ordered(asked)  # its time begins as it is agreed to, not as it was asked
    if asked.ssh_key:
        door.keep_login(asked.provider, what.order.name, what.login)
    with saying() as say:
        machine = renting.made(account, what.order, say)
    sys.stdout.write(line(machine))
    complain(
        f"its report: `gpucheck cloud report {machine.provider} {machine.name}`",
        f"give it back before its time: `gpucheck cloud destroy {machine.provider} {machine.name}`",
    )
    return 0


def report(cloud: Where, name: Name, output: Folder = None, format: Format = "terminal") -> int:
    """The report of an instance that was made by `create`, as soon as it is there."""
    from gpucheck import renting

    _writable(output)
    account = account_of(cloud)
    machine = _machine(account, cloud, name)
    with saying() as say:
        home = renting.proven(account, machine, name, say)
    return _judged(home, output, format)


def ssh(
    cloud: Where,
    name: Name,
    command: Annotated[list[str] | None, typer.Argument(help="What to run there.", metavar="[-- COMMAND...]")] = None,
) -> int:
    """Onto an instance that was made by `create --ssh`; its host key is the one that its console told."""
    from gpucheck import consoles, rentals
    from gpucheck import ssh as door

    account = account_of(cloud)
    machine = _machine(account, cloud, name)
    if not machine.address:
        raise Failure(f"{name} is {machine.state} and has no address", "wait a minute, and again", NOT_KNOWN)
    line = door.command(cloud, name, door.login(cloud, name) or rentals.login(cloud), machine.address)
    keys = consoles.read(account.console(machine), name).host_keys
    if not keys:
        raise Failure(f"the console of {name} has not told its host key yet", "wait a minute, and again", NOT_KNOWN)
    door.pin(cloud, name, machine.address, keys)
    sys.stdout.flush()
    try:
        os.execvp(line[0], (*line, *(command or ())))  # noqa: S606 - no shell is wanted
    except FileNotFoundError as missing:
        raise Failure("there is no ssh here", "install OpenSSH's client") from missing


def _machine(account: Cloud, provider: str, name: str) -> Machine:
    for machine in account.machines(name):
        return machine
    raise Failure(f"there is no {name} on {provider}", f"`gpucheck cloud list {provider}` has what there is")


def _agreed(account: Cloud, what: Ordered, yes: bool, dry_run: bool) -> bool:
    """The exact request and its price on stderr, and whether to go on. Raises Failure where nobody can be asked."""
    from gpucheck import renting
    from gpucheck.render.request import shown

    there = renting.living(account, what.order.name)
    if there:
        renting.same(there, what.order)
        complain(f"{there.name} is there already and is used again", None)
    elif dry_run or not yes or manners.detail == "verbose":
        zone = next(iter(account.zones(what.order)), None)
        (sys.stdout if dry_run else sys.stderr).write(shown(account.request(what.order, zone or None)))
    if manners.detail != "quiet":
        complain(what.price, None)
    if dry_run:
        return False
    if not yes and not confirmed("rent it?"):
        raise Failure("nothing was rented", "`--yes` asks nothing")
    return True


def _judged(home: Home, output: Path | None, format: str, framework: str | None = None) -> int:
    """Print the last report, keep them all, and the exit code: 3 where the one that answers did not come.

    `framework`: the one that was asked for, where one was.
    """
    from gpucheck import renting, reports

    found: dict[str, Report] = {}
    for name, data in home.console.reports.items():
        try:
            report = reports.of_bytes(data, f"the report {name} of {home.machine.name}")
        except Failure as torn:
            complain(str(torn), None)
            continue
        if report.command == name:
            found[name] = report
    missing = renting.complaint(home)
    last = next((found[name] for name in (renting.ANSWERS, "doctor") if name in found), None)
    code = show(last, format, strict=False) if last else NOT_KNOWN
    if output:
        for name, data in home.console.reports.items():
            write_whole(output / f"{name}.json", data)
    if missing:
        complain(*missing)
    if missing or renting.ANSWERS not in found:
        return NOT_KNOWN
    if (proven := _framework(found[renting.ANSWERS])) and framework and proven != framework.partition("==")[0]:
        complain(
            f"{home.machine.name} proved {proven}, not {framework}: it was there already, set up for that",
            f"another --name, or `gpucheck cloud destroy {home.machine.provider} {home.machine.name}` first",
        )
        return NOT_KNOWN
    return code


def _framework(report: Report) -> str | None:
    """What it was asked to train with; None where it does not say."""
    from gpucheck.facts import Request

    asked = report.facts.known.get(Request)
    words = asked.command if asked else ()
    return next((value.partition("==")[0] for word, value in pairwise(words) if word == "--framework"), None)


def _writable(output: Path | None) -> None:
    """Raises Failure for a folder that could not be written to, before anything costs."""
    if output is None:
        return
    try:
        output.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise Failure(f"{output} cannot be a folder for the reports: {error.strerror}", "another --output") from error
    if not os.access(output, os.W_OK | os.X_OK):
        raise Failure(f"nothing may be written to {output}", "another --output")


def _returned(gone: Sequence[Resource]) -> None:
    complain(f"given back: {', '.join(f'{each.kind} {each.id}' for each in gone) or 'nothing was there'}", None)


app.command(epilog=epilog("cloud verify"))(mannered(of_an_order(verify)))
app.command(epilog=epilog("cloud create"))(mannered(of_an_order(create)))
app.command("list", epilog=epilog("cloud list"))(mannered(cloud_account.listing))
app.command(epilog=epilog("cloud report"))(mannered(report))
app.command(epilog=epilog("cloud ssh"))(mannered(ssh))
app.command(epilog=epilog("cloud destroy"))(mannered(cloud_account.destroy))
app.command(epilog=epilog("cloud offers"))(mannered(cloud_files.offers))
app.command(epilog=epilog("cloud init"))(mannered(cloud_files.init))
app.command(epilog=epilog("cloud render"))(mannered(of_an_order(cloud_files.render)))
