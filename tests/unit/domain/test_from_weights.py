"""``RebalancePlan.from_weights``: from a portfolio to target weights."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.portfolio import Holding, Portfolio, WeightRules, amount_item
from tests.support.builders import NOW


def a_portfolio(equity: str = "10000", cash: str = "5000", **held: str | None) -> Portfolio:
    holdings = {s: Holding(Decimal(value) if value is not None else None) for s, value in held.items()}
    return Portfolio(Decimal(equity), Decimal(cash), holdings)


def plan_of(weights: dict[str, Any], portfolio: Portfolio, **fields: Any) -> RebalancePlan:
    return RebalancePlan.from_weights(weights, portfolio, strategy_id="momentum", timestamp=NOW, **fields)


def trades(plan: RebalancePlan) -> dict[str, tuple[str, Decimal]]:
    return {item.symbol: (item.action.value, item.trade_amount) for item in plan.items}


def test_items_lead_from_the_held_value_to_the_weight() -> None:
    plan = plan_of({"AAA": Decimal("0.2"), "BBB": "0.25", "CCC": 0.1, "DDD": 0}, a_portfolio(AAA="5000", CCC="1000"))

    assert trades(plan) == {
        "AAA": ("SELL", Decimal(-3000)),
        "BBB": ("BUY", Decimal(2500)),
        "CCC": ("HOLD", Decimal(0)),
        "DDD": ("HOLD", Decimal(0)),
    }
    assert plan.total_portfolio_value == 10000
    assert plan.total_trade_value == 5500
    assert [item.current_weight for item in plan.items] == [Decimal("0.5"), 0, Decimal("0.1"), 0]


def test_weight_of_zero_is_a_full_exit() -> None:
    (item,) = plan_of({"AAA": 0}, a_portfolio(AAA="5000")).items

    assert (item.action.value, item.trade_amount, item.target_value) == ("SELL", Decimal(-5000), Decimal(0))


def test_unlisted_holdings_stay_unless_the_rules_sell_them() -> None:
    portfolio = a_portfolio(AAA="4000", OLD="1000")

    assert list(trades(plan_of({"AAA": "0.5"}, portfolio))) == ["AAA"]
    assert list(portfolio.unlisted({"AAA": 1})) == ["OLD"]
    sold = plan_of({"AAA": "0.5"}, portfolio, rules=WeightRules(sell_unlisted=True))
    assert trades(sold)["OLD"] == ("SELL", Decimal(-1000))
    assert sold.items[1].target_weight == 0


def test_trades_below_the_minimum_are_holds() -> None:
    plan = plan_of({"AAA": "0.5"}, a_portfolio(AAA="4990.01"), rules=WeightRules(min_trade=Decimal(10)))

    assert trades(plan) == {"AAA": ("HOLD", Decimal(0))}


@pytest.mark.parametrize(
    ("at", "day"),
    [
        (datetime(2026, 11, 30, 20, 45, tzinfo=UTC), "2026-11-30"),
        (datetime(2026, 12, 1, 3, tzinfo=UTC), "2026-11-30"),
        (datetime(2026, 12, 1, 6, tzinfo=UTC), "2026-12-01"),
    ],
)
def test_plan_id_is_the_strategy_and_the_new_york_day(at: datetime, day: str) -> None:
    plan = RebalancePlan.from_weights({"AAA": 1}, a_portfolio(), strategy_id="momentum", timestamp=at)

    assert plan.plan_id == f"momentum-{day}"
    assert plan.strategy_id == "momentum"


def test_fields_of_the_plan_can_be_given() -> None:
    plan = plan_of({"AAA": 1}, a_portfolio(), plan_id="mine", account="growth", execution_urgency="HIGH")

    assert (plan.plan_id, plan.account, plan.execution_urgency) == ("mine", "growth", "HIGH")


@pytest.mark.parametrize("weight", [float("nan"), float("inf"), "0,3", "thirty", None, True, -0.1, 1.1, 30, "1e9"])
def test_invalid_weight_is_named(weight: object) -> None:
    with pytest.raises(InvalidInput) as raised:
        plan_of({"AAA": weight}, a_portfolio())

    assert raised.value.field == "weights.AAA"


@pytest.mark.parametrize(
    ("weights", "portfolio", "field"),
    [
        ({"AAA": "0.6", "BBB": "0.6"}, a_portfolio(), "weights"),
        ({"AAA": "0.5"}, a_portfolio(equity="0"), "equity"),
        ({"AAA": "0.5"}, a_portfolio(equity="-1"), "equity"),
        ({"AAA": "0.5"}, a_portfolio(equity="NaN"), "equity"),
        ({"AAA": "0.5"}, a_portfolio(AAA=None), "holdings.AAA"),
        ({"AAA": "0.5"}, a_portfolio(AAA="-5"), "holdings.AAA"),
        ({"AAA": "0.5"}, a_portfolio(AAA="10001"), "holdings.AAA"),
        ({"A A": "0.5"}, a_portfolio(), "items.0.symbol"),
        ({}, a_portfolio(), "items"),
    ],
)
def test_invalid_portfolio_or_weights_are_named(weights: dict[str, Any], portfolio: Portfolio, field: str) -> None:
    with pytest.raises(InvalidInput) as raised:
        plan_of(weights, portfolio)

    assert raised.value.field == field


@pytest.mark.parametrize("dollars", ["0", "-5", "NaN", "Infinity"])
def test_minimum_trade_is_a_positive_number(dollars: str) -> None:
    with pytest.raises(InvalidInput, match="min_trade"):
        plan_of({"AAA": 1}, a_portfolio(), rules=WeightRules(min_trade=Decimal(dollars)))


def test_unlisted_holding_without_a_price_matters_only_if_it_is_sold() -> None:
    portfolio = a_portfolio(OLD=None)

    assert list(trades(plan_of({"AAA": "0.5"}, portfolio))) == ["AAA"]
    with pytest.raises(InvalidInput, match=r"holdings\.OLD"):
        plan_of({"AAA": "0.5"}, portfolio, rules=WeightRules(sell_unlisted=True))


@pytest.mark.parametrize("amount", ["-5000.01", "5000.01"])
def test_amount_that_leads_out_of_the_portfolio_is_invalid(amount: str) -> None:
    with pytest.raises(InvalidInput, match=r"items\.AAA"):
        amount_item("AAA", Decimal(amount), a_portfolio(AAA="5000"), WeightRules())


def test_amount_of_the_whole_value_is_no_full_exit() -> None:
    item = amount_item("AAA", Decimal(-5000), a_portfolio(AAA="5000"), WeightRules())

    assert (item["trade_amount"], item["target_value"]) == ("-5000", "0.01")
