"""How orders fare: every fill behaviour, and how a rule is chosen."""

from typing import Any

import pytest

from paper_broker.exchange import Exchange
from paper_broker.fills import FillBehaviour, FillPlan
from paper_broker.formats import Wire
from tests.unit.paper_broker.desk import Desk, refusal


def with_fill(**behaviour: Any) -> Desk:
    """A desk whose orders all fare alike."""
    return Desk(default_fill=behaviour)


def test_a_marketable_order_is_pending_first_and_filled_at_the_touch_on_the_next_look() -> None:
    desk = Desk()

    order = desk.order(limit_price="10.05")

    assert (order["status"], order["filled_qty"], order["filled_avg_price"]) == ("pending_new", "0", None)
    filled = desk.look(order)
    assert (filled["status"], filled["filled_qty"], filled["filled_avg_price"]) == ("filled", "10", "10.02")
    assert filled["filled_at"] == "2026-01-26T15:00:00.000000000Z"


def test_an_order_that_is_not_marketable_waits_for_the_market() -> None:
    desk = Desk()
    order = desk.order(limit_price="9.95")
    assert desk.status(order) == "new"

    desk.exchange.merge({"quotes": {"ABC": {"bid": "9.90", "ask": "9.94"}}})

    assert desk.look(order)["filled_avg_price"] == "9.94"


def test_a_side_that_nobody_quotes_fills_nothing() -> None:
    desk = Desk(quotes={"ABC": {"bid": "10", "ask": "0", "last": "10"}})

    assert desk.status(desk.order()) == "new"


def test_a_halted_asset_fills_after_the_halt() -> None:
    desk = Desk(assets=[{"symbol": "ABC", "halted": True}])
    order = desk.order()
    assert desk.status(order) == "new"

    desk.exchange.merge({"assets": [{"symbol": "ABC", "halted": False}]})

    assert desk.status(order) == "filled"


def test_immediate_fills_even_beyond_the_market_at_the_order_s_own_limit() -> None:
    desk = with_fill(behaviour="immediate")

    assert desk.look(desk.order(limit_price="9.50"))["filled_avg_price"] == "9.5"


def test_a_scripted_price_is_never_worse_than_the_limit() -> None:
    desk = with_fill(behaviour="immediate", price="10.50")

    assert desk.look(desk.order(limit_price="10.02"))["filled_avg_price"] == "10.02"
    assert desk.look(desk.order(side="sell", limit_price="10.10"))["filled_avg_price"] == "10.5"


def test_later_fills_after_its_seconds_and_not_before() -> None:
    desk = with_fill(behaviour="later", after_seconds=5)
    order = desk.order()
    desk.wait(seconds=4.999999)
    assert desk.status(order) == "new"

    desk.wait(seconds=0.000001)

    assert desk.status(order) == "filled"


def test_parts_fill_one_after_the_other_and_the_rest_never() -> None:
    desk = with_fill(behaviour="parts", parts=[{"fraction": 0.3}, {"fraction": 0.4, "after_seconds": 2}])
    order = desk.order()
    first = desk.look(order)
    desk.wait(seconds=2)
    second = desk.look(order)
    desk.wait(seconds=600)

    assert (first["status"], first["filled_qty"]) == ("partially_filled", "3")
    assert (second["status"], second["filled_qty"]) == ("partially_filled", "7")
    assert desk.look(order)["filled_qty"] == "7"


def test_whole_orders_fill_in_whole_shares_and_fractional_ones_in_fractions() -> None:
    desk = with_fill(behaviour="parts", parts=[{"fraction": 0.5}])

    assert desk.look(desk.order(qty="3"))["filled_qty"] == "1"
    assert desk.look(desk.order(qty="0.3"))["filled_qty"] == "0.15"


def test_the_average_price_is_that_of_all_executions() -> None:
    desk = with_fill(behaviour="parts", parts=[{"fraction": 0.5}, {"fraction": 0.5, "after_seconds": 1}])
    order = desk.order(limit_price="10.10")
    desk.look(order)
    desk.exchange.merge({"quotes": {"ABC": {"ask": "10.06"}}})
    desk.wait(seconds=1)

    assert desk.look(order)["filled_avg_price"] == "10.04"


def test_never_waits_until_the_day_is_over() -> None:
    desk = with_fill(behaviour="never")
    order = desk.order()
    desk.wait(hours=5.999)
    assert desk.status(order) == "new"

    desk.wait(hours=0.001)

    ended = desk.look(order)
    assert (ended["status"], ended["expired_at"]) == ("expired", "2026-01-26T21:00:00.000000000Z")


