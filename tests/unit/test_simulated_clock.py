"""Tests of simulated time."""

from __future__ import annotations

from datetime import timedelta

from rebalance_simulation.clock import START, SimulatedClock

_SECOND, _DAY = timedelta(seconds=1), timedelta(days=1)


def test_time_never_goes_back_after_an_action_that_advances_it() -> None:
    """Seed 400900: a message waited for days while a request was made, and the broker's fills were in the future."""
    clock = SimulatedClock()
    seen = []
    clock.call_later(_SECOND, lambda: clock.advance(_DAY))
    clock.call_later(_DAY, lambda: seen.append(clock.world()))

    clock.advance(2 * _SECOND)

    assert seen == [START + _DAY]
    assert clock.world() == START + _SECOND + _DAY
