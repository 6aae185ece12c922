"""State of the simulated broker derived from plans."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.domain.plan import RebalancePlan
from rebalance_sandbox.paper_world import SeedQuote, assumed_cash, plausible_quote, shares_worth, world_for
from tests.support.builders import an_item_document

SYMBOLS = [f"SYM{number}" for number in range(500)]


def plan(**changes: Any) -> RebalancePlan:
    body: dict[str, Any] = {
        "plan_id": "plan-1",
        "correlation_id": "c",
        "causation_id": "c",
        "timestamp": "2026-01-26T15:00:00Z",
        "total_portfolio_value": "10000",
        "total_trade_value": "3000",
        "items": [
            an_item_document("AAA", "SELL", "-2000", current_value="2000", target_value="0"),
            an_item_document("BBB", "BUY", "1000", current_value="500", target_value="1500"),
            an_item_document("CCC", "HOLD", "0", current_value="1000.123456789", target_value="1000"),
            an_item_document("DDD", "BUY", "500", current_value="0", target_value="500"),
        ],
    }
    return RebalancePlan.parse(body | changes)


def test_positions_have_the_values_of_the_plan() -> None:
    world = world_for([plan()], known={})

    for symbol, value in (("AAA", "2000"), ("BBB", "500"), ("CCC", "1000.123456789")):
        worth = world.positions[symbol] * world.prices[symbol]
        assert abs(worth - Decimal(value)) < Decimal("0.001")
    assert world.positions["DDD"] == 0
    assert world.holdings == 3


def test_cash_is_the_portfolio_value_minus_the_holdings() -> None:
    assert world_for([plan()], known={}).cash == Decimal("6499.88")


@pytest.mark.parametrize(
    ("metadata", "cash"),
    [
        ({"cash_balance": "123.45"}, "123.45"),
        ({"cash_balance": 200}, "200"),
        ({"cash_balance": "-5"}, "0"),
        ({"cash_balance": "unknown"}, "6499.876543211"),
        ({"cash_balance": "NaN"}, "6499.876543211"),
        ({}, "6499.876543211"),
        (None, "6499.876543211"),
    ],
)
def test_cash_balance_in_the_metadata_takes_precedence(metadata: dict[str, object] | None, cash: str) -> None:
    assert assumed_cash(plan(metadata=metadata)) == Decimal(cash)


def test_plan_whose_holdings_exceed_its_value_has_no_cash() -> None:
    assert assumed_cash(plan(total_portfolio_value="100")) == 0


def test_known_quotes_are_kept_and_price_the_positions() -> None:
    known = {"AAA": SeedQuote(Decimal("99.99"), Decimal("100.01"))}

    world = world_for([plan()], known)

    assert "AAA" not in world.new_quotes
    assert world.positions["AAA"] == Decimal("20")
    assert set(world.new_quotes) == {"BBB", "CCC", "DDD"}


def test_repeated_plan_counts_once_and_two_plans_add_up() -> None:
    once, twice = world_for([plan()], {}), world_for([plan(), plan()], {})
    both = world_for([plan(), plan(plan_id="plan-2")], {})

    assert twice == once
    assert both.cash == Decimal("12999.75")
    assert both.positions["AAA"] * both.prices["AAA"] == pytest.approx(Decimal(4000), abs=Decimal("0.001"))


@pytest.mark.parametrize("symbol", ["AAPL", "BRK.B", "X"])
def test_plausible_quote_is_deterministic(symbol: str) -> None:
    assert plausible_quote(symbol) == plausible_quote(symbol)


def test_plausible_quotes_are_narrow_and_in_whole_cents() -> None:
    for quote in map(plausible_quote, SYMBOLS):
        assert 20 <= quote.bid < quote.ask < 401
        assert (quote.ask - quote.bid) / quote.bid * 10_000 <= 5
        assert quote.bid == round(quote.bid, 2)
        assert quote.ask == round(quote.ask, 2)


def test_position_is_at_least_one_step_of_a_share() -> None:
    assert shares_worth(Decimal("0.0000001"), Decimal(100)) == Decimal("0.000001")
    assert shares_worth(Decimal(0), Decimal(100)) == 0


def test_request_contains_decimals_as_text() -> None:
    request = world_for([plan()], known={}).as_request()

    assert request["account"] == {"cash": "6499.88"}
    assert request["clock"] == {"mode": "real", "sessions": "always_open"}
    positions = request["positions"]
    assert isinstance(positions, list)
    assert all(set(position) == {"symbol", "qty", "avg_entry_price"} for position in positions)
    assert positions[-1]["qty"] == "0"
