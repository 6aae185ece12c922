"""The manual of all commands as a document, from what their own ``--help`` is made of."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterable, Iterator
from typing import Any

import typer

from rebalance_cli import exit_codes
from rebalance_cli.enum_docs import member_docs
from rebalance_cli.main import app

_HEAD = """# Commands

Made from the code by `make reference`; a test compares. After `make setup` the command is `.venv/bin/rebalance`. It
says on stderr what goes on, and on stdout what came out. With `--json` stdout is one JSON document that follows a
published [schema](reference.md#schemas); what ends with an error answers with a
[failure](schemas/cli/failure.schema.json), which names the next command. An environment variable in brackets sets an
option, too.
"""


def markdown_table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """A table of a document; bars in its cells are not its own."""
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """The document."""
    codes = markdown_table(("code", "name", "meaning"), _codes())
    commands = [_section(name, command) for name, command in _commands("rebalance", typer.main.get_command(app))]
    return "\n".join([_HEAD, "## Exit codes\n", codes, *commands])


def _codes() -> Iterator[tuple[str, str, str]]:
    for name, meaning in member_docs(exit_codes, "Exit"):
        yield f"`{exit_codes.Exit[name].value}`", f"`{name}`", _as_code(meaning)


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Every command below this one with the words that are typed, groups opened."""
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
        return
    for word, child in below.items():
        yield from _commands(f"{name} {word}", child)


def _section(name: str, command: Any) -> str:
    context = typer.Context(command, info_name=name)
    words = [_word(parameter) for parameter in command.params if parameter.param_type_name == "argument"]
    rows = [_row(record) for p in command.params if (record := p.get_help_record(context)) is not None]
    text = _as_code(inspect.cleandoc(command.help or ""))
    usage = " ".join([name, "[OPTIONS]", *words])
    return "\n".join([f"## {name}\n", f"```text\n{usage}\n```\n", f"{text}\n", markdown_table(("", "meaning"), rows)])


def _word(argument: Any) -> str:
    return str(argument.metavar or argument.name.upper())


def _row(record: tuple[str, str]) -> tuple[str, str]:
    name, meaning = record
    return f"`{name}`", _as_code(" ".join(meaning.split()))


def _as_code(text: str) -> str:
    """What the help leaves plain: environment variables and options are code in a document."""
    quoted = re.sub(r"``([^`]+)``", r"`\1`", text)
    return re.sub(r"(?<![`\w])(--[a-z][a-z-]*|[A-Z]+_[A-Z_]+)(?![`\w])", r"`\1`", quoted)