def test_a_day_order_may_end_as_canceled_instead_of_expired() -> None:
    desk = with_fill(behaviour="never", at_close="canceled")
    order = desk.order()

    desk.wait(hours=6)

    assert desk.status(order) == "canceled"


@pytest.mark.parametrize(
    ("behaviour", "status", "field"),
    [("cancel", "canceled", "canceled_at"), ("expire", "expired", "expired_at")],
)
def test_the_broker_may_end_an_order_after_a_partial_fill(behaviour: str, status: str, field: str) -> None:
    desk = with_fill(behaviour=behaviour, fraction=0.4, after_seconds=3)
    order = desk.order()
    assert desk.look(order)["filled_qty"] == "4"

    desk.wait(seconds=3)

    ended = desk.look(order)
    assert (ended["status"], ended["filled_qty"]) == (status, "4")
    assert ended[field] == "2026-01-26T15:00:03.000000000Z"
    assert desk.shares() == "24"


def test_reject_takes_the_order_and_fails_it_later() -> None:
    desk = with_fill(behaviour="reject", after_seconds=1)
    order = desk.order()
    assert (order["status"], desk.status(order)) == ("pending_new", "new")

    desk.wait(seconds=1)

    failed = desk.look(order)
    assert (failed["status"], failed["failed_at"]) == ("rejected", "2026-01-26T15:00:01.000000000Z")
    assert desk.buying_power == "10000"


def test_pending_new_may_last() -> None:
    desk = with_fill(behaviour="immediate", pending_new_seconds=3)
    order = desk.order()
    desk.wait(seconds=2)
    assert desk.status(order) == "pending_new"

    desk.wait(seconds=1)

    assert desk.status(order) == "filled"


def test_filled_may_come_before_its_price() -> None:
    desk = with_fill(behaviour="immediate", price_pending_seconds=2)
    order = desk.order()
    early = desk.look(order)
    desk.wait(seconds=2)

    assert (early["status"], early["filled_qty"], early["filled_avg_price"]) == ("filled", "10", None)
    assert desk.look(order)["filled_avg_price"] == "10.02"


def test_an_unlisted_status_is_shown_while_the_order_works() -> None:
    desk = with_fill(behaviour="later", after_seconds=1, status="calculated")
    order = desk.order()
    assert desk.status(order) == "calculated"

    desk.wait(seconds=1)

    assert desk.status(order) == "filled"


def test_a_rule_s_error_is_the_answer_and_leaves_no_order() -> None:
    error = {"status": 403, "code": 40310000, "message": "liquidation only"}
    desk = Desk(fills=[{"symbol": "ABC", "nth": 1, "behaviour": "reject", "error": error}])

    with pytest.raises(Exception, match="403 40310000 liquidation only"):
        desk.order(client_order_id="a")

    assert desk.order(client_order_id="a")["status"] == "pending_new"


def test_a_rule_s_error_has_all_that_the_scenario_says_of_it() -> None:
    error = {"status": 422, "code": 42210000, "message": "sorry", "symbol": "ABC"}

    refused = refusal(lambda: Desk(default_fill={"error": error}).order())

    assert (refused.http_status, refused.body()) == (422, {"code": 42210000, "message": "sorry", "symbol": "ABC"})


def test_ids_stay_unique_after_a_refusal_and_a_restart() -> None:
    error = {"status": 403, "code": 40310000, "message": "no"}
    desk = Desk(fills=[{"nth": 1, "error": error}])
    refusal(desk.order)
    first = desk.order()
    desk.exchange = Exchange.load(desk.exchange.dump(), lambda: desk.now)

    second = desk.order()

    assert second["id"] != first["id"]
    assert desk.look(first)["status"] == "filled"


def test_an_immediate_or_cancel_order_takes_what_there_is_and_ends() -> None:
    desk = Desk()

    assert desk.status(desk.order(time_in_force="ioc")) == "filled"
    assert desk.status(desk.order(time_in_force="ioc", limit_price="9")) == "canceled"


def test_a_fill_or_kill_order_is_filled_as_a_whole_or_not_at_all() -> None:
    parts = {"behaviour": "parts", "parts": [{"fraction": 0.4}, {"fraction": 0.6, "after_seconds": 1}]}

    killed = Desk(default_fill=parts)
    order = killed.order(time_in_force="fok")
    filled = Desk()

    assert (killed.status(order), killed.look(order)["filled_qty"]) == ("canceled", "0")
    assert filled.status(filled.order(time_in_force="fok")) == "filled"


