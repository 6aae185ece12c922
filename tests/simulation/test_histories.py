"""Histories of the whole program under faults: every promise holds, and a seed tells the same story twice."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from rebalance_simulation.__main__ import app
from rebalance_simulation.bugs import switched_on
from rebalance_simulation.faults import EnvironmentEvent, Fault, Trait
from rebalance_simulation.history import History
from rebalance_simulation.statistics import play_seeds

SEEDS = 600


def test_no_promise_is_broken_and_everything_that_can_happen_does() -> None:
    tally = play_seeds(0, SEEDS)

    assert [f"{failure.problem}: {failure.replay}" for failure in tally.failures] == []
    assert tally.histories == SEEDS
    assert tally.happened.keys() >= {*Fault} - {Fault.DEADLINE} | {*EnvironmentEvent} | {*Trait}
    assert tally.outcomes.keys() >= {"FILLED", "PARTIALLY_FILLED", "UNFILLED", "DENIED", "REJECTED", "UNRESOLVED"}
    assert len(tally.points) >= 40


@pytest.mark.parametrize("seed", [3, 17, 42])
def test_a_seed_tells_the_same_story_twice(seed: int) -> None:
    assert History(seed).run().timeline() == History(seed).run().timeline()


def test_a_seed_tells_the_same_story_in_another_process() -> None:
    """Nothing of a history depends on the process: neither its hashes of texts nor what was played before."""
    command = [sys.executable, "-m", "rebalance_simulation", "--seed", "11"]
    first, second = (subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(2))

    assert first == second
    assert first.startswith(History(11).run().timeline())


def test_one_history_is_shown_line_by_line() -> None:
    shown = CliRunner().invoke(app, ["--seed", "7"])

    assert shown.exit_code == 0
    assert "plan.received" in shown.output
    assert "every promise held" in shown.output


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_what_was_simulated_is_summed_up(jobs: str) -> None:
    shown = CliRunner().invoke(app, ["--seeds", "60", "--jobs", jobs])

    assert shown.exit_code == 0
    figures = dict(re.findall(r"│ ([a-z ]+?) +│ +([\d,]+) +│", shown.output))
    assert (figures["histories"], figures["violations"]) == ("60", "0")
    assert {"calls to the outside", "distinct crash points", "histories per second and core"} <= figures.keys()
    assert int(figures[str(Fault.KILL_BEFORE)]) > 0


def test_a_broken_promise_is_shown_with_the_command_that_plays_it_again() -> None:
    with switched_on("the result is invented"):
        of_many = CliRunner().invoke(app, ["--seeds", "3", "--jobs", "1"])
        command = re.findall(r"python -m rebalance_simulation --seed (\d+)", of_many.output)
        of_one = CliRunner().invoke(app, ["--seed", command[0]])

    assert (of_many.exit_code, of_one.exit_code) == (1, 1)
    problem = of_one.output.strip().splitlines()[-1]
    assert problem.startswith("Violation: ")
    assert problem in of_many.output
    assert "!! violation" in of_many.output
