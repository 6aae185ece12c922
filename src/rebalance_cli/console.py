"""Output of every command: the answer on stdout, progress and errors on stderr.

Names, reasons and messages come from plans, operators and brokers. They are printed literally, never read as markup,
and without control characters.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import IO, cast

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
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from rebalance_cli.command_line import TargetOptions
from rebalance_cli.exit_codes import CliError, Exit, error_exit_code
from rebalance_cli.outputs import Failure
from rebalance_cli.streams import Output, OutputClosed, discard_all
from rebalance_cli.views.tables import facts, print_error
from rebalance_executor.domain.errors import InvalidInput, RebalanceError
from rebalance_sandbox.errors import SandboxError, SandboxFailed, SandboxUnfinished

_AWS_NOT_CONFIGURED = (NoRegionError, NoCredentialsError, PartialCredentialsError, ProfileNotFound)
_EXPECTED_ERRORS = (
    CliError,
    SandboxError,
    RebalanceError,
    OSError,
    BotoCoreError,
    ClientError,
    typer.Abort,
    KeyboardInterrupt,
)


_UNSAFE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that a terminal obeys or that reorder a line, and halves of surrogate pairs, which cannot be printed."""


class SafeConsole(Console):
    """A console that replaces control characters in texts, so that no text can send commands to the terminal.

    Rich's own control sequences are not part of a text and still work.
    """

    def on_broken_pipe(self) -> None:
        """Let the command handle a closed output; Rich would end the process.

        Raises:
            OutputClosed: always.
        """
        raise OutputClosed(errno.EPIPE, "the output was closed")

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Render without control characters; each becomes U+FFFD."""
        for segment in super().render(renderable, options):
            if segment.control or not _UNSAFE.search(segment.text):
                yield segment
            else:
                yield Segment(_UNSAFE.sub("\ufffd", segment.text), segment.style)


@contextmanager
def command(options: TargetOptions, *, as_json: bool, server_error_next: str) -> Iterator[tuple[Console, Console]]:
    """Provide a command's two consoles: for progress and notes, and for the answer as text.

    An error in the block is printed with the next step, as JSON on stdout as well if ``as_json`` is set, and ends the
    command with its exit code.

    Args:
        options: options that select the command's target.
        as_json: reserve stdout for JSON.
        server_error_next: next step to print after a failure of a server.
    """
    console = _console(stderr=True)
    try:
        yield console, _console(stderr=as_json)
    except BrokenPipeError:  # no problem to report: the reader has closed the output
        discard_all()
        raise typer.Exit(Exit.OUTPUT_CLOSED) from None
    except _EXPECTED_ERRORS as error:
        problem = _to_cli_error(error, options, server_error_next)
        if as_json:
            code = error.code if isinstance(error, RebalanceError) else problem.code.name
            typer.echo(failure(problem, code).model_dump_json())
        if isinstance(error, typer.Abort):
            console.print()  # ends the line of the question
        print_error(console, problem.problem, problem.next_step)
        raise typer.Exit(problem.code) from None


def _console(*, stderr: bool) -> Console:
    output = cast("IO[str]", Output("stderr" if stderr else "stdout"))
    return SafeConsole(file=output, stderr=stderr, markup=False, emoji=False)


def confirm(question: str, otherwise: str) -> None:
    """Ask a question on stderr.

    Args:
        question: question to answer with yes or no.
        otherwise: next step to print if the answer is no, or if no person can answer.

    Raises:
        CliError: the answer is no, or there is none.
    """
    try:
        if typer.confirm(question, err=True):
            return
    except typer.Abort:  # Ctrl-C, or the input has ended
        typer.echo(err=True)
    raise CliError("Not confirmed; nothing was done.", otherwise)


def failure(problem: CliError, code: str) -> Failure:
    """Return the JSON answer of a command that ends with an error."""
    return Failure(error=problem.problem, code=code, next=problem.next_step, exit_code=problem.code)


def print_fact(console: Console, name: str, text: str, style: str = "") -> None:
    """Print one line of progress, aligned with the lines of the answer."""
    console.print(facts([(name, Text(text, style))]))


def _to_cli_error(error: BaseException, options: TargetOptions, server_error_next: str) -> CliError:
    match error:
        case CliError():
            return error
        case SandboxError():
            command = f": {options.command(*error.command)}" if error.command else ""
            return CliError(error.problem, error.next_step + command, _sandbox_exit_code(error))
        case InvalidInput() if error.field in ("by", "reason"):
            return CliError(f"{error.code}  {error}", f"Give it with --{error.field}.")
        case InvalidInput():
            return CliError(f"{error.code}  {error}", "Correct the value named above, then try again.")
        case RebalanceError():
            return CliError(f"{error.code}  {error}", server_error_next, error_exit_code(error))
        case typer.Abort():
            return CliError("Not confirmed; nothing was done.", "Answer the question, or see the options: --help")
        case KeyboardInterrupt():
            text = "Interrupted. The journal keeps what was recorded so far."
            return CliError(text, "Run the same command again: a plan continues where it stopped.", Exit.INTERRUPTED)
        case BotoCoreError() if isinstance(error, _AWS_NOT_CONFIGURED):
            return CliError(f"AWS is not configured: {error}", "Set AWS_REGION and credentials: aws configure")
        case OSError() if not isinstance(error, requests.RequestException):
            where = f"{error.filename}: " if error.filename else ""
            return CliError(f"{where}{error.strerror or error}.", "Check the path and its permissions.")
    return CliError(f"A server failed: {type(error).__name__}: {error}", server_error_next, Exit.BROKEN)


def _sandbox_exit_code(error: SandboxError) -> Exit:
    if isinstance(error, SandboxUnfinished):
        return Exit.IN_PROGRESS
    return Exit.BROKEN if isinstance(error, SandboxFailed) else Exit.USAGE
