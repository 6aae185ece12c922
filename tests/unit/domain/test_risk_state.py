"""Daily usage of an account."""

from __future__ import annotations

from decimal import Decimal

from rebalance_executor.domain.risk_state import DailyUsage
from tests.support.builders import NOW


def test_daily_usage_grows_by_a_plan_with_its_buys_and_sells() -> None:
    day = DailyUsage(NOW.date(), plans=2, buys=Decimal(100), sells=Decimal(30)).plus(Decimal(7), Decimal(50))

    assert day == DailyUsage(NOW.date(), plans=3, buys=Decimal(107), sells=Decimal(80))
    assert (day.gross, day.net) == (Decimal(187), Decimal(27))
