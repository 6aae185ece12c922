"""Margin and short sales: an account in which cash and positions can be negative."""

from decimal import Decimal
from typing import Any

import pytest

from paper_broker.exchange import Exchange
from tests.unit.paper_broker.exchange_harness import ExchangeHarness, rejected_order


def shorting(**world: Any) -> ExchangeHarness:
    """Return a harness whose account may sell short."""
    return ExchangeHarness(account={"cash": "1000", "multiplier": "2", "shorting_enabled": True}, **world)


@pytest.mark.parametrize(("multiplier", "buying_power"), [("1", "1000"), ("2", "2200.2"), ("4", "4600.6")])
def test_multiplier_gives_buying_power_beyond_cash(multiplier: str, buying_power: str) -> None:
    harness = ExchangeHarness(account={"cash": "1000", "multiplier": multiplier})

    account = harness.exchange.account()

    assert (account["buying_power"], account["multiplier"]) == (buying_power, multiplier)


def test_margin_buys_can_make_cash_negative() -> None:
    harness = ExchangeHarness(account={"cash": "1000", "multiplier": "2"})

    harness.order(qty="150")

    assert (harness.cash, harness.shares()) == ("-503", "170")


@pytest.mark.parametrize("sold", ["25", "20.5"])
def test_sale_beyond_the_position_makes_it_negative(sold: str) -> None:
    harness = shorting()

    order = harness.order(side="sell", qty=sold)

    assert harness.status(order) == "filled"
    position = harness.exchange.position("ABC")
    qty = str(20 - Decimal(sold))
    assert (position["qty"], position["qty_available"], position["side"]) == (qty, qty, "short")
    assert position["avg_entry_price"] == "10"
    assert harness.cash == str(1000 + 10 * Decimal(sold)).removesuffix(".0")


def test_short_sale_without_a_position_has_a_negative_value() -> None:
    harness = shorting(positions=[])
    harness.order(side="sell", qty="10")
    harness.order(side="sell", qty="10", type="market")
    harness.exchange.merge({"quotes": {"ABC": {"last": "11"}}})

    position, account = harness.exchange.position("ABC"), harness.exchange.account()

    assert (position["market_value"], position["cost_basis"]) == ("-220", "-200")
    assert (position["unrealized_pl"], position["unrealized_plpc"]) == ("-20", "-0.1")
    assert (account["long_market_value"], account["short_market_value"]) == ("0", "-220")
    assert (account["cash"], account["equity"], account["shorting_enabled"]) == ("1200", "980", True)
    assert account["buying_power"] == "1740"


def test_short_position_is_covered_by_a_buy() -> None:
    harness = shorting(positions=[{"symbol": "ABC", "qty": "-5", "avg_entry_price": "9"}])
    assert harness.exchange.position("ABC")["side"] == "short"

    order = harness.exchange.close_position("ABC")

    assert (order["side"], order["qty"], harness.shares()) == ("buy", "5", "0")


def test_open_sales_reserve_nothing_of_a_short_position() -> None:
    harness = shorting(positions=[{"symbol": "ABC", "qty": "-5"}], default_fill={"behaviour": "never"})
    harness.order(side="sell", qty="3")

    assert harness.exchange.position("ABC")["qty_available"] == "-5"


def test_average_cost_starts_again_when_a_short_position_becomes_long() -> None:
    harness = shorting(positions=[{"symbol": "ABC", "qty": "-5", "avg_entry_price": "9"}])
    harness.order(qty="3")
    covered = harness.exchange.position("ABC")
    harness.order(qty="3")

    turned = harness.exchange.position("ABC")

    assert (covered["qty"], covered["avg_entry_price"]) == ("-2", "9")
    assert (turned["qty"], turned["avg_entry_price"], turned["side"]) == ("1", "10.02", "long")


def test_asset_that_cannot_be_borrowed_is_not_sold_short() -> None:
    harness = shorting(assets=[{"symbol": "ABC", "shortable": False}])

    assert rejected_order(harness, side="sell", qty="21")[:2] == (422, 42210000)
    assert harness.status(harness.order(side="sell", qty="20")) == "filled"


def test_short_position_accepts_no_sale_without_short_selling() -> None:
    harness = ExchangeHarness(positions=[{"symbol": "ABC", "qty": "-5"}])

    assert rejected_order(harness, side="sell") == (403, 40310000, "account is not allowed to short")


def test_late_sale_of_shares_that_were_sold_since_opens_a_short_position() -> None:
    late_fill = {"fraction": 1, "after_seconds": 2}
    harness = ExchangeHarness(fills=[{"nth": 1, "behaviour": "cancel", "late_fill": late_fill}])
    harness.read(harness.order(side="sell", qty="20"))
    harness.order(side="sell", qty="15")
    harness.wait(seconds=2)

    assert harness.shares() == "-15"
    assert Exchange.load(harness.exchange.dump(), lambda: harness.now).positions() == harness.exchange.positions()
