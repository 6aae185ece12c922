"""The rest of a plan as the items of a new one."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.domain.errors import InvalidInput
from rebalance_executor.domain.plan import Action, ExecutionStyle, SizeBy
from rebalance_executor.domain.portfolio import Holding, Portfolio
from rebalance_executor.domain.renewal import Rest, renewed_items, rest_of_plan
from tests.support.builders import a_plan, a_quote, an_exit, an_item

BUY = Rest("ABC", Action.BUY, Decimal(500), Decimal(50), is_exit=False, priority=2, style=ExecutionStyle.WORK)
SELL = replace(BUY, action=Action.SELL)
EXIT = replace(SELL, is_exit=True)
QUOTES = {"ABC": a_quote()}
"""ABC at $10."""


def held(shares: str | None, dollars: str | None) -> Portfolio:
    holding = Holding(Decimal(dollars) if dollars else None, Decimal(shares) if shares else None)
    return Portfolio(Decimal(10_000), Decimal(5_000), {"ABC": holding})


def item_of(rest: Rest, portfolio: Portfolio) -> dict[str, Any]:
    (item,) = renewed_items([rest], portfolio, QUOTES)
    return item


@pytest.mark.parametrize(
    ("dollars", "shares", "amount"),
    [
        ("500", "50", "500"),
        ("500", "40", "400"),
        ("400", "50", "400"),
        ("500", None, "500"),
        ("500", "33.3333", "333.33"),
    ],
)
def test_amount_is_bounded_by_dollars_and_by_shares(dollars: str, shares: str | None, amount: str) -> None:
    rest = replace(BUY, dollars=Decimal(dollars), shares=Decimal(shares) if shares else None)

    item = item_of(rest, Portfolio(Decimal(10_000), Decimal(5_000)))

    assert (item["action"], item["trade_amount"], item["priority"]) == ("BUY", amount, 2)


def test_sell_is_negative_and_no_full_exit() -> None:
    item = item_of(SELL, held("50", "500"))

    assert (item["action"], item["trade_amount"], item["target_value"]) == ("SELL", "-500", "0.01")


@pytest.mark.parametrize(
    ("rest", "portfolio", "target"),
    [
        (EXIT, held("50", "500"), "0"),
        (EXIT, held("50.0000000001", "500"), "0"),
        (EXIT, held("51", "510"), "10"),
        (replace(EXIT, shares=None), held("50", "500"), "0"),
        (replace(EXIT, shares=None), held("51", "510"), "10"),
    ],
)
def test_exit_stays_one_unless_more_is_held_than_was_left(rest: Rest, portfolio: Portfolio, target: str) -> None:
    item = item_of(rest, portfolio)

    assert (item["trade_amount"], item["target_value"]) == ("-500", target)
    assert (item["target_weight"] == "0") is (target == "0")


def test_style_and_limit_are_kept() -> None:
    rest = replace(BUY, style=ExecutionStyle.LIMIT_ON_CLOSE, limit_price=Decimal("10.50"))

    item = item_of(rest, held(None, "0"))

    assert (item["execution_style"], item["limit_price"]) == ("limit_on_close", "10.5")


@pytest.mark.parametrize("quotes", [{}, {"ABC": a_quote("0", "0")}])
def test_symbol_without_a_usable_quote_is_invalid(quotes: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match="no usable quote"):
        renewed_items([BUY], held(None, "0"), quotes)


def test_sell_of_more_than_is_held_is_invalid() -> None:
    with pytest.raises(InvalidInput, match="is held"):
        item_of(SELL, held("40", "400"))


def test_plan_that_never_started_leaves_all_its_trades() -> None:
    plan = a_plan(
        an_item("AAA", "BUY", 1000, priority=3),
        an_exit("BBB", -500),
        an_item("CCC", "HOLD", 0),
        an_item("DDD", "SELL", -5),
    )

    rests = rest_of_plan(plan, SizeBy.TRADE_AMOUNT)

    assert [(r.symbol, r.action, r.dollars, r.shares, r.is_exit, r.priority) for r in rests] == [
        ("AAA", Action.BUY, Decimal(1000), None, False, 3),
        ("BBB", Action.SELL, Decimal(500), None, True, 1),
        ("DDD", Action.SELL, Decimal(5), None, False, 1),
    ]
