"""Documents whose commands are run and whose shown output is compared with the actual output.

A ``console`` block is a session: lines that start with ``$ `` are commands, the lines below a command are its output.
A shown line matches with any numbers, times and IDs. ``…`` stands for any text, and on a line by itself for any lines.
A ``csv`` or ``json`` block with a ``title`` is a file that the reader creates.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

FILE_LANGUAGES = ("csv",)
"""Languages of the blocks that a reader saves as a file."""
_PROMPT = "$ "
_ANY = "…"
_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b(?=[a-f]*\d)[0-9a-f]{8,64}\b"
_NUMBER = r"[-−+]?\d[\d.,:]*"
_NEW_YORK = r"\((?:[-\d]+ )?[:\d]+ New York\)"
"""A time in New York, with its date in the hours in which that is not the date in UTC."""
_TOKEN = re.compile(
    rf"(?P<new_york>{_NEW_YORK})|(?P<id>{_ID})|(?P<number>{_NUMBER})|(?P<rule>─+)|(?P<any>{_ANY})|(?P<gap>\s+)"
)
_LIKE = {"new_york": _NEW_YORK, "id": f"({_ID})", "number": _NUMBER, "rule": "─+", "any": ".*", "gap": r"\s+"}
"""Pattern that each kind of token in a shown line matches."""
_ENDED = "-- ended with "


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    language: str
    title: str | None
    text: str
    line: int
    """First line of the block in its document, counted from 1."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a session, with the output that the document shows for it."""

    text: str
    expected: tuple[str, ...]
    line: int


class OutputDiffers(AssertionError):
    """The output of a command differs from what the document shows."""


@dataclass(frozen=True, slots=True)
class CommandOutput:
    """Exit code and output of a command."""

    code: int
    output: str


def blocks(path: Path) -> list[Block]:
    """Return the fenced blocks of a document, in order."""
    tokens = MarkdownIt().parse(path.read_text(encoding="utf-8"))
    return [_block(token.info, token.content, token.map or [0, 0]) for token in tokens if token.type == "fence"]


def _block(info: str, text: str, lines: Sequence[int]) -> Block:
    words = shlex.split(info)
    titles = [word.removeprefix("title=") for word in words if word.startswith("title=")]
    return Block(words[0] if words else "", titles[0] if titles else None, text, lines[0] + 1)


def commands(block: Block) -> list[Command]:
    """Return the commands of a session.

    Raises:
        ValueError: there is output above the first command.
    """
    sessions: list[tuple[str, list[str], int]] = []
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        if line.startswith(_PROMPT):
            sessions.append((line.removeprefix(_PROMPT), [], number))
        elif not sessions:
            raise ValueError(f"line {number} is the output of no command")
        else:
            sessions[-1][1].append(line)
    return [Command(text, tuple(expected), number) for text, expected, number in sessions]


def compare(expected: Sequence[str], output: str) -> dict[str, str]:
    """Compare the output that a document shows with the actual output; empty lines are ignored.

    Returns:
        Shown ID → actual ID.

    Raises:
        OutputDiffers: names the first line that differs.
    """
    actual_lines = [line.strip() for line in output.splitlines() if line.strip()]
    expected_lines = [line.strip() for line in expected if line.strip()]
    ids: dict[str, str] = {}
    position, reach = 0, 1
    for line in expected_lines:
        if line == _ANY:
            reach = len(actual_lines)
            continue
        pattern, names = _pattern(line)
        candidates = range(position, min(position + reach, len(actual_lines)))
        matches = ((number, pattern.fullmatch(actual_lines[number])) for number in candidates)
        number, match = next(((number, match) for number, match in matches if match), (0, None))
        if match is None:
            raise OutputDiffers(f"missing line: {line}")
        position = number + 1
        ids |= dict(zip(names, match.groups(), strict=True))
        reach = 1
    if expected_lines and expected_lines[-1] != _ANY and position < len(actual_lines):
        raise OutputDiffers(f"unexpected line: {actual_lines[position]}")
    return ids


def _pattern(line: str) -> tuple[re.Pattern[str], list[str]]:
    """Return the pattern that an actual line must match, and the IDs in the shown line."""
    parts, names, at = [], [], 0
    for token in _TOKEN.finditer(line):
        kind = token.lastgroup or ""
        if kind == "id":
            names.append(token.group())
        parts += [re.escape(line[at : token.start()]), _LIKE[kind]]
        at = token.end()
    return re.compile("".join([*parts, re.escape(line[at:])])), names


class Shell:
    """One shell process. Exported variables and the current directory carry over from command to command."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def run(self, command: str) -> CommandOutput:
        """Run a command without input, and wait until it ends."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{{ {command}\n}} </dev/null\nprintf '\\n{_ENDED}%s\\n' $?\n")
        stdin.flush()
        lines: list[str] = []
        for line in stdout:
            if line.startswith(_ENDED):
                return CommandOutput(int(line.removeprefix(_ENDED)), "".join(lines))
            lines.append(line)
        raise AssertionError(f"the shell ended during: {command}\n{''.join(lines)}")


@contextmanager
def shell(folder: Path, environment: Mapping[str, str]) -> Iterator[Shell]:
    """Provide a shell in this folder until the end of the block."""
    with subprocess.Popen(
        ["/bin/sh"],
        cwd=folder,
        env=dict(environment),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as process:
        yield Shell(process)


def run_all(document: Path, terminal: Shell, skipped: Collection[str] = ()) -> None:
    """Write the document's files and run its commands, except the skipped ones.

    Raises:
        AssertionError: a command failed, or its output differs from what the document shows.
    """
    ids: dict[str, str] = {}
    for block in blocks(document):
        if block.language in FILE_LANGUAGES:
            terminal.run(f"cat > {block.title} <<'END'\n{block.text}END")
        for command in commands(block) if block.language == "console" else ():
            if command.text not in skipped:
                ids |= _run(command, terminal, ids, f"{document.name}:{command.line}")


def _run(command: Command, terminal: Shell, ids: Mapping[str, str], where: str) -> dict[str, str]:
    typed = command.text
    for shown, real in ids.items():  # a reader copies the hash from the screen
        typed = typed.replace(shown, real)
    done = terminal.run(typed)
    session = f"{where}: $ {typed}\n{done.output}"
    assert done.code == 0, session
    try:
        return compare(command.expected, done.output)
    except OutputDiffers as error:
        raise OutputDiffers(f"{error}\n{session}") from None
