"""The safety net is tested, too: each deliberate bug is caught by a history within this many."""

from __future__ import annotations

import pytest

from rebalance_executor.testkit import sweep
from rebalance_executor.testkit.bugs import BUGS, switched_on
from rebalance_executor.testkit.history import History
from rebalance_executor.testkit.invariants import Violation

WITHIN = 300
"""Histories."""
RARE = {"no safe stop before the deadline": 280, "the kill switch is ignored": 220}
"""Bugs that few histories show: which one to begin with."""
IN_THE_SWEEP = "the lease is unconditional"
"""Two runs must meet at the very moment between a decision and its submission; the sweep tries every moment."""


def test_there_are_enough_of_them() -> None:
    assert len(BUGS) >= 15


def live_through(seeds: range) -> None:
    for seed in seeds:
        History(seed).run()


def sweep_all() -> None:
    for script in sweep.interruptions():
        sweep.live(script)


@pytest.mark.parametrize("name", sorted(BUGS.keys() - {IN_THE_SWEEP}))
def test_a_bug_is_caught(name: str) -> None:
    first = RARE.get(name, 0)
    with switched_on(name), pytest.raises(Violation):
        live_through(range(first, first + WITHIN))


def test_two_runs_that_meet_are_caught() -> None:
    with switched_on(IN_THE_SWEEP), pytest.raises(Violation):
        sweep_all()
