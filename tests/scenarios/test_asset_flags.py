"""Asset flags that change after they were cached, and a cache that cannot be read."""

from __future__ import annotations

from unittest.mock import patch

import pytest

from rebalance_executor.adapters.dynamodb.asset_cache import DynamoAssetCache
from rebalance_executor.domain.errors import JournalUnavailable
from tests.support.world import HandlerWorld, a_world, buy, outcomes, plan

OFTEN = {"duplicate_window_minutes": 0}
"""The same item may be traded again at once."""


def bought(world: HandlerWorld, plan_id: str, dollars: int = 1050) -> tuple[str, str | None]:
    """Deliver a plan that buys AAA; return the item's outcome and code."""
    at = world.clock.now().isoformat()
    return outcomes(world.deliver(plan(buy("AAA", dollars), plan_id=plan_id, timestamp=at)))["AAA"]


def test_symbol_that_may_be_traded_again_is_traded_by_the_next_plan() -> None:
    with a_world(config=OFTEN) as world:
        world.broker.change({"assets": [{"symbol": "AAA", "tradable": False}]})
        assert bought(world, "before") == ("DENIED", "NOT_TRADABLE")
        world.broker.change({"assets": [{"symbol": "AAA", "tradable": True}]})

        assert bought(world, "after") == ("FILLED", None)


@pytest.mark.parametrize("days", [0, 1, 3], ids=["while cached", "overnight", "over a weekend"])
@pytest.mark.parametrize(
    ("change", "later"),
    [({"fractionable": False}, ("FILLED", None)), ({"tradable": False}, ("DENIED", "NOT_TRADABLE"))],
    ids=["not fractionable", "not tradable"],
)
def test_rejection_that_contradicts_a_cached_flag_drops_it(
    change: dict[str, bool], later: tuple[str, str | None], days: int
) -> None:
    with a_world(config=OFTEN) as world:
        assert bought(world, "cached") == ("FILLED", None)
        world.advance(days * 86_400)
        world.broker.change({"assets": [{"symbol": "AAA", **change}]})

        assert bought(world, "rejected")[0] == "REJECTED"
        assert bought(world, "asked again") == later


def test_flags_are_asked_for_again_when_they_have_expired() -> None:
    with a_world(config=OFTEN) as world:
        assert bought(world, "cached") == ("FILLED", None)
        world.advance(30 * 86_400)
        world.broker.change({"assets": [{"symbol": "AAA", "tradable": False}]})

        assert bought(world, "expired") == ("DENIED", "NOT_TRADABLE")


def test_other_rejection_keeps_the_cached_flags() -> None:
    refused = {"status": 403, "code": 40310000, "message": "insufficient buying power"}
    fill = {"symbol": "AAA", "nth": 2, "behaviour": "reject", "error": refused}
    with a_world(fills=[fill], config=OFTEN) as world:
        assert bought(world, "cached") == ("FILLED", None)
        with patch.object(DynamoAssetCache, "drop", side_effect=AssertionError):
            assert bought(world, "rejected")[0] == "REJECTED"


def test_flags_that_cannot_be_dropped_do_not_stop_the_plan() -> None:
    with a_world(config=OFTEN) as world:
        assert bought(world, "cached") == ("FILLED", None)
        world.broker.change({"assets": [{"symbol": "AAA", "tradable": False}]})
        with patch.object(DynamoAssetCache, "drop", side_effect=JournalUnavailable("the table does not answer")):
            assert bought(world, "rejected")[0] == "REJECTED"

        assert len(world.log_lines("asset_cache.write_failed")) == 1


def test_plan_starts_although_the_cache_cannot_be_read() -> None:
    with (
        a_world(config=OFTEN) as world,
        patch.object(DynamoAssetCache, "get", side_effect=JournalUnavailable("AccessDeniedException")),
    ):
        assert bought(world, "bypassed") == ("FILLED", None)
        assert len(world.log_lines("asset_cache.read_failed")) == 1
