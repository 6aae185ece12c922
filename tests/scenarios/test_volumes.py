"""Average volumes and volatilities, through the whole program."""

from __future__ import annotations

from typing import Any
from unittest.mock import patch

import pytest

from rebalance_executor.adapters.dynamodb.volume_cache import DynamoVolumeCache
from rebalance_executor.domain.errors import JournalUnavailable
from tests.support.world import HandlerWorld, a_world, buy, outcomes, plan

OFTEN = {"duplicate_window_minutes": 0}
LARGE, SMALL = 15_000, 500
"""Dollars at $100 per share: more than the 100 shares that are displayed, and fewer."""
PATH = "GET /v2/stocks/bars"


def bars_read(world: HandlerWorld) -> int:
    return world.broker.app.requests[PATH]


def bought(world: HandlerWorld, plan_id: str, dollars: int = LARGE) -> tuple[str, str | None]:
    """Deliver a plan that buys AAA, whatever is held; return the item's outcome and code."""
    result = world.deliver(plan(buy("AAA", dollars), plan_id=plan_id, max_drift_tolerance="1"))
    assert result["success"]
    return outcomes(result)["AAA"]


def test_volumes_are_read_once_per_day_for_orders_of_any_size() -> None:
    with a_world(config=OFTEN) as world:
        assert bought(world, "small", SMALL) == ("FILLED", None)
        assert bars_read(world) == 1
        assert bought(world, "large") == ("FILLED", None)
        assert bought(world, "again") == ("FILLED", None)
        assert bars_read(world) == 1


@pytest.mark.parametrize(
    "quote",
    [{"volume": None}, {"volume": 0}, {"volume": "many"}, {"volume_age_days": 12}],
    ids=["absent", "zero", "malformed", "stale"],
)
def test_large_order_without_a_usable_volume_is_filled_with_a_remark(quote: dict[str, Any]) -> None:
    with a_world() as world:
        world.broker.change({"quotes": {"AAA": quote}})

        assert bought(world, "unknown") == ("FILLED", "VOLUME_UNKNOWN")
        (line,) = world.log_lines("volume.unknown")
        assert line["symbols"] == ["AAA"]


@pytest.mark.parametrize(
    "fault",
    [
        {"kind": "status", "status": 403, "code": None, "message": "subscription does not permit querying SIP data"},
        {"kind": "status", "status": 503, "body": "html"},
        {"kind": "status", "status": 429},
        {"kind": "drop"},
        {"kind": "oversize", "megabytes": 64, "gzip": True},
    ],
    ids=["403", "503", "429", "drop", "oversize"],
)
def test_request_that_fails_is_sent_once_and_fails_no_plan(fault: dict[str, Any]) -> None:
    with a_world() as world:
        world.broker.change({"faults": [{**fault, "path": "stocks/bars", "count": None}]})

        assert bought(world, "unknown") == ("FILLED", "VOLUME_UNKNOWN")
        assert bars_read(world) == 1


def test_unreadable_cache_is_bypassed() -> None:
    with a_world() as world:
        with patch.object(DynamoVolumeCache, "get", side_effect=JournalUnavailable("the table does not answer")):
            assert bought(world, "bypassed") == ("FILLED", None)

        assert len(world.log_lines("volume_cache.failed")) == 1
        assert bars_read(world) == 1
