"""Several accounts at the same time: a problem of one does not affect the others."""

from __future__ import annotations

from benchmarks.accounts import STUCK, measure


def test_stuck_account_delays_only_its_own_plan() -> None:
    measured = measure(accounts=8, consumers=2)

    assert measured.accounts == 8
    assert measured.redelivery_requested == [STUCK]
    assert measured.duplicate_orders == 0
    assert max(measured.database_requests) <= 14
    # the first plan with a symbol also requests its asset flags
    assert max(measured.broker_requests) - min(measured.broker_requests) <= 8
