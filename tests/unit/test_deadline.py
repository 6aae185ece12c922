"""The deadline of a run: its margins scale with the timeout, leave time to trade, and end before the invocation."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rebalance_executor.execution.deadline import Deadline
from tests.support.builders import NOW
from tests.support.properties import property_test


def deadline(seconds: float) -> Deadline:
    return Deadline.after(NOW, timedelta(seconds=seconds))


def seconds_to_trade(timeout: float) -> float:
    return (deadline(timeout).stop_at - NOW).total_seconds()


@pytest.mark.parametrize(
    ("timeout", "trades", "waits"),
    [
        (3, 1.5, 2.5),
        (8, 6.4, 7.466667),
        (30, 24, 28),
        (60, 48, 56),
        (150, 120, 140),
        (600, 570, 590),
        (900, 870, 890),
    ],
)
def test_margins_scale_with_the_timeout(timeout: float, trades: float, waits: float) -> None:
    limit = deadline(timeout)
    assert seconds_to_trade(timeout) == trades
    assert (limit.give_up_at - NOW).total_seconds() == pytest.approx(waits, abs=1e-5)
    assert limit.at == NOW + timedelta(seconds=timeout)


def test_timeout_of_eight_seconds_leaves_three_seconds_to_trade() -> None:
    """Even after a cold start and a lease that take 1.5 seconds."""
    assert seconds_to_trade(8) > 3
    assert seconds_to_trade(8 - 1.5) > 3


@pytest.mark.parametrize("left", [1.5, 1, 0.2, 0])
def test_run_with_1500_milliseconds_or_less_does_not_trade(left: float) -> None:
    assert deadline(left).stop_at <= NOW


timeouts = st.floats(0, 900, allow_nan=False)


@property_test
@given(timeouts)
def test_run_stops_then_gives_up_then_ends(timeout: float) -> None:
    limit = deadline(timeout)
    assert limit.stop_at < limit.give_up_at < limit.at
    assert timedelta(seconds=1.5) <= limit.at - limit.stop_at <= timedelta(seconds=30)
    assert limit.at - limit.give_up_at >= timedelta(seconds=0.5)


@property_test
@given(timeouts, timeouts)
def test_longer_timeout_never_leaves_less_time_to_trade(one: float, other: float) -> None:
    shorter, longer = sorted((one, other))
    assert seconds_to_trade(shorter) <= seconds_to_trade(longer)


@property_test
@given(st.floats(7.5, 900, allow_nan=False))
def test_four_fifths_of_the_time_are_for_trading(timeout: float) -> None:
    assert seconds_to_trade(timeout) >= timeout * 0.8 - 1e-5
