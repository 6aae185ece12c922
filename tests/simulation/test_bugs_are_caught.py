"""The safety net is tested, too: each deliberate bug breaks a promise in one of the first histories, or in a sweep."""

from __future__ import annotations

import pytest

from rebalance_simulation import bugs, sweep
from rebalance_simulation.bug_detection import detect
from rebalance_simulation.invariants import Violation
from rebalance_simulation.sweep import Story, Sweep

WITHIN = 500
"""Histories."""
IN_A_SWEEP = {
    "the lease is unconditional": Sweep.INTERRUPTIONS,
    "a lost cancel is not asked for again": Sweep.SINGLES,
}
"""Bugs that need something to happen at one moment: histories find them later, sweeps try every moment."""


def test_there_are_enough_of_them() -> None:
    assert len(bugs.BUGS) >= 15


@pytest.mark.parametrize("name", sorted(bugs.BUGS.keys() - IN_A_SWEEP.keys()))
def test_a_bug_is_caught(name: str) -> None:
    caught = detect(name, WITHIN)

    assert caught is not None
    assert caught.problem.startswith(Violation.__name__)


def interrupt_everywhere(kind: Sweep) -> None:
    for script in sweep.firsts(kind, Story.RESTS):
        sweep.check(Story.RESTS, script)


@pytest.mark.parametrize(("name", "kind"), IN_A_SWEEP.items())
def test_a_bug_of_one_moment_is_caught(name: str, kind: Sweep) -> None:
    sweep.undisturbed(Story.RESTS)  # what the others are compared with is right

    with bugs.switched_on(name), pytest.raises(Violation):
        interrupt_everywhere(kind)
