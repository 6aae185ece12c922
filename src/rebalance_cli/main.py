"""The ``rebalance`` command with its subcommands, in the panels of the help."""

from __future__ import annotations

import platform
from collections.abc import Callable
from importlib.metadata import version
from typing import Annotated

import typer

from rebalance_cli.commands import (
    apply,
    calibrate,
    costs,
    dead_letters,
    init,
    inspect,
    local,
    new_plans,
    operations,
    plan,
    publish,
    serve,
)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        typer.echo(f"rebalance {version('rebalance_executor')} (Python {platform.python_version()})")
        raise typer.Exit


app = typer.Typer(
    help="Execute portfolio rebalance plans on Alpaca: each plan once, no order twice, every outcome recorded.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def _root(
    *,
    version: Annotated[
        bool,
        typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True),
    ] = False,
) -> None:
    """Options of the program itself."""


_PANELS: dict[str, tuple[Callable[..., None], ...]] = {
    "Plans": (plan.validate, plan.preview, apply.apply, plan.submit),
    "Results": (
        inspect.status,
        inspect.watch,
        inspect.explain,
        inspect.report,
        serve.serve,
        costs.costs,
        calibrate.calibrate,
    ),
    "Operations": (
        *(init.init, operations.doctor, operations.halt, operations.resume),
        *(operations.bind, operations.reconcile, publish.publish),
    ),
}
for panel, commands in _PANELS.items():
    for command in commands:
        app.command(rich_help_panel=panel)(command)
app.add_typer(new_plans.app, name="plan", rich_help_panel="Plans")
app.add_typer(dead_letters.app, name="dlq", rich_help_panel="Operations")
app.add_typer(local.app, name="local", rich_help_panel="This machine")


if __name__ == "__main__":
    app()
