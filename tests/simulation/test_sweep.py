"""One plan of three sells and three buys, killed before and after every single call, and stopped at every deadline."""

from __future__ import annotations

import pytest

from rebalance_executor.domain.result import ExecutionStatus
from rebalance_executor.testkit import sweep
from rebalance_executor.testkit.__main__ import sweep_through
from rebalance_executor.testkit.faults import Fault


def test_killed_anywhere_every_order_is_still_filled_once() -> None:
    scripts = list(sweep.singles())
    tally = sweep_through(scripts)

    assert len(scripts) > 100
    assert tally.violations == []
    assert tally.outcomes == {"FILLED": 6 * len(scripts)}


def test_delivered_again_at_any_moment_it_is_executed_once() -> None:
    """While a run waits, and while it is frozen until another took its lease; the front door has forgotten both."""
    scripts = list(sweep.interruptions())
    tally = sweep_through(scripts)

    assert len(scripts) > 90
    assert tally.violations == []


def test_the_story_has_every_kind_of_step() -> None:
    calls = set(sweep.live({}).calls)

    assert {
        "broker.submit",
        "broker.cancel",
        "journal.write",
        "journal.finish",
        "records.claim",
        "book.switch",
    } <= calls


@pytest.mark.parametrize("seconds", list(sweep.yields())[::10])
def test_stopped_at_any_deadline_nothing_is_lost(seconds: float) -> None:
    result = sweep.check_yield(seconds).result

    assert result.status in (ExecutionStatus.SUCCESS, ExecutionStatus.PARTIAL_SUCCESS)


@pytest.mark.parametrize("fault", [Fault.KILL_BEFORE, Fault.KILL_AFTER])
def test_a_cancel_that_was_journalled_and_never_sent_is_asked_for_again(fault: Fault) -> None:
    """The run that was killed had journalled its request; the next one waited for a confirmation that never came."""
    call = sweep.live({}).calls.index("broker.cancel") + 1

    assert sweep.live({call: fault}).result.status is ExecutionStatus.SUCCESS
