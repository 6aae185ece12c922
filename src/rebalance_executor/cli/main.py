"""``rebalance``: the operator's commands. Each group lives in a module of its own."""

from __future__ import annotations

from collections.abc import Callable

import typer

from rebalance_executor.cli import begin, dlq, local, operate, plans, read, sheet

app = typer.Typer(
    help="Executes portfolio rebalance plans on Alpaca: each once, no order twice, every outcome recorded.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
_PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "A plan": (plans.validate, plans.preview, plans.apply, plans.submit),
    "What became of plans": (read.status, read.watch, read.explain, read.report),
    "Operations": (begin.init, operate.doctor, operate.halt, operate.resume, operate.reconcile),
}
for panel, commands in _PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.add_typer(sheet.app, name="plan", rich_help_panel="A plan")
app.add_typer(dlq.app, name="dlq", rich_help_panel="Operations")
app.add_typer(local.app, name="local", rich_help_panel="This machine")


if __name__ == "__main__":
    app()
