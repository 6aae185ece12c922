"""Figures of the benchmarks: when a goal is met, and how old a quote behind a limit is."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.completion import quote_ages
from benchmarks.row import Row


@pytest.mark.parametrize(
    ("fields", "met"),
    [
        ({"value": 5, "goal": 5}, True),
        ({"value": 6, "goal": 5}, False),
        ({"value": 6, "goal": 5, "goal_is": "least"}, True),
        ({"value": 4, "goal": 5, "goal_is": "least"}, False),
        ({"value": 6, "compared": 12, "goal": 0.5, "goal_is": "ratio"}, True),
        ({"value": 7, "compared": 12, "goal": 0.5, "goal_is": "ratio"}, False),
        ({"value": 7, "goal": 0.5, "goal_is": "ratio"}, None),
        ({"value": None, "goal": 5}, None),
        ({"value": 5}, None),
    ],
)
def test_goal_limits_the_value_or_the_ratio(fields: dict[str, Any], met: bool | None) -> None:
    assert Row("point", "what", unit="s", **fields).met is met


def request(second: int, path: str, *, order: str | None = None, symbols: str = "") -> dict[str, Any]:
    method = "GET" if order is None else "POST"
    at = f"2026-01-26T15:00:{second:02d}+00:00"
    return {"at": at, "method": method, "path": path, "query": {"symbols": symbols}, "client_order_id": order}


def intended(second: int, order: str, symbol: str) -> dict[str, Any]:
    return {"timestamp": f"2026-01-26 15:00:{second:02d},500+0000", "client_order_id": order, "symbol": symbol}


def test_age_counts_from_the_quote_that_the_limit_was_computed_from() -> None:
    """A later reading does not make a limit younger, and one of another symbol says nothing about it."""
    requests = [
        request(1, "/v2/stocks/quotes/latest", symbols="AAA,BBB"),
        request(3, "/v2/stocks/quotes/latest", symbols="BBB"),
        request(8, "/v2/stocks/quotes/latest", symbols="AAA,BBB"),
        request(9, "/v2/orders", order="a"),
        request(10, "/v2/orders", order="b"),
    ]

    assert quote_ages([intended(4, "a", "AAA"), intended(4, "b", "BBB")], requests) == [8, 7]


def test_age_of_an_order_that_was_priced_again_counts_from_the_last_price() -> None:
    requests = [
        request(1, "/v2/stocks/quotes/latest", symbols="AAA"),
        request(5, "/v2/stocks/snapshots", symbols="AAA"),
        request(7, "/v2/orders", order="a"),
    ]

    assert quote_ages([intended(2, "a", "AAA"), intended(6, "a", "AAA")], requests) == [2]
