"""Requests of orders that are worked in slices: none while nothing is due."""

from __future__ import annotations

from collections import Counter

from tests.support.world import HandlerWorld, a_world, exit_of, outcomes, plan

SMALL = {"bid": "100.00", "ask": "100.01", "bid_size": 10, "ask_size": 10, "volume": 1_000_000}


def requests(world: HandlerWorld) -> Counter[str]:
    return Counter(world.broker.app.totals)


def test_run_between_two_slices_sends_no_request() -> None:
    """Four slices, one per minute; the first one is filled at once."""
    config = {"slice_minutes": 4, "slice_seconds": 60}
    seen: list[Counter[str]] = []
    with a_world(quotes={"AAA": SMALL}, positions={"AAA": "100"}, config=config) as world:
        for seconds in (10, 50):
            world.after(seconds, lambda: seen.append(requests(world)))
        result = world.deliver(plan(exit_of("AAA", 10_000, current_value="10000")), seconds=900)

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert len(world.orders) == 4
        assert seen[1] - seen[0] == Counter()


def test_fill_that_is_reported_between_two_slices_is_counted_before_the_next_one() -> None:
    fill = {"symbol": "AAA", "nth": 1, "behaviour": "cancel", "fraction": 0.4, "after_seconds": 1}
    fill |= {"late_fill": {"fraction": 0.2, "after_seconds": 30}}
    config = {"slice_minutes": 2, "slice_seconds": 60}
    with a_world(quotes={"AAA": SMALL}, positions={"AAA": "100"}, config=config, fills=[fill]) as world:
        result = world.deliver(plan(exit_of("AAA", 10_000, current_value="10000")), seconds=900)

        assert outcomes(result)["AAA"][0] == "FILLED"
        assert world.filled("AAA") == 100
