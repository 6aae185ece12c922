"""Histories of the whole program under faults: every promise holds, and a seed tells the same story twice."""

from __future__ import annotations

import pytest

from rebalance_executor.testkit.__main__ import live_through, main
from rebalance_executor.testkit.history import History


@pytest.mark.parametrize("first", range(0, 400, 100))
def test_no_promise_is_broken(first: int) -> None:
    tally = live_through(range(first, first + 100))

    assert tally.violations == []
    assert tally.histories == 100


def test_faults_of_every_kind_happen() -> None:
    tally = live_through(range(1000, 1100))

    assert len(tally.happened) >= 15
    assert len(tally.points) >= 10
    assert {"FILLED", "DENIED", "REJECTED", "UNRESOLVED"} <= tally.outcomes.keys()


@pytest.mark.parametrize("seed", [3, 17, 42])
def test_a_seed_tells_the_same_story_twice(seed: int) -> None:
    assert History(seed).run().timeline() == History(seed).run().timeline()


def test_one_history_is_shown_with_its_timeline(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--seed", "7"]) == 0

    told = capsys.readouterr().out
    assert "plan.received" in told
    assert "every promise held" in told
