"""``rebalance``: the operator's commands. Each group lives in a module of its own."""

from __future__ import annotations

import typer

from rebalance_executor.cli import local, plans, read, sheet

app = typer.Typer(
    help="Executes portfolio rebalance plans on Alpaca: each once, no order twice, every outcome recorded.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for command in (plans.validate, plans.preview, plans.apply, plans.submit):
    app.command(rich_help_panel="A plan")(command)
for command in (read.status, read.watch, read.explain, read.report):
    app.command(rich_help_panel="What became of plans")(command)
app.add_typer(sheet.app, name="plan", rich_help_panel="A plan")
app.add_typer(local.app, name="local", rich_help_panel="This machine")


if __name__ == "__main__":
    app()
