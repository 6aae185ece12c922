"""``rebalance``: the operator's commands. Each group lives in a module of its own."""

from __future__ import annotations

from collections.abc import Callable

import typer

from rebalance_cli.commands import dead_letters, from_csv, init, inspect, local, operations, plan

app = typer.Typer(
    help="Executes portfolio rebalance plans on Alpaca: each once, no order twice, every outcome recorded.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
_PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "A plan": (plan.validate, plan.preview, plan.apply, plan.submit),
    "What became of plans": (inspect.status, inspect.watch, inspect.explain, inspect.report),
    "Operations": (init.init, operations.doctor, operations.halt, operations.resume, operations.reconcile),
}
for panel, commands in _PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.add_typer(from_csv.app, name="plan", rich_help_panel="A plan")
app.add_typer(dead_letters.app, name="dlq", rich_help_panel="Operations")
app.add_typer(local.app, name="local", rich_help_panel="This machine")


if __name__ == "__main__":
    app()
