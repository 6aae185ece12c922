"""Orders in the opening and the closing auction, through the whole program."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rebalance_executor.domain.errors import EarlierPlanUnfinished
from rebalance_executor.domain.risk_state import TradingState
from tests.support.world import HandlerWorld, a_world, buy, exit_of, outcomes, plan, sell

AT_1540 = datetime(2026, 1, 26, 20, 40, tzinfo=UTC)
"""20 minutes before the close of a Monday."""
AT_0900 = datetime(2026, 1, 26, 14, tzinfo=UTC)
"""Half an hour before the open."""
HALF_DAY_AT_1240 = datetime(2026, 11, 27, 17, 40, tzinfo=UTC)
"""The Friday after Thanksgiving, which closes at 13:00 New York."""
CLOSE, OPEN = "market_on_close", "market_on_open"


@contextmanager
def a_day(at: datetime, **options: Any) -> Iterator[HandlerWorld]:
    with a_world(at=at, sessions="nyse", **options) as world:
        yield world


def a_plan(world: HandlerWorld, *items: object, style: str = CLOSE, **fields: object) -> dict[str, Any]:
    return plan(*items, execution_style=style, timestamp=world.clock.now().isoformat(), **fields)


def deliver_until_result(world: HandlerWorld, event: dict[str, Any], deliveries: int = 8) -> dict[str, Any]:
    """Deliver the plan as a queue would: again when the last answer says so."""
    for _ in range(deliveries):
        answer = world.deliver(event)
        if answer["status"] != "in_progress":
            return answer
        wait = datetime.fromisoformat(answer["retry_at"]) - world.clock.now()
        world.advance(max(0.0, wait.total_seconds()))
    raise AssertionError(f"no result after {deliveries} deliveries")


def sent(world: HandlerWorld) -> list[tuple[str, str, str, str, str | None]]:
    return [(o["symbol"], o["time_in_force"], o["type"], o["qty"], o["limit_price"]) for o in world.orders]


# --- the close -------------------------------------------------------------------------------------------


def test_run_ends_after_sending_and_comes_back_for_the_result() -> None:
    with a_day(AT_1540, positions={"AAA": "10"}) as world:
        event = a_plan(world, exit_of("AAA", 1000), buy("BBB", 1000))

        first = world.deliver(event)

        assert (first["status"], first["code"], first["plan_id"]) == ("in_progress", "AUCTION_PENDING", "plan-1")
        assert datetime.fromisoformat(first["retry_at"]) == AT_1540 + timedelta(minutes=21)
        assert world.clock.now() < AT_1540 + timedelta(seconds=10)
        assert sent(world) == [("AAA", "cls", "market", "10", None), ("BBB", "cls", "market", "10", None)]
        assert world.log_lines("plan.awaits_auction")

        result = deliver_until_result(world, event)

        assert outcomes(result) == {"AAA": ("FILLED", None), "BBB": ("FILLED", None)}
        assert {order["execution_style"] for order in result["orders"]} == {CLOSE}
        assert result["orders"][0]["children"][0]["time_in_force"] == "cls"


def test_fraction_is_worked_before_the_auction_and_the_whole_shares_in_it() -> None:
    with a_day(AT_1540, positions={"AAA": "10.5"}) as world:
        result = deliver_until_result(world, a_plan(world, exit_of("AAA", 1050)))

        assert sent(world) == [("AAA", "day", "limit", "0.5", "99.99"), ("AAA", "cls", "market", "10", None)]
        assert outcomes(result) == {"AAA": ("FILLED", None)}


def test_fraction_is_left_by_configuration() -> None:
    with a_day(AT_1540, positions={"AAA": "10.5"}, config={"auction_fraction": "leave"}) as world:
        result = deliver_until_result(world, a_plan(world, exit_of("AAA", 1050)))

        assert sent(world) == [("AAA", "cls", "market", "10", None)]
        assert [order["shares"] for order in result["orders"]] == ["10"]


def test_fraction_that_does_not_fill_makes_room_for_the_auction_in_time() -> None:
    never = [{"symbol": "AAA", "nth": 1, "behaviour": "never"}]
    config = {"last_rung_seconds": 3_600}
    with a_day(AT_1540, positions={"AAA": "10.5"}, fills=never, config=config) as world:
        event = a_plan(world, exit_of("AAA", 1050))

        world.deliver(event, seconds=900)

        assert [(o["time_in_force"], o["status"]) for o in world.orders] == [("day", "canceled"), ("cls", "new")]
        assert datetime.fromisoformat(world.orders[1]["submitted_at"]) < AT_1540 + timedelta(minutes=10)


@pytest.mark.parametrize(("minutes", "is_sent"), [(9.5, True), (10, False), (15, False)])
def test_nothing_is_sent_from_the_cut_off_on(minutes: float, is_sent: bool) -> None:
    at = AT_1540 + timedelta(minutes=minutes)
    with a_day(at, positions={"AAA": "10"}) as world:
        answer = world.deliver(a_plan(world, exit_of("AAA", 1000)))

        assert bool(world.orders) is is_sent
        if not is_sent:
            assert outcomes(answer) == {"AAA": ("DENIED", "AUCTION_CLOSED")}


@pytest.mark.parametrize(("minutes", "is_sent"), [(0, True), (9, True), (10, False)])
def test_half_day_has_its_own_cut_off(minutes: float, is_sent: bool) -> None:
    with a_day(HALF_DAY_AT_1240 + timedelta(minutes=minutes), positions={"AAA": "10"}) as world:
        event = a_plan(world, exit_of("AAA", 1000))
        answer = world.deliver(event)

        assert bool(world.orders) is is_sent
        if is_sent:
            assert answer["retry_at"] == "2026-11-27T18:01:00+00:00"
            assert outcomes(deliver_until_result(world, event)) == {"AAA": ("FILLED", None)}


def test_cut_off_is_configurable() -> None:
    with a_day(AT_1540, positions={"AAA": "10"}, config={"close_cutoff_minutes": 25}) as world:
        answer = world.deliver(a_plan(world, exit_of("AAA", 1000)))

        assert (outcomes(answer), world.orders) == ({"AAA": ("DENIED", "AUCTION_CLOSED")}, [])


def test_late_plan_is_worked_before_the_close_by_configuration() -> None:
    with a_day(AT_1540 + timedelta(minutes=12), positions={"AAA": "10"}, config={"auction_remainder": "work"}) as world:
        answer = world.deliver(a_plan(world, exit_of("AAA", 1000)))

        assert outcomes(answer) == {"AAA": ("FILLED", None)}
        assert [order["time_in_force"] for order in world.orders] == ["day"]


@pytest.mark.parametrize(
    ("rule", "code", "filled"),
    [
        ({"fill_fraction": 0.4}, "AUCTION_UNFILLED", 4),
        ({"fill_fraction": 0, "unfilled": "canceled"}, "AUCTION_UNFILLED", 0),
        ({"fill_fraction": 0}, "AUCTION_EXPIRED", 0),
    ],
)
def test_what_the_auction_leaves_ends_with_its_code(rule: dict[str, Any], code: str, filled: int) -> None:
    with a_day(AT_1540, positions={"AAA": "10"}, auctions=[rule]) as world:
        result = deliver_until_result(world, a_plan(world, exit_of("AAA", 1000)))

        outcome = "PARTIALLY_FILLED" if filled else "UNFILLED"
        assert outcomes(result) == {"AAA": (outcome, code)}
        assert world.filled("AAA") == filled


def test_account_that_may_not_send_such_orders_gets_its_code() -> None:
    with a_day(AT_1540, positions={"AAA": "10"}, auctions=[{"accepts": False}]) as world:
        answer = world.deliver(a_plan(world, exit_of("AAA", 1000)))

        assert outcomes(answer) == {"AAA": ("REJECTED", "AUCTION_REJECTED")}


def test_account_that_may_not_send_such_orders_is_not_halted() -> None:
    prices = {f"S{number:02d}": "10" for number in range(12)}
    with a_day(AT_1540, prices=prices, auctions=[{"accepts": False}]) as world:
        answer = world.deliver(a_plan(world, *(buy(symbol, 100) for symbol in prices)))

        assert set(outcomes(answer).values()) == {("REJECTED", "AUCTION_REJECTED")}
        assert world.log_lines("kill_switch.tripped") == []


def test_rejected_order_is_worked_before_the_close_by_configuration() -> None:
    config = {"auction_remainder": "work"}
    with a_day(AT_1540, positions={"AAA": "10"}, auctions=[{"accepts": False}], config=config) as world:
        answer = world.deliver(a_plan(world, exit_of("AAA", 1000)))

        assert outcomes(answer) == {"AAA": ("FILLED", None)}


@pytest.mark.parametrize(("limit", "price"), [("101.005", "101"), (None, "101")])
def test_limit_is_that_of_the_plan_or_around_the_quote(limit: str | None, price: str) -> None:
    item = buy("AAA", 1000) | ({"limit_price": limit} if limit else {})
    with a_day(AT_1540) as world:
        world.deliver(a_plan(world, item, style="limit_on_close"))

        assert sent(world) == [("AAA", "cls", "limit", "10", price)]


def test_buys_in_the_auction_are_sized_at_the_worst_price_within_the_cash() -> None:
    """The broker holds $105 per share of a market buy, and sells of the same auction pay nothing before it."""
    with a_day(AT_1540, cash="1000", positions={"AAA": "10"}) as world:
        deliver_until_result(world, a_plan(world, exit_of("AAA", 1000), buy("BBB", 1000)))

        in_auction = [(symbol, qty) for symbol, tif, _, qty, _ in sent(world) if tif == "cls"]
        assert in_auction == [("AAA", "10"), ("BBB", "9")]


def test_buys_in_the_auction_use_proceeds_of_sells_that_are_worked_before_it() -> None:
    item = exit_of("AAA", 1000, execution_style="work")
    with a_day(AT_1540, cash="0", positions={"AAA": "10"}) as world:
        deliver_until_result(world, a_plan(world, item, buy("BBB", 900)))

        assert [(s, tif, qty) for s, tif, _, qty, _ in sent(world)] == [("AAA", "day", "10"), ("BBB", "cls", "9")]


def test_halted_account_withdraws_its_orders_before_the_cut_off_and_not_after() -> None:
    with a_day(AT_1540, positions={"AAA": "10"}) as world:
        event = a_plan(world, exit_of("AAA", 1000))
        world.deliver(event)
        world.set_kill_switch(TradingState.HALTED)

        answer = world.deliver(event)

        assert outcomes(answer) == {"AAA": ("UNFILLED", "HALTED")}
        assert [order["status"] for order in world.orders] == ["canceled"]

    with a_day(AT_1540, positions={"AAA": "10"}) as world:
        event = a_plan(world, exit_of("AAA", 1000))
        world.deliver(event)
        world.advance(11 * 60)
        world.set_kill_switch(TradingState.HALTED)

        result = deliver_until_result(world, event)

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert [order["status"] for order in world.orders] == ["filled"]


def test_another_plan_waits_for_the_auction_and_costs_no_run() -> None:
    with a_day(AT_1540, positions={"AAA": "10"}) as world:
        event = a_plan(world, exit_of("AAA", 1000))
        world.deliver(event)

        for _ in range(8):
            with pytest.raises(EarlierPlanUnfinished) as raised:
                world.deliver(a_plan(world, buy("BBB", 1000), plan_id="other", style="work"))

        assert raised.value.retry_at == AT_1540 + timedelta(minutes=21)
        result = deliver_until_result(world, event)
        assert (outcomes(result), result["runs"]) == ({"AAA": ("FILLED", None)}, 2)


@pytest.mark.parametrize("request_", [{"watch": True}, {"resume": True}])
def test_plan_without_another_delivery_is_finished_after_the_auction(request_: dict[str, bool]) -> None:
    with a_day(AT_1540, positions={"AAA": "10"}) as world:
        event = a_plan(world, exit_of("AAA", 1000))
        world.deliver(event)
        before = world.deliver(request_)
        world.advance(25 * 60)

        after = world.deliver(request_)

        assert [one["plan_id"] for one in before["unfinished"]] == ["plan-1"]
        assert after["unfinished"] == []
        assert outcomes(world.deliver(event)) == {"AAA": ("FILLED", None)}


@pytest.mark.parametrize(("when", "outcome"), [("before", ("DENIED", "AUCTION_CLOSED")), ("after", ("FILLED", None))])
def test_order_without_an_answer_is_not_sent_again_after_the_cut_off(
    when: str, outcome: tuple[str, str | None]
) -> None:
    unanswered = {"kind": "drop", "method": "POST", "path": "/v2/orders", "when": when}
    with a_day(AT_1540 + timedelta(minutes=9, seconds=59.8), positions={"AAA": "10"}, faults=[unanswered]) as world:
        result = deliver_until_result(world, a_plan(world, exit_of("AAA", 1000)))

        assert outcomes(result) == {"AAA": outcome}
        assert [order["time_in_force"] for order in world.orders] == (["cls"] if when == "after" else [])


def test_report_that_comes_late_is_waited_for() -> None:
    with a_day(AT_1540, positions={"AAA": "10"}, auctions=[{"delay_seconds": 300}]) as world:
        result = deliver_until_result(world, a_plan(world, exit_of("AAA", 1000)))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert result["execution_timestamp"] >= "2026-01-26T21:05:00"


# --- the open --------------------------------------------------------------------------------------------


def test_plan_before_the_open_trades_in_the_opening_auction_and_works_the_rest_after_it() -> None:
    with a_day(AT_0900, positions={"AAA": "10.5"}) as world:
        event = a_plan(world, exit_of("AAA", 1050), buy("BBB", 1000, execution_style="work"), style=OPEN)

        first = world.deliver(event)

        assert (first["status"], first["retry_at"]) == ("in_progress", "2026-01-26T14:31:00+00:00")
        assert sent(world) == [("AAA", "opg", "market", "10", None)]

        result = deliver_until_result(world, event)

        assert outcomes(result) == {"AAA": ("FILLED", None), "BBB": ("FILLED", None)}
        assert [(order["symbol"], order["time_in_force"]) for order in world.orders] == [
            ("AAA", "opg"),
            ("BBB", "day"),
            ("AAA", "day"),
        ]
        assert not any(order["extended_hours"] for order in world.orders)


@pytest.mark.parametrize(("minutes", "code"), [(28, "AUCTION_CLOSED"), (60, "AUCTION_CLOSED")])
def test_too_late_for_the_open(minutes: int, code: str) -> None:
    with a_day(AT_0900 + timedelta(minutes=minutes), positions={"AAA": "10"}) as world:
        answer = world.deliver(a_plan(world, exit_of("AAA", 1000), style=OPEN))

        assert world.orders == []
        assert outcomes(answer)["AAA"][1] in (code, "MARKET_CLOSED")


def test_evening_before_is_early_enough_for_the_open() -> None:
    with a_day(datetime(2026, 1, 26, 0, 30, tzinfo=UTC), positions={"AAA": "10"}) as world:
        event = a_plan(world, exit_of("AAA", 1000), style=OPEN)

        result = deliver_until_result(world, event)

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert [order["time_in_force"] for order in world.orders] == ["opg"]


def test_what_the_open_leaves_is_worked_by_configuration() -> None:
    config = {"auction_remainder": "work"}
    with a_day(AT_0900, positions={"AAA": "10"}, auctions=[{"fill_fraction": 0.4}], config=config) as world:
        result = deliver_until_result(world, a_plan(world, sell("AAA", 1000), style=OPEN))

        assert outcomes(result) == {"AAA": ("FILLED", None)}
        assert [(o["time_in_force"], o["filled_qty"]) for o in world.orders] == [("opg", "4"), ("day", "6")]


# --- the rest --------------------------------------------------------------------------------------------


def test_rest_is_carried_to_a_plan_of_the_next_day() -> None:
    config = {"auction_remainder": "carry"}
    with a_day(AT_1540, positions={"AAA": "10"}, auctions=[{"fill_fraction": 0.4}], config=config) as world:
        event = a_plan(world, exit_of("AAA", 1000))

        result = deliver_until_result(world, event)

        carried = result["carried_plan"]
        assert (carried["plan_id"], carried["timestamp"]) == ("plan-1-carried", "2026-01-27T14:30:00Z")
        assert [(item["symbol"], item["trade_amount"]) for item in carried["items"]] == [("AAA", "-600")]
        assert carried["metadata"]["carried_from"] == "plan-1"
        assert world.deliver({"resume": True})["carried"] == []

        world.broker.change({"auctions": []})
        next_day = datetime(2026, 1, 27, 14, 35, tzinfo=UTC)
        world.advance((next_day - world.clock.now()).total_seconds())
        started = world.deliver({"resume": True})["carried"]
        again = world.deliver({"resume": True})["carried"]
        world.advance(7 * 3_600)
        world.deliver({"resume": True})

        assert [(one["plan_id"], one["code"]) for one in (*started, *again)] == [
            ("plan-1-carried", "AUCTION_PENDING")
        ] * 2
        assert [order["filled_qty"] for order in world.orders] == ["4", "6"]
        assert outcomes(world.deliver(carried | {"account": "default"})) == {"AAA": ("FILLED", None)}


def test_rest_is_left_unless_it_is_to_be_carried() -> None:
    with a_day(AT_1540, positions={"AAA": "10"}, auctions=[{"fill_fraction": 0.4}]) as world:
        assert deliver_until_result(world, a_plan(world, exit_of("AAA", 1000)))["carried_plan"] is None


def test_daily_check_before_the_auction_does_not_call_the_day_overdue() -> None:
    with a_day(AT_1540, positions={"AAA": "10"}) as world:
        world.deliver(a_plan(world, exit_of("AAA", 1000)))
        world.advance(17 * 60)

        assert world.deliver({"watch": True})["overdue"] is False
