"""Histories of the whole program under faults: every promise holds, and a seed tells the same story twice."""

from __future__ import annotations

import subprocess
import sys

import pytest
from typer.testing import CliRunner

from rebalance_executor.testkit.__main__ import app
from rebalance_executor.testkit.bugs import switched_on
from rebalance_executor.testkit.faults import Fault, Happening, Trait
from rebalance_executor.testkit.history import History
from rebalance_executor.testkit.tally import play_seeds

SEEDS = 600


def test_no_promise_is_broken_and_everything_that_can_happen_does() -> None:
    tally = play_seeds(0, SEEDS)

    assert [f"{failure.problem}: {failure.replay}" for failure in tally.failures] == []
    assert tally.histories == SEEDS
    assert tally.happened.keys() >= {*Fault} - {Fault.DEADLINE} | {*Happening} | {*Trait}
    assert tally.outcomes.keys() >= {"FILLED", "PARTIALLY_FILLED", "UNFILLED", "DENIED", "REJECTED", "UNRESOLVED"}
    assert len(tally.points) >= 40


@pytest.mark.parametrize("seed", [3, 17, 42])
def test_a_seed_tells_the_same_story_twice(seed: int) -> None:
    assert History(seed).run().timeline() == History(seed).run().timeline()


def test_a_seed_tells_the_same_story_in_another_process() -> None:
    """Nothing of a history depends on the process: neither its hashes of texts nor what was played before."""
    command = [sys.executable, "-m", "rebalance_executor.testkit", "--seed", "11"]
    first, second = (subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(2))

    assert first == second
    assert first.startswith(History(11).run().timeline())


def test_one_history_is_shown_line_by_line() -> None:
    shown = CliRunner().invoke(app, ["--seed", "7"])

    assert shown.exit_code == 0
    assert "plan.received" in shown.output
    assert "every promise held" in shown.output


def test_a_broken_promise_is_shown_with_the_command_that_plays_it_again() -> None:
    with switched_on("the result is invented"):
        tally = play_seeds(0, 3)
        shown = CliRunner().invoke(app, ["--seed", tally.failures[0].replay.split()[-1]])

    assert tally.failures[0].replay.startswith("python -m rebalance_executor.testkit --seed ")
    assert tally.failures[0].timeline in shown.output
    assert shown.exit_code == 1
    assert "!! violation" in shown.output
    assert tally.failures[0].problem in shown.output
