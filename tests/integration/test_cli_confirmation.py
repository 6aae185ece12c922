"""Questions before a command acts, the version, and a configuration file that does not exist."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rebalance_cli.main import app
from tests.support.desk import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """Yield a desk whose servers run, with a plan that no test has executed."""
    desk = Desk(tmp_path)
    desk.serve()
    yield desk
    desk.close()


@pytest.mark.parametrize("answer", ["n\n", "\n", "\x04"], ids=["no", "default", "end of input"])
def test_apply_shows_the_preview_and_sends_nothing_unless_a_person_says_yes(desk: Desk, answer: str) -> None:
    code, _, errors = desk.answer(answer, "apply", str(desk.plan))

    assert code == 2
    assert "Execute this plan?" in errors
    assert "Trades    sell $2,000.00, buy $1,500.00" in errors
    digits = re.search(r"Hash +([0-9a-f]{12})", errors)
    assert digits is not None
    assert f"rebalance apply {desk.plan} --hash {digits[1]}" in errors
    assert desk.orders("all") == []


def test_apply_executes_after_a_yes_and_does_not_ask_for_a_plan_that_has_started(desk: Desk) -> None:
    desk.fill_all()

    code, out, errors = desk.answer("y\n", "apply", str(desk.plan))
    again, repeated, later = desk.answer("", "apply", str(desk.plan))

    assert (code, again) == (0, 0), out + errors
    assert "Execute this plan?" in errors
    assert "SUCCESS" in out
    assert "Already executed" in repeated
    assert "Execute this plan?" not in later


@pytest.mark.parametrize("words", [["--yes"], []], ids=["terminal with --yes", "no terminal"])
def test_apply_does_not_ask_a_script_about_simulated_money(desk: Desk, words: list[str]) -> None:
    desk.fill_all()
    run = desk.answer if words else lambda _text, *typed: desk.run(*typed)

    code, out, errors = run("", "apply", str(desk.plan), *words)

    assert code == 0, out + errors
    assert "Execute this plan?" not in errors
    assert "off on this machine: max_plan_age_minutes, duplicate_window_minutes" in " ".join(errors.split())


def test_version_is_printed() -> None:
    done = CliRunner().invoke(app, ["--version"])

    assert done.exit_code == 0
    assert re.fullmatch(r"rebalance \d+\.\d+\.\S+ \(Python 3\.\S+\)\n", done.stdout)


WIDE = {"COLUMNS": "500"}
"""A terminal on which no path is folded."""


@pytest.mark.parametrize("words", [["preview", "plan.json"], ["status"], ["doctor"]])
@pytest.mark.parametrize("by_option", [True, False])
def test_a_named_configuration_file_that_does_not_exist_is_an_error(
    tmp_path: Path, words: list[str], *, by_option: bool
) -> None:
    desk = Desk(tmp_path)
    named = str(tmp_path / "nope.toml")
    words = [str(desk.plan) if word == "plan.json" else word for word in words]
    option, variables = (["--config", named], {}) if by_option else ([], {"REBALANCE_CONFIG": named})

    done = CliRunner().invoke(app, [*words, "--data-dir", str(desk.data_dir), *option], env=variables | WIDE)

    assert done.exit_code == 2
    assert "nope.toml does not exist" in " ".join(done.stderr.split())
