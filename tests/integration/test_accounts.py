"""Accounts side by side: what one of them meets does not reach the others, and a plan costs the same beside others."""

from __future__ import annotations

from benchmarks.accounts import STUCK, measure


def test_one_stuck_account_defers_its_own_plan_only_and_every_plan_costs_the_same() -> None:
    found = measure(accounts=8, consumers=2)

    assert found.accounts == 8
    assert found.deferred == [STUCK]
    assert found.orders_twice == 0
    assert max(found.database_requests) <= 14
    assert max(found.broker_requests) - min(found.broker_requests) <= 8  # the first to see a symbol asks for its flags
