"""Histories of the whole program under faults: every invariant holds, and a seed always gives the same history."""

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


def test_every_invariant_holds_and_every_fault_and_event_happens() -> None:
    stats = play_seeds(0, SEEDS)

    assert [f"{failure.problem}: {failure.replay}" for failure in stats.failures] == []
    assert stats.histories == SEEDS
    assert stats.event_counts.keys() >= {*Fault} - {Fault.DEADLINE} | {*EnvironmentEvent} | {*Trait}
    assert stats.outcomes.keys() >= {"FILLED", "PARTIALLY_FILLED", "UNFILLED", "DENIED", "REJECTED", "UNRESOLVED"}
    assert len(stats.crash_points) >= 40


@pytest.mark.parametrize("seed", [3, 17, 42])
def test_same_seed_gives_the_same_history(seed: int) -> None:
    assert History(seed).run().timeline() == History(seed).run().timeline()


def test_same_seed_gives_the_same_history_in_another_process() -> None:
    """A history depends neither on the process's hash seed nor on histories that ran before it."""
    command = [sys.executable, "-m", "rebalance_simulation", "--seed", "11"]
    first, second = (subprocess.run(command, check=True, capture_output=True, text=True).stdout for _ in range(2))

    assert first == second
    assert first.startswith(History(11).run().timeline())


def test_command_prints_the_timeline_of_one_history() -> None:
    result = CliRunner().invoke(app, ["--seed", "7"])

    assert result.exit_code == 0
    assert "plan.received" in result.output
    assert "every invariant held" in result.output


@pytest.mark.parametrize("jobs", ["1", "2"])
def test_command_prints_statistics(jobs: str) -> None:
    result = CliRunner().invoke(app, ["--seeds", "60", "--jobs", jobs])

    assert result.exit_code == 0
    figures = dict(re.findall(r"│ ([a-z ]+?) +│ +([\d,]+) +│", result.output))
    assert (figures["histories"], figures["violations"]) == ("60", "0")
    assert {"external calls", "distinct crash points", "histories per second and core"} <= figures.keys()
    assert int(figures[str(Fault.KILL_BEFORE)]) > 0


def test_command_prints_a_violation_with_the_command_that_repeats_it() -> None:
    with switched_on("the result reports planned shares as filled"):
        batch = CliRunner().invoke(app, ["--seeds", "10", "--jobs", "1"])
        seeds = re.findall(r"python -m rebalance_simulation --seed (\d+)", batch.output)
        single = CliRunner().invoke(app, ["--seed", seeds[0]])

    assert (batch.exit_code, single.exit_code) == (1, 1)
    problem = single.output.strip().splitlines()[-1]
    assert problem.startswith("Violation: ")
    assert problem in batch.output
    assert "!! violation" in batch.output
