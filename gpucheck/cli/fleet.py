"""`gpucheck fleet`: many machines: their reports judged together, the odd one named."""

from __future__ import annotations

import typer

from gpucheck.cli import fleet_drain, fleet_hooks, fleet_node, fleet_report, fleet_run
from gpucheck.cli.examples import epilog
from gpucheck.cli.manners import mannered

app = typer.Typer(help="Many machines: the odd one named, the commonest cause first.",
                  no_args_is_help=True, rich_markup_mode=None)  # fmt: skip
app.command("report", epilog=epilog("fleet report"))(mannered(fleet_report.report))
app.command("run", epilog=epilog("fleet run"))(mannered(fleet_run.run))
app.command("drain", epilog=epilog("fleet drain"))(mannered(fleet_drain.drain))
app.command("hooks", epilog=epilog("fleet hooks"))(mannered(fleet_hooks.hooks))
app.command("node", epilog=epilog("fleet node"))(mannered(fleet_node.node))


@app.callback()
def fleet() -> None:
    """With it `fleet` stays a group while it has one command alone."""
