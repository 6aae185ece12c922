"""Average volumes and volatilities: one request at most, never a reason for a plan to fail."""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import BrokerUnavailable, JournalUnavailable, RateLimited
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.volume import AverageVolume
from rebalance_executor.execution.events import LogEvent
from tests.support.builders import NOW, a_plan, an_exit, an_item
from tests.support.fake_ports import FakePorts, outcomes

TODAY, YESTERDAY = NOW.date(), date(2026, 1, 25)
DISPLAYED = 100
"""Shares that the fake broker displays on each side."""


def buys(plan_id: str = "plan-1", **shares: int) -> RebalancePlan:
    """Return a plan that buys so many shares of each symbol at $100."""
    items = (an_item(symbol, amount=str(count * 100)) for symbol, count in shares.items())
    return a_plan(*items, plan_id=plan_id, max_drift_tolerance="1")


def volume_reads(fakes: FakePorts) -> list[object]:
    return [argument for name, argument in fakes.broker.reads if name == "daily_bars"]


def a_volume(symbol: str = "AAA", shares: int = 70_000) -> AverageVolume:
    return AverageVolume(symbol, Decimal(shares), 20, YESTERDAY)


def test_small_orders_have_no_volume_and_need_none() -> None:
    fakes = FakePorts()
    fakes.broker.volumes = {"AAA": 50_000}

    result = fakes.execute(buys(AAA=DISPLAYED, BBB=5))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None), "BBB": (Outcome.FILLED, None)}
    assert [fakes.parent(symbol).average_volume for symbol in ("AAA", "BBB")] == [None, None]
    assert LogEvent.VOLUME_UNKNOWN not in fakes.events


def test_volumes_are_read_in_one_request_and_journalled() -> None:
    fakes = FakePorts()
    fakes.broker.volumes = {"AAA": 50_000, "CCC": 90_000}

    result = fakes.execute(buys(AAA=150, BBB=5, CCC=200))

    assert volume_reads(fakes) == [(["AAA", "BBB", "CCC"], date(2025, 12, 27), YESTERDAY)]
    assert [fakes.parent(symbol).average_volume for symbol in ("AAA", "BBB", "CCC")] == [50_000, None, 90_000]
    assert {code for _, code in outcomes(result).values()} == {None}


def test_volumes_are_read_once_per_day() -> None:
    fakes = FakePorts(duplicate_window_minutes=0)
    fakes.broker.volumes = {"AAA": 50_000, "BBB": 60_000}
    fakes.execute(buys(AAA=150))

    fakes.execute(buys("plan-2", AAA=150, BBB=150), run_id="run-2")

    assert [argument[0] for argument in volume_reads(fakes)] == [["AAA"], ["BBB"]]  # type: ignore[index]
    assert fakes.parent("AAA", "plan-2").average_volume == 50_000
    assert set(fakes.volume_cache.cached) == {(TODAY, "AAA"), (TODAY, "BBB")}


def test_average_of_another_day_is_read_again() -> None:
    fakes = FakePorts()
    fakes.volume_cache.cached[YESTERDAY, "AAA"] = a_volume()
    fakes.broker.volumes = {"AAA": 50_000}

    fakes.execute(buys(AAA=150))

    assert fakes.parent("AAA").average_volume == 50_000


@pytest.mark.parametrize("volumes", [{}, {"AAA": 0}], ids=["none", "zero"])
def test_order_without_a_usable_volume_is_filled_with_a_remark(volumes: dict[str, int]) -> None:
    fakes = FakePorts()
    fakes.broker.volumes = {**volumes, "BBB": 60_000}

    result = fakes.execute(buys(AAA=150, BBB=150))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, Code.VOLUME_UNKNOWN), "BBB": (Outcome.FILLED, None)}
    assert result.success
    assert result.orders_succeeded == 2
    assert fakes.parent("AAA").average_volume is None
    assert [fields["symbols"] for fields in fakes.fields(LogEvent.VOLUME_UNKNOWN)] == [["AAA"]]
    assert LogEvent.ITEM_SCALED not in fakes.events
    assert set(fakes.volume_cache.cached) == {(TODAY, "BBB")}


@pytest.mark.parametrize("error", [BrokerUnavailable("HTTP 503"), RateLimited("used up")], ids=["503", "rate limit"])
def test_failed_request_leaves_the_volumes_unknown_and_is_not_repeated(error: Exception) -> None:
    fakes = FakePorts()
    fakes.broker.volumes = {"AAA": 50_000}
    fakes.broker.errors["daily_bars"] = [error]

    result = fakes.execute(buys(AAA=150))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, Code.VOLUME_UNKNOWN)}
    assert result.success
    assert len(volume_reads(fakes)) == 1
    assert str(error) in str(fakes.fields(LogEvent.VOLUME_UNKNOWN)[0]["reason"])
    assert fakes.volume_cache.cached == {}


def test_cached_volumes_count_while_the_broker_fails() -> None:
    fakes = FakePorts()
    fakes.volume_cache.cached[TODAY, "AAA"] = a_volume()
    fakes.broker.errors["daily_bars"] = [BrokerUnavailable("HTTP 503")]

    result = fakes.execute(buys(AAA=150, BBB=150))

    assert fakes.parent("AAA").average_volume == 70_000
    assert outcomes(result) == {"AAA": (Outcome.FILLED, None), "BBB": (Outcome.FILLED, Code.VOLUME_UNKNOWN)}


def test_cache_that_cannot_be_read_is_bypassed() -> None:
    fakes = FakePorts()
    fakes.volume_cache.cached[TODAY, "AAA"] = a_volume()
    fakes.broker.volumes = {"AAA": 50_000}
    fakes.database_errors["volumes.get"] = [JournalUnavailable("the table does not answer")]

    fakes.execute(buys(AAA=150))

    assert fakes.parent("AAA").average_volume == 50_000
    assert fakes.fields(LogEvent.VOLUME_CACHE_FAILED) == [{"reason": "the table does not answer"}]
    assert "volumes.put" not in fakes.database_calls


def test_failed_cache_write_does_not_stop_trading() -> None:
    fakes = FakePorts()
    fakes.broker.volumes = {"AAA": 50_000}
    fakes.database_errors["volumes.put"] = [JournalUnavailable("the table does not answer")]

    result = fakes.execute(buys(AAA=150))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, None)}
    assert fakes.fields(LogEvent.VOLUME_CACHE_FAILED) == [{"reason": "the table does not answer"}]


def test_denied_orders_ask_for_no_volume() -> None:
    fakes = FakePorts(max_order_dollars=10_000)

    result = fakes.execute(buys(AAA=150))

    assert outcomes(result) == {"AAA": (Outcome.DENIED, Code.ORDER_TOO_LARGE)}
    assert volume_reads(fakes) == []


def test_earlier_remark_is_kept() -> None:
    fakes = FakePorts()
    fakes.broker.assets["AAA"] = replace(fakes.broker.assets["AAA"], fractionable=False)
    fakes.broker.shares = {"AAA": Decimal("150.5")}

    result = fakes.execute(a_plan(an_exit("AAA", amount="-15050", current_value="15050")))

    assert outcomes(result) == {"AAA": (Outcome.FILLED, Code.NOT_FRACTIONABLE)}
    assert len(volume_reads(fakes)) == 1
