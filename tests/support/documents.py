"""Documents whose commands are typed and whose shown output is compared.

A ``console`` block is a session: lines that begin with ``$ `` are typed, the lines below are what they print. A shown
line matches whatever its numbers, times and ids are; ``…`` stands for any text, and alone on a line for any lines.
A ``csv`` or ``json`` block with a ``title`` is a file that the reader writes.
"""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt

_PROMPT = "$ "
_ANY = "…"
_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|\b(?=[a-f]*\d)[0-9a-f]{8,64}\b"
_NUMBER = r"[-−+]?\d[\d.,:]*"
_TOKEN = re.compile(rf"(?P<id>{_ID})|(?P<number>{_NUMBER})|(?P<rule>─+)|(?P<any>{_ANY})|(?P<gap>\s+)")
_LIKE = {"id": f"({_ID})", "number": _NUMBER, "rule": "─+", "any": ".*", "gap": r"\s+"}
"""What each part of a shown line stands for."""
_ENDED = "-- ended with "


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block."""

    language: str
    title: str | None
    text: str
    line: int
    """Where it begins in its document, counted from 1."""


@dataclass(frozen=True, slots=True)
class Command:
    """A command of a session, and the output that the document shows for it."""

    typed: str
    shown: tuple[str, ...]
    line: int


class Differs(AssertionError):
    """A command printed something else than the document shows."""


@dataclass(frozen=True, slots=True)
class Printed:
    """What a command did."""

    code: int
    output: str


def blocks(path: Path) -> list[Block]:
    """The fenced blocks of a document, in order."""
    tokens = MarkdownIt().parse(path.read_text(encoding="utf-8"))
    return [_block(token.info, token.content, token.map or [0, 0]) for token in tokens if token.type == "fence"]


def _block(info: str, text: str, lines: Sequence[int]) -> Block:
    words = shlex.split(info)
    titles = [word.removeprefix("title=") for word in words if word.startswith("title=")]
    return Block(words[0] if words else "", titles[0] if titles else None, text, lines[0] + 1)


def commands(block: Block) -> list[Command]:
    """The commands of a session; output above the first one belongs to nothing and is refused."""
    found: list[tuple[str, list[str], int]] = []
    for number, line in enumerate(block.text.splitlines(), block.line + 1):
        if line.startswith(_PROMPT):
            found.append((line.removeprefix(_PROMPT), [], number))
        elif not found:
            raise ValueError(f"line {number} is printed by no command")
        else:
            found[-1][1].append(line)
    return [Command(typed, tuple(shown), number) for typed, shown, number in found]


def compare(shown: Sequence[str], output: str) -> dict[str, str]:
    """Compare what is shown with what was printed; empty lines do not count, and what is not shown may be anything.

    Returns:
        For each shown id the printed one.

    Raises:
        Differs: names the first line that is not as it is shown.
    """
    printed = [line.strip() for line in output.splitlines() if line.strip()]
    wanted = [line.strip() for line in shown if line.strip()]
    ids: dict[str, str] = {}
    at, reach = 0, 1
    for line in wanted:
        if line == _ANY:
            reach = len(printed)
            continue
        pattern, names = _pattern(line)
        hits = ((i, pattern.fullmatch(printed[i])) for i in range(at, min(at + reach, len(printed))))
        at, hit = next(((i + 1, hit) for i, hit in hits if hit), (at, None))
        if hit is None:
            raise Differs(f"not printed: {line}")
        ids |= dict(zip(names, hit.groups(), strict=True))
        reach = 1
    if wanted and wanted[-1] != _ANY and at < len(printed):
        raise Differs(f"printed besides: {printed[at]}")
    return ids


def _pattern(line: str) -> tuple[re.Pattern[str], list[str]]:
    """What a printed line must be like, and the ids in it."""
    parts, names, at = [], [], 0
    for token in _TOKEN.finditer(line):
        kind = token.lastgroup or ""
        if kind == "id":
            names.append(token.group())
        parts += [re.escape(line[at : token.start()]), _LIKE[kind]]
        at = token.end()
    return re.compile("".join([*parts, re.escape(line[at:])])), names


class Shell:
    """One shell: what a command exports, sources or changes to holds for those after it."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def type(self, command: str) -> Printed:
        """Type a command and wait for its end; nothing is there to be read by it."""
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None
        assert stdout is not None
        stdin.write(f"{{ {command}\n}} </dev/null\nprintf '\\n{_ENDED}%s\\n' $?\n")
        stdin.flush()
        lines: list[str] = []
        for line in stdout:
            if line.startswith(_ENDED):
                return Printed(int(line.removeprefix(_ENDED)), "".join(lines))
            lines.append(line)
        raise AssertionError(f"the shell ended in: {command}\n{''.join(lines)}")


@contextmanager
def shell(folder: Path, environment: Mapping[str, str]) -> Iterator[Shell]:
    """A shell in this folder, as long as the block lasts."""
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
