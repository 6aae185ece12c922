"""What the simulation found in the program, each as its shortest history."""

from __future__ import annotations

import pytest

from rebalance_executor.testkit import sweep
from rebalance_executor.testkit.faults import Fault
from rebalance_executor.testkit.sweep import Story

CANCEL = "broker DELETE /orders/{id}"


def calls_of(story: Story, name: str) -> list[int]:
    """The numbers of these calls in the undisturbed story."""
    names = sweep.live_through(story, {}).crossing.names
    return [number for number, told in enumerate(names, 1) if told == name]


@pytest.mark.parametrize("nth", [0, -1])
def test_given_a_run_killed_between_journalling_a_cancel_and_asking_for_it_then_the_next_run_asks(nth: int) -> None:
    """It used to wait for a cancel that nobody had asked for, and left a live order behind as UNRESOLVED."""
    before = calls_of(Story.RESTS, CANCEL)[nth]

    sweep.check(Story.RESTS, {before: Fault.KILL_BEFORE})
