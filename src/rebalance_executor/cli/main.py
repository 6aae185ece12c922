"""``rebalance``: the operator's commands. Each group lives in a module of its own."""

from __future__ import annotations

import typer

from rebalance_executor.cli import local

app = typer.Typer(
    help="Executes portfolio rebalance plans on Alpaca: each once, no order twice, every outcome recorded.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)
app.add_typer(local.app, name="local")


@app.callback()
def commands() -> None:
    """Keep ``rebalance`` a group of groups, also while it has only one."""


if __name__ == "__main__":
    app()
