"""How every command speaks: its answer on stdout, the rest on stderr, and what goes wrong as a sentence.

Names, reasons and messages come from plans, people and brokers: they are shown as they are, never read as markup.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import requests
import typer
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    NoCredentialsError,
    NoRegionError,
    PartialCredentialsError,
    ProfileNotFound,
)
from pydantic import BaseModel
from rich.console import Console, RenderableType

from rebalance_cli.exit_codes import CliError, Exit, error_exit_code
from rebalance_cli.outputs import Failure
from rebalance_cli.views.result import error_view
from rebalance_executor.domain.errors import InvalidInput, RebalanceError, Redeliver

_NOT_SET_UP = (NoRegionError, NoCredentialsError, PartialCredentialsError, ProfileNotFound)
_DOCTOR = "Find out which: rebalance doctor"


@contextmanager
def command(*, as_json: bool = False, after_silence: str = _DOCTOR) -> Iterator[tuple[Console, Console]]:
    """A command's two consoles: for what is said beside the answer, and for the answer as a person reads it.

    What goes wrong in the block becomes a sentence with the next command, and with ``as_json`` a document, too.

    Args:
        as_json: stdout is for JSON alone.
        after_silence: the next step where a server does not answer as it should.
    """
    console = _console(stderr=True)
    try:
        yield console, _console(stderr=as_json)
    except BrokenPipeError:
        raise  # who read the answer has read enough
    except (CliError, RebalanceError, OSError, BotoCoreError, ClientError, typer.Abort, KeyboardInterrupt) as error:
        problem = _as_problem(error, after_silence)
        if as_json:
            code = error.code if isinstance(error, RebalanceError) else problem.code.name
            typer.echo(failure(problem, code).model_dump_json())
        if isinstance(error, typer.Abort):
            console.print()  # the question's line is not ended
        console.print(error_view(problem.problem, problem.next_step))
        raise typer.Exit(problem.code) from None


def _console(*, stderr: bool) -> Console:
    return Console(stderr=stderr, markup=False, emoji=False)


def failure(problem: CliError, code: str) -> Failure:
    """What a command answers with ``--json`` where there is no other answer."""
    return Failure(error=problem.problem, code=code, next=problem.next_step, exit_code=problem.code)


def answer(value: BaseModel, view: RenderableType, *, as_json: bool, out: Console) -> None:
    """Print the answer: as JSON on stdout, or as a person reads it."""
    if as_json:
        typer.echo(value.model_dump_json(indent=2))
    else:
        out.print(view)


def _as_problem(error: BaseException, after_silence: str) -> CliError:
    match error:
        case CliError():
            return error
        case RebalanceError():
            return CliError(f"{error.code}  {error}", _next_after(error), error_exit_code(error))
        case typer.Abort():
            return CliError("Nobody confirmed it. Nothing was done.", "Answer the question, or give its option: --help")
        case KeyboardInterrupt():
            text = "Interrupted. What was journalled is kept."
            return CliError(text, "Type it again: a plan goes on where it stopped.", Exit.INTERRUPTED)
        case BotoCoreError() if isinstance(error, _NOT_SET_UP):
            return CliError(f"AWS is not set up here: {error}", "Set AWS_REGION and credentials: aws configure")
        case OSError() if not isinstance(error, requests.RequestException):
            where = f"{error.filename}: " if error.filename else ""
            return CliError(f"{where}{error.strerror or error}.", "Name a file that can be read or written there.")
    text = f"A server did not answer as it should: {type(error).__name__}: {error}"
    return CliError(text, after_silence, Exit.BROKEN)


def _next_after(error: RebalanceError) -> str:
    if isinstance(error, Redeliver):
        return "Find out what does not answer: rebalance doctor"
    if isinstance(error, InvalidInput):
        return "List every problem: rebalance validate PLAN"
    return "Find out what is wrong: rebalance doctor"
