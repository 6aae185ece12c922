"""Quantities at the broker's precision of nine decimals."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import pytest

from rebalance_executor.domain.market import cut_shares, same_qty
from tests.support.builders import an_order


@pytest.mark.parametrize(
    ("qty", "cut"),
    [
        ("1.2345678919", "1.234567891"),
        ("1.234567891", "1.234567891"),
        ("-0.0000000009", "0"),
        ("10", "10"),
        ("1E+3", "1000"),
    ],
)
def test_shares_have_at_most_nine_decimals(qty: str, cut: str) -> None:
    assert cut_shares(Decimal(qty)) == Decimal(cut)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Decimal("1.2345678912"), Decimal("1.234567891"), True),
        (Decimal("1.234567891"), Decimal("1.234567892"), False),
        (Decimal("1.50"), Decimal("1.5"), True),
        (None, Decimal(1), False),
        (None, None, False),
    ],
)
def test_quantities_are_compared_at_nine_decimals(one: Decimal | None, other: Decimal | None, *, same: bool) -> None:
    assert same_qty(one, other) is same


@pytest.mark.parametrize(
    ("symbol", "side", "qty", "same"),
    [
        ("ABC", "buy", "10.0000000001", True),
        ("ABC", "buy", "10.000000001", False),
        ("ABC", "sell", "10", False),
        ("XYZ", "buy", "10", False),
    ],
)
def test_order_has_the_content_that_was_sent(symbol: str, side: str, qty: str, *, same: bool) -> None:
    assert an_order(qty="10").is_for(symbol, side, Decimal(qty)) is same
    assert not replace(an_order(), qty=None).is_for("ABC", "buy", Decimal(10))
