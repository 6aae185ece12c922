"""The commands' console: texts from outside cannot control the terminal."""

from __future__ import annotations

from io import StringIO

import pytest
from rich.text import Text

from rebalance_cli.console import SafeConsole
from rebalance_cli.views.tables import facts, print_error


def shown(*texts: str, color: bool = False) -> str:
    """Return what the console prints of an error and of a table with these texts."""
    file = StringIO()
    console = SafeConsole(file=file, markup=False, emoji=False, width=60, force_terminal=color)
    for text in texts:
        print_error(console, text, text)
        console.print(text)
        console.print(facts([(text[:4], text), ("Name", Text(text, "green"))]))
    return file.getvalue()


@pytest.mark.parametrize(
    "attack", ["\x1b[2J", "\x1b]0;title\x07", "\x9b2J", "\x00", "\r", "\u202e", "\u2066", "\ud800"]
)
def test_control_characters_are_replaced(attack: str) -> None:
    printed = shown(f"before {attack} after")
    assert "before" in printed
    assert "after" in printed
    assert not set(printed) & set("\x1b\x07\x9b\x00\r\u202e\u2066\ud800")


def test_lines_tabs_and_other_scripts_are_printed() -> None:
    printed = shown("one\ntwo größe 株式 😀")
    assert "two größe 株式 😀" in printed


def test_own_styles_still_reach_the_terminal() -> None:
    printed = shown("red \x1b[2J", color=True)
    assert "\x1b[31m" in printed
    assert "\x1b[2J" not in printed


def test_replaced_characters_do_not_break_the_width_of_a_table() -> None:
    file = StringIO()
    SafeConsole(file=file, markup=False, emoji=False, width=60).print(facts([("Name", "a" * 100 + "\x1b" * 50)]))
    assert max(map(len, file.getvalue().splitlines())) <= 60
