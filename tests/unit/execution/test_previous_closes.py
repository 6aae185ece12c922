"""Previous closes of a plan's symbols: who is asked for which, and what an answer means for the item."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import BrokerUnavailable
from rebalance_executor.domain.market import MarketClock
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.previous_close import NO_PREVIOUS_CLOSE, PreviousClose
from tests.support.builders import NOW, a_plan, an_item
from tests.support.fake_ports import FakePorts, outcomes

PLAN = a_plan(an_item("AAA"), an_item("BBB"))
FILLED = (Outcome.FILLED, None)


def asked(fakes: FakePorts) -> list[object]:
    return [argument for name, argument in fakes.broker.reads if name == "previous_closes"]


def holding(*symbols: str) -> FakePorts:
    """Build ports with a share of each symbol, whose position has a previous close."""
    fakes = FakePorts()
    fakes.broker.shares = dict.fromkeys(symbols, Decimal(1))
    fakes.broker.position_closes = dict.fromkeys(symbols, Decimal(99))
    return fakes


def test_only_symbols_without_a_close_of_their_position_are_asked_for() -> None:
    fakes = holding("AAA")

    fakes.execute(PLAN)

    assert asked(fakes) == [(["BBB"], NOW.date())]


def test_plan_of_held_symbols_takes_no_request() -> None:
    fakes = holding("AAA", "BBB")

    assert outcomes(fakes.execute(PLAN)) == {"AAA": FILLED, "BBB": FILLED}
    assert asked(fakes) == []


def test_held_symbol_whose_position_has_no_close_is_asked_for() -> None:
    fakes = holding("AAA", "BBB")
    del fakes.broker.position_closes["AAA"]

    fakes.execute(PLAN)

    assert asked(fakes) == [(["AAA"], NOW.date())]


@pytest.mark.parametrize(
    ("close", "outcome", "kept"),
    [
        (PreviousClose(Decimal(90)), FILLED, Decimal(90)),
        (PreviousClose(Decimal(1000)), (Outcome.DENIED, Code.PRICE_COLLAR), Decimal(1000)),
        (NO_PREVIOUS_CLOSE, FILLED, None),
        (None, (Outcome.DENIED, Code.PREVIOUS_CLOSE_UNKNOWN), None),
    ],
    ids=["near", "ten for one split", "listed today", "unknown"],
)
def test_answer_decides_about_its_item_alone(
    close: PreviousClose | None, outcome: tuple[Outcome, str | None], kept: Decimal | None
) -> None:
    fakes = FakePorts()
    fakes.broker.closes["BBB"] = close

    assert outcomes(fakes.execute(PLAN)) == {"AAA": FILLED, "BBB": outcome}
    assert fakes.parent("BBB").previous_close == kept


def test_plan_for_the_next_open_is_compared_with_the_close_of_the_evening_before() -> None:
    """19:30 in New York on 6 July, which is the same date in UTC; the session of the plan is that of 7 July."""
    evening, opens_at = datetime(2026, 7, 6, 23, 30, tzinfo=UTC), datetime(2026, 7, 7, 13, 30, tzinfo=UTC)
    fakes = FakePorts()
    fakes.clock.advance(evening - NOW)
    closes_at = opens_at + timedelta(hours=6, minutes=30)
    fakes.broker.market = MarketClock(evening, is_open=False, next_open=opens_at, next_close=closes_at)
    plan = a_plan(an_item("AAA"), execution_style="market_on_open", timestamp=evening.isoformat())

    fakes.execute(plan)

    assert asked(fakes) == [(["AAA"], date(2026, 7, 7))]


def test_failed_read_sends_nothing_and_the_plan_is_redelivered() -> None:
    fakes = FakePorts()
    fakes.broker.errors["previous_closes"] = [BrokerUnavailable("HTTP 503")]

    with pytest.raises(BrokerUnavailable):
        fakes.execute(PLAN)

    assert (fakes.broker.sent, fakes.journal.peek("main", "plan-1")) == ([], None)
    assert outcomes(fakes.execute(PLAN, run_id="run-2")) == {"AAA": FILLED, "BBB": FILLED}