def test_a_stop_order_waits_for_its_stop_price() -> None:
    desk = Desk()
    order = desk.order(side="sell", type="stop", stop_price="9.50")
    assert desk.status(order) == "new"

    desk.exchange.merge({"quotes": {"ABC": {"bid": "9.49", "ask": "9.52"}}})

    assert desk.look(order)["filled_avg_price"] == "9.49"


def test_a_market_order_does_not_fill_beyond_its_collar() -> None:
    desk = Desk(default_fill={"behaviour": "marketable", "pending_new_seconds": 1})
    order = desk.order(type="market")
    desk.exchange.merge({"quotes": {"ABC": {"bid": "10.60", "ask": "10.62"}}})
    desk.wait(seconds=1)
    assert desk.status(order) == "new"

    desk.exchange.merge({"quotes": {"ABC": {"bid": "10.40", "ask": "10.45"}}})

    assert desk.look(order)["filled_avg_price"] == "10.45"


def test_an_order_for_dollars_buys_what_they_pay_for() -> None:
    desk = Desk()

    order = desk.look(desk.order(type="market", notional="50"))

    assert (order["status"], order["qty"], order["notional"]) == ("filled", None, "50")
    assert order["filled_qty"] == "4.99001996"


RULES: list[tuple[Wire, Wire]] = [
    ({"symbol": "ABC"}, {"symbol": "XYZ"}),
    ({"side": "buy"}, {"side": "sell"}),
    ({"type": "limit"}, {"type": "market"}),
    ({"client_order_id": "plan-"}, {"client_order_id": "other-1"}),
]


class Asked:
    """What a rule looks at."""

    def __init__(self, symbol: str = "ABC", side: str = "buy", type: str = "limit") -> None:  # noqa: A002
        self.symbol, self.side, self.type = symbol, side, type


def chosen(plan: FillPlan, client_order_id: str = "plan-1", **order: str) -> str:
    """The behaviour of one submission."""
    return str(plan.choose(Asked(**order), client_order_id).spec.get("behaviour"))


@pytest.mark.parametrize(("rule", "other"), RULES)
def test_a_rule_speaks_of_the_orders_it_matches_and_of_no_others(rule: Wire, other: Wire) -> None:
    desk = Desk(fills=[{**rule, "behaviour": "never"}], quotes={
        "ABC": {"bid": "10.00", "ask": "10.02"}, "XYZ": {"bid": "10.00", "ask": "10.02"},
    })  # fmt: skip

    unmatched = desk.look(desk.order(**other))
    matched = desk.look(desk.order(client_order_id="plan-1"))

    assert (unmatched["status"], matched["status"]) == ("filled", "new")


def test_the_first_matching_rule_counts_and_nth_counts_the_orders_of_a_symbol() -> None:
    desk = Desk(fills=[{"symbol": "ABC", "nth": 2, "behaviour": "never"}, {"behaviour": "immediate"}])

    assert [desk.status(desk.order(limit_price="9")) for _ in range(3)] == ["filled", "new", "filled"]


def test_random_plays_the_same_history_for_the_same_seed() -> None:
    histories = []
    for seed in (1, 1, 2):
        plan = FillPlan(seed)
        plan.default = FillBehaviour.parse({"behaviour": "random"})
        histories.append([plan.choose(Asked(), str(n)).spec for n in range(50)])

    assert histories[0] == histories[1]
    assert histories[0] != histories[2]


def test_random_fills_partially_about_one_time_in_ten() -> None:
    plan = FillPlan(3)
    plan.default = FillBehaviour.parse({"behaviour": "random"})

    partial = sum(plan.choose(Asked(), str(n)).parts[0].fraction < 1 for n in range(2000))

    assert 150 <= partial <= 250


@pytest.mark.parametrize(
    "spec",
    [
        {"behaviour": "sometimes"},
        {"speed": 3},
        {"behaviour": "parts", "parts": [{"fraction": 2}]},
        {"at_close": "held"},
        {"error": {"status": 403}},
    ],
)
def test_an_unknown_behaviour_is_refused(spec: Wire) -> None:
    with pytest.raises(ValueError, match=r"choose|write|none of"):
        FillBehaviour.parse(spec)


def test_prices_that_drift_are_the_same_for_the_same_seed_however_often_one_looks() -> None:
    drift = {"step_seconds": 1, "basis_points": 20}
    often, once = Desk(drift=drift), Desk(drift=drift)
    for _ in range(30):
        often.exchange.latest_quotes(["ABC"])
        often.wait(seconds=1)
    once.exchange.advance()
    once.wait(seconds=30)

    assert often.exchange.latest_quotes(["ABC"]) == once.exchange.latest_quotes(["ABC"])
    assert once.exchange.latest_quotes(["ABC"])["quotes"]["ABC"]["ap"] != 10.02
