"""Each deliberate bug breaks an invariant in one of the first histories or in a sweep: the invariants are tested."""

from __future__ import annotations

import pytest

from rebalance_simulation import bugs, sweep
from rebalance_simulation.bug_detection import detect
from rebalance_simulation.sweep import Story, Sweep
from rebalance_simulation.violation import Violation
from tests.simulation import bug_stories
from tests.simulation.auction_stories import AUCTION_STORIES
from tests.simulation.slice_stories import SLICE_STORIES

STORIES = bug_stories.STORIES | SLICE_STORIES | AUCTION_STORIES

MAX_HISTORIES = 500
BY_SWEEP = {
    "the lease is taken without a condition": Sweep.INTERRUPTIONS,
    "a lost cancel is not sent again": Sweep.SINGLES,
}
"""Bugs that need a fault at one specific call: histories catch them late, a sweep tries every call."""
BY_HISTORIES = bugs.BUGS.keys() - BY_SWEEP.keys() - STORIES.keys()


def test_there_are_at_least_fifteen_bugs() -> None:
    assert len(bugs.BUGS) >= 15


@pytest.mark.parametrize("name", sorted(BY_HISTORIES))
def test_bug_is_caught_by_histories(name: str) -> None:
    detection = detect(name, MAX_HISTORIES)

    assert detection is not None
    assert detection.problem.startswith(Violation.__name__)


@pytest.mark.parametrize("name", STORIES)
def test_bug_is_caught_by_a_story(name: str) -> None:
    STORIES[name]().checker.check_end()

    with bugs.switched_on(name), pytest.raises(Violation):
        STORIES[name]().checker.check_end()


def check_all(kind: Sweep) -> None:
    for script in sweep.firsts(kind, Story.RESTS):
        sweep.check(Story.RESTS, script)


@pytest.mark.parametrize(("name", "kind"), BY_SWEEP.items())
def test_bug_is_caught_by_a_sweep(name: str, kind: Sweep) -> None:
    sweep.undisturbed(Story.RESTS)  # cached, so that the reference ending is the one without the bug

    with bugs.switched_on(name), pytest.raises(Violation):
        check_all(kind)
