"""The page of all commands, made from the same texts as their ``--help``."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import typer

from rebalance_cli import exit_codes
from rebalance_cli.enum_docs import member_docs
from rebalance_cli.main import app

_HEAD = """# Commands

Made from the code by `make reference`; a test compares. `make examples` printed the examples. After `make setup`
the command is `.venv/bin/rebalance`.
Progress and errors go to stderr, the answer to stdout. With `--json`, stdout is one JSON document that follows a
published [schema](reference.md#schemas); after an error it is a [failure](schemas/cli/failure.schema.json), which names
the next step. An environment variable in brackets is another way to set the option.
"""
_COMMON = 5
"""An option that this many commands share is listed once, under "Common options"."""


def markdown_table(columns: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Return a Markdown table; vertical bars in its cells are escaped."""
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    lines += [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |" for row in rows]
    return "\n".join(lines) + "\n"


def commands_page(examples: Mapping[str, str]) -> str:
    """Return the page.

    Args:
        examples: full name of a command, without ``rebalance`` → its command line and output.
    """
    commands = dict(_commands("rebalance", typer.main.get_command(app)))
    options = {name: _options(name, command) for name, command in commands.items()}
    uses = Counter(option for rows in options.values() for option in rows)
    common = [option for option, count in uses.items() if count >= _COMMON]
    return "\n".join(
        [
            _HEAD,
            "## Exit codes\n",
            markdown_table(("code", "name", "meaning"), _exit_codes()),
            "## Common options\n",
            markdown_table(("", "meaning"), common),
            *(
                _section(name, command, options[name], common, examples.get(name.removeprefix("rebalance "), ""))
                for name, command in commands.items()
            ),
        ]
    )


def _exit_codes() -> Iterator[tuple[str, str, str]]:
    for name, meaning in member_docs(exit_codes, "Exit"):
        yield f"`{exit_codes.Exit[name].value}`", f"`{name}`", _as_code(meaning)


def _commands(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Return every command below this one with its full name; a group is replaced by its commands."""
    below = getattr(command, "commands", None)
    if below is None:
        yield name, command
        return
    for word, child in below.items():
        yield from _commands(f"{name} {word}", child)


def _options(name: str, command: Any) -> list[tuple[str, str]]:
    """Return name and meaning of each option and argument that has a help text."""
    context = typer.Context(command, info_name=name)
    records = (parameter.get_help_record(context) for parameter in command.params)
    return [(f"`{record[0]}`", _as_code(" ".join(record[1].split()))) for record in records if record is not None]


def _section(
    name: str, command: Any, options: list[tuple[str, str]], common: list[tuple[str, str]], example: str
) -> str:
    arguments = [_argument(p) for p in command.params if p.param_type_name == "argument"]
    usage = " ".join([name, "[OPTIONS]", *arguments])
    parts = [f"## {name}\n", f"```text\n{usage}\n```\n", f"{_as_code(inspect.cleandoc(command.help or ''))}\n"]
    own = [option for option in options if option not in common]
    if own:
        parts.append(markdown_table(("", "meaning"), own))
    used = [option[0].split()[0].strip("`,") for option in options if option in common]
    if used:
        parts.append(f"Common options: {', '.join(f'`{option}`' for option in used)}.\n")
    if example:
        parts.append(f"```console\n{example}```\n")
    return "\n".join(parts)


def _argument(parameter: Any) -> str:
    """Return an argument as in a usage line: in brackets if it is optional."""
    name = str(parameter.metavar or parameter.name.upper())
    return name if parameter.required else f"[{name}]"


def _as_code(text: str) -> str:
    """Format environment variables and options as code; the help shows them as plain text."""
    quoted = re.sub(r"``([^`]+)``", r"`\1`", text)
    return re.sub(r"(?<![`\w])(--[a-z][a-z-]*|[A-Z]+_[A-Z_]+)(?![`\w])", r"`\1`", quoted)
