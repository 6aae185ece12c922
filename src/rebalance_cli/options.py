"""Options that several commands share, and the decorators that add them to a command.

A decorated function receives a ``CommandSession`` in place of the shared options. Typer reads the signature that the
decorator builds: the parameters of the function, then the shared options.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Concatenate

import typer
from pydantic import BaseModel
from rich.console import Console, RenderableType

from rebalance_cli.command_line import CONFIG_FILE, CONFIG_VARIABLE, DATA_DIR, DATA_DIR_VARIABLE, TargetOptions
from rebalance_cli.console import command
from rebalance_cli.context import CliContext, cli_context
from rebalance_cli.views.tables import print_next

PlanId = Annotated[str, typer.Argument(metavar="PLAN", help="Plan ID, or a file with the plan.")]
PlanFile = Annotated[Path, typer.Argument(metavar="PLAN", help="File with a plan, in any envelope.")]
Hash = Annotated[
    str | None,
    typer.Option("--hash", help="Stop unless the plan's hash (see preview) starts with this."),
]
AccountDigits = Annotated[
    str | None,
    typer.Option("--confirm-account", help="Last digits of the broker's account number; required for real money."),
]
NewWorld = Annotated[
    bool,
    typer.Option("--new-world", help="Set the simulated account up again, with the positions and cash of this plan."),
]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")]

_SHARED: dict[str, tuple[object, Any]] = {
    "account": (
        Annotated[str | None, typer.Option("--account", help="Account name (default: the configured account).")],
        None,
    ),
    "data_dir": (
        Annotated[
            Path,
            typer.Option("--data-dir", envvar=DATA_DIR_VARIABLE, help="Directory for local data and logs."),
        ],
        DATA_DIR,
    ),
    "config_file": (
        Annotated[Path, typer.Option("--config", envvar=CONFIG_VARIABLE, help="File that selects the target.")],
        CONFIG_FILE,
    ),
    "as_json": (
        Annotated[bool, typer.Option("--json", help="Print JSON on stdout, all other output on stderr.")],
        False,
    ),
}


@dataclass(frozen=True, slots=True)
class CommandSession:
    """Output and shared options of one command."""

    console: Console
    """Progress and notes, on stderr."""
    out: Console
    """The answer as text: on stdout, or on stderr with ``--json``."""
    as_json: bool
    account: str | None
    """The account that was chosen, if any."""
    options: TargetOptions

    def context(self) -> AbstractContextManager[CliContext]:
        """Return the context of the configured target; see ``cli_context``."""
        return cli_context(self.options, self.console)

    def answer(self, value: BaseModel, view: RenderableType, next_step: str | None = None) -> None:
        """Print the answer: as JSON on stdout, or as text with the next step."""
        if self.as_json:
            typer.echo(value.model_dump_json(indent=2))
            return
        self.out.print(view)
        if next_step is not None:
            print_next(self.out, next_step)


def _check_dependencies(options: TargetOptions, account: str | None) -> str:
    account_option = ["--account", account] if account is not None else []
    return f"Check every dependency: {options.command('doctor', *account_option)}"


def _restart_servers(options: TargetOptions, _account: str | None) -> str:
    down, reset = options.command("local", "down"), options.command("local", "reset")
    return f"Try again. If it fails again: {down}, then {reset}"


type _Decorator = Callable[[Callable[Concatenate[CommandSession, ...], None]], Callable[..., None]]


def _with_options(
    *names: str, server_error_next: Callable[[TargetOptions, str | None], str] = _check_dependencies
) -> _Decorator:
    """Return a decorator that adds these shared options and prints errors; see ``console.command``.

    Args:
        names: names of the shared options.
        server_error_next: returns the next step after a failure of a server, given the target and the account.
    """

    def decorate(function: Callable[Concatenate[CommandSession, ...], None]) -> Callable[..., None]:
        @functools.wraps(function)
        def run(**values: Any) -> None:
            shared = {name: values.pop(name) for name in names}
            account, as_json = shared.pop("account", None), shared.pop("as_json")
            options = TargetOptions(**shared)
            with command(options, as_json=as_json, server_error_next=server_error_next(options, account)) as consoles:
                function(CommandSession(*consoles, as_json, account, options), **values)

        signature = inspect.signature(function, eval_str=True)
        own = list(signature.parameters.values())[1:]
        parameters = [*own, *(_parameter(name) for name in names)]
        run.__dict__["__signature__"] = signature.replace(parameters=parameters)
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        return run

    return decorate


def _parameter(name: str) -> inspect.Parameter:
    annotation, default = _SHARED[name]
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


account_command = _with_options("account", "data_dir", "config_file", "as_json")
"""A command on one account of the target."""
target_command = _with_options("data_dir", "config_file", "as_json")
"""A command on the target whose account follows from its plan or message."""
config_command = _with_options("config_file", "as_json")
"""A command that only needs the configuration file."""
local_command = _with_options("data_dir", "as_json", server_error_next=_restart_servers)
"""A command on the servers of this machine."""
plain_command = _with_options("as_json")
"""A command that needs no target."""
