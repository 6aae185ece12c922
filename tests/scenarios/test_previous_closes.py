"""Previous closes of symbols that are not held, through the whole program."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

import pytest

from rebalance_executor.domain.errors import BrokerUnavailable
from tests.support.world import HandlerWorld, a_world, buy, outcomes, plan

PATH = "GET /v2/stocks/snapshots"
PRE_MARKET = datetime(2026, 1, 26, 13, tzinfo=UTC)
"""08:00 in New York."""
FILLED = ("FILLED", None)


def bought(world: HandlerWorld, quote: Mapping[str, Any]) -> tuple[str, str | None]:
    """Buy AAA, whose quote differs in this way, and BBB; return outcome and code of AAA."""
    world.broker.change({"quotes": {"AAA": dict(quote)}})
    result = outcomes(world.deliver(plan(buy("AAA", 500), buy("BBB", 500))))
    assert result["BBB"] == FILLED
    is_unknown = result["AAA"][1] == "PREVIOUS_CLOSE_UNKNOWN"  # asked once more, for AAA alone
    assert world.broker.app.requests[PATH] == 1 + is_unknown
    return result["AAA"]


@pytest.mark.parametrize(
    ("quote", "outcome"),
    [
        ({"prev_close": "90"}, FILLED),
        ({"prev_close": "1000"}, ("DENIED", "PRICE_COLLAR")),
        ({"prev_close": "20"}, ("DENIED", "PRICE_COLLAR")),
        ({"prev_close": "1000", "snapshot_bars": "today"}, FILLED),
        ({"snapshot_bars": "none"}, ("DENIED", "PREVIOUS_CLOSE_UNKNOWN")),
    ],
    ids=["near", "split ten for one", "split one for five", "listed today", "unknown"],
)
def test_new_symbol_is_bought_if_its_price_is_near_its_previous_close(
    quote: Mapping[str, Any], outcome: tuple[str, str | None]
) -> None:
    with a_world() as world:
        assert bought(world, quote) == outcome


def test_close_before_the_open_is_that_of_the_last_session_and_not_of_the_one_before() -> None:
    """The last session ended at the present price, the one before it at another one, which the collar excludes."""
    config = {"extended_hours": True, "previous_close_collar": "0.0002"}
    with a_world(at=PRE_MARKET, sessions="nyse", config=config) as world:
        world.deliver(plan(buy("AAA", 500)) | {"timestamp": PRE_MARKET.isoformat()}, seconds=60)

        assert [order["symbol"] for order in world.orders] == ["AAA"]
        snapshot = world.broker.app.exchange.snapshots(["AAA"])["AAA"]
        assert [snapshot[bar]["t"][:10] for bar in ("dailyBar", "prevDailyBar")] == ["2026-01-23", "2026-01-22"]
        assert abs(snapshot["prevDailyBar"]["c"] - 100) > 0.02


@pytest.mark.parametrize("positions", [{"AAA": "10"}, {}], ids=["held", "not held"])
def test_previous_closes_take_no_request_besides_that_for_the_first_quotes(positions: dict[str, str]) -> None:
    with a_world(positions=positions) as world:
        result = world.deliver(plan(buy("AAA", 500, current_value=1000 if positions else 0)))

        assert outcomes(result) == {"AAA": FILLED}
        assert world.broker.app.requests[PATH] == 1
        assert world.broker.app.requests["GET /v2/stocks/quotes/latest"] == 0


def test_plan_is_redelivered_while_snapshots_are_down_and_nothing_is_sent() -> None:
    fault = {"path": "stocks/snapshots", "kind": "status", "status": 503, "count": 8}
    with a_world() as world:
        world.broker.change({"faults": [fault]})
        with pytest.raises(BrokerUnavailable):
            world.deliver(plan(buy("AAA", 500)))
        assert world.orders == []
        assert outcomes(world.deliver(plan(buy("AAA", 500)))) == {"AAA": FILLED}
