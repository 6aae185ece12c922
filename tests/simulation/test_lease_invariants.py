"""Invariants of leases as values."""

from __future__ import annotations

from datetime import timedelta

import pytest

from rebalance_executor.execution.ports import Lease
from rebalance_simulation.invariants_leases import LeaseInvariants
from rebalance_simulation.violation import Violation
from tests.support.builders import NOW

PLAN = ("default", "plan-1")


def a_lease(epoch: int) -> Lease:
    return Lease("default", epoch, f"run-{epoch}", NOW + timedelta(minutes=1))


def finished_in(epoch: int) -> LeaseInvariants:
    """Build the history of the runs 1 and 2, of which the one of this epoch finished the plan."""
    leases = LeaseInvariants()
    for lease in (a_lease(1), a_lease(2)):
        leases.check("default", lease)
        if lease.epoch == epoch:
            leases.note_result(PLAN)
    return leases


def test_answer_that_waits_for_the_auction_may_be_overtaken_by_a_later_run() -> None:
    """Seed 213957: the plan was finished between the release of the lease and the answer."""
    finished_in(2).check_pending(PLAN, "run-1")


@pytest.mark.parametrize("finished", [1, 2])
def test_plan_that_was_finished_waits_for_no_auction(finished: int) -> None:
    with pytest.raises(Violation):
        finished_in(finished).check_pending(PLAN, "run-2")


def test_run_without_a_lease_knows_of_no_auction() -> None:
    with pytest.raises(Violation):
        finished_in(2).check_pending(PLAN, "run-3")


def test_epoch_that_does_not_increase_is_a_violation() -> None:
    leases = finished_in(2)
    with pytest.raises(Violation):
        leases.check("default", Lease("default", 2, "run-3", NOW))
