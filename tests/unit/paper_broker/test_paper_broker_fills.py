"""Fill behaviour: every behaviour and option, and the choice of a rule."""

from typing import Any

import pytest

from paper_broker.exchange import Exchange
from paper_broker.fills import FillBehaviour, FillPlan
from paper_broker.formats import JsonObject
from tests.unit.paper_broker.exchange_harness import ExchangeHarness, rejection


def with_fill(**behaviour: Any) -> ExchangeHarness:
    """Return a harness in which all orders have this behaviour."""
    return ExchangeHarness(default_fill=behaviour)


def test_marketable_order_is_pending_then_filled_at_the_touch() -> None:
    harness = ExchangeHarness()

    order = harness.order(limit_price="10.05")

    assert (order["status"], order["filled_qty"], order["filled_avg_price"]) == ("pending_new", "0", None)
    filled = harness.read(order)
    assert (filled["status"], filled["filled_qty"], filled["filled_avg_price"]) == ("filled", "10", "10.02")
    assert filled["filled_at"] == "2026-01-26T15:00:00.000000000Z"


def test_order_waits_until_it_is_marketable() -> None:
    harness = ExchangeHarness()
    order = harness.order(limit_price="9.95")
    assert harness.status(order) == "new"

    harness.exchange.merge({"quotes": {"ABC": {"bid": "9.90", "ask": "9.94"}}})

    assert harness.read(order)["filled_avg_price"] == "9.94"


def test_order_does_not_fill_without_a_quote_on_the_other_side() -> None:
    harness = ExchangeHarness(quotes={"ABC": {"bid": "10", "ask": "0", "last": "10"}})

    assert harness.status(harness.order()) == "new"


def test_order_in_a_halted_asset_fills_after_the_halt() -> None:
    harness = ExchangeHarness(assets=[{"symbol": "ABC", "halted": True}])
    order = harness.order()
    assert harness.status(order) == "new"

    harness.exchange.merge({"assets": [{"symbol": "ABC", "halted": False}]})

    assert harness.status(order) == "filled"


def test_immediate_fills_at_the_limit_if_the_touch_is_worse() -> None:
    harness = with_fill(behaviour="immediate")

    assert harness.read(harness.order(limit_price="9.50"))["filled_avg_price"] == "9.5"


def test_scripted_price_is_never_worse_than_the_limit() -> None:
    harness = with_fill(behaviour="immediate", price="10.50")

    assert harness.read(harness.order(limit_price="10.02"))["filled_avg_price"] == "10.02"
    assert harness.read(harness.order(side="sell", limit_price="10.10"))["filled_avg_price"] == "10.5"


def test_later_fills_after_its_delay() -> None:
    harness = with_fill(behaviour="later", after_seconds=5)
    order = harness.order()
    harness.wait(seconds=4.999999)
    assert harness.status(order) == "new"

    harness.wait(seconds=0.000001)

    assert harness.status(order) == "filled"


def test_parts_fill_in_sequence_and_the_remainder_stays_open() -> None:
    harness = with_fill(behaviour="parts", parts=[{"fraction": 0.3}, {"fraction": 0.4, "after_seconds": 2}])
    order = harness.order()
    first = harness.read(order)
    harness.wait(seconds=2)
    second = harness.read(order)
    harness.wait(seconds=600)

    assert (first["status"], first["filled_qty"]) == ("partially_filled", "3")
    assert (second["status"], second["filled_qty"]) == ("partially_filled", "7")
    assert harness.read(order)["filled_qty"] == "7"


def test_partial_fills_of_whole_orders_are_whole_shares() -> None:
    harness = with_fill(behaviour="parts", parts=[{"fraction": 0.5}])

    assert harness.read(harness.order(qty="3"))["filled_qty"] == "1"
    assert harness.read(harness.order(qty="0.3"))["filled_qty"] == "0.15"


def test_average_price_covers_all_executions() -> None:
    harness = with_fill(behaviour="parts", parts=[{"fraction": 0.5}, {"fraction": 0.5, "after_seconds": 1}])
    order = harness.order(limit_price="10.10")
    harness.read(order)
    harness.exchange.merge({"quotes": {"ABC": {"ask": "10.06"}}})
    harness.wait(seconds=1)

    assert harness.read(order)["filled_avg_price"] == "10.04"


def test_never_expires_at_the_close() -> None:
    harness = with_fill(behaviour="never")
    order = harness.order()
    harness.wait(hours=5.999)
    assert harness.status(order) == "new"

    harness.wait(hours=0.001)

    closed = harness.read(order)
    assert (closed["status"], closed["expired_at"]) == ("expired", "2026-01-26T21:00:00.000000000Z")


def test_day_order_can_be_canceled_at_the_close() -> None:
    harness = with_fill(behaviour="never", at_close="canceled")
    order = harness.order()

    harness.wait(hours=6)

    assert harness.status(order) == "canceled"


@pytest.mark.parametrize(
    ("behaviour", "status", "field"),
    [("cancel", "canceled", "canceled_at"), ("expire", "expired", "expired_at")],
)
def test_broker_can_close_an_order_after_a_partial_fill(behaviour: str, status: str, field: str) -> None:
    harness = with_fill(behaviour=behaviour, fraction=0.4, after_seconds=3)
    order = harness.order()
    assert harness.read(order)["filled_qty"] == "4"

    harness.wait(seconds=3)

    closed = harness.read(order)
    assert (closed["status"], closed["filled_qty"]) == (status, "4")
    assert closed[field] == "2026-01-26T15:00:03.000000000Z"
    assert harness.shares() == "24"


def test_reject_accepts_the_order_and_rejects_it_later() -> None:
    harness = with_fill(behaviour="reject", after_seconds=1)
    order = harness.order()
    assert (order["status"], harness.status(order)) == ("pending_new", "new")

    harness.wait(seconds=1)

    failed = harness.read(order)
    assert (failed["status"], failed["failed_at"]) == ("rejected", "2026-01-26T15:00:01.000000000Z")
    assert harness.buying_power == "10000"


def test_pending_new_can_last() -> None:
    harness = with_fill(behaviour="immediate", pending_new_seconds=3)
    order = harness.order()
    harness.wait(seconds=2)
    assert harness.status(order) == "pending_new"

    harness.wait(seconds=1)

    assert harness.status(order) == "filled"


def test_order_can_be_filled_before_its_price_is_visible() -> None:
    harness = with_fill(behaviour="immediate", price_pending_seconds=2)
    order = harness.order()
    early = harness.read(order)
    harness.wait(seconds=2)

    assert (early["status"], early["filled_qty"], early["filled_avg_price"]) == ("filled", "10", None)
    assert harness.read(order)["filled_avg_price"] == "10.02"


def test_scripted_status_is_shown_while_the_order_is_working() -> None:
    harness = with_fill(behaviour="later", after_seconds=1, status="calculated")
    order = harness.order()
    assert harness.status(order) == "calculated"

    harness.wait(seconds=1)

    assert harness.status(order) == "filled"


def test_scripted_error_creates_no_order() -> None:
    error = {"status": 403, "code": 40310000, "message": "liquidation only"}
    harness = ExchangeHarness(fills=[{"symbol": "ABC", "nth": 1, "behaviour": "reject", "error": error}])

    with pytest.raises(Exception, match="403 40310000 liquidation only"):
        harness.order(client_order_id="a")

    assert harness.order(client_order_id="a")["status"] == "pending_new"


def test_scripted_error_has_all_fields_of_the_scenario() -> None:
    error = {"status": 422, "code": 42210000, "message": "sorry", "symbol": "ABC"}

    rejected = rejection(lambda: ExchangeHarness(default_fill={"error": error}).order())

    assert (rejected.http_status, rejected.body()) == (422, {"code": 42210000, "message": "sorry", "symbol": "ABC"})


def test_order_ids_stay_unique_after_a_rejection_and_a_restart() -> None:
    error = {"status": 403, "code": 40310000, "message": "no"}
    harness = ExchangeHarness(fills=[{"nth": 1, "error": error}])
    rejection(harness.order)
    first = harness.order()
    harness.exchange = Exchange.load(harness.exchange.dump(), lambda: harness.now)

    second = harness.order()

    assert second["id"] != first["id"]
    assert harness.read(first)["status"] == "filled"


def test_ioc_order_fills_or_is_canceled() -> None:
    harness = ExchangeHarness()

    assert harness.status(harness.order(time_in_force="ioc")) == "filled"
    assert harness.status(harness.order(time_in_force="ioc", limit_price="9")) == "canceled"


def test_fok_order_fills_completely_or_not_at_all() -> None:
    parts = {"behaviour": "parts", "parts": [{"fraction": 0.4}, {"fraction": 0.6, "after_seconds": 1}]}

    killed = ExchangeHarness(default_fill=parts)
    order = killed.order(time_in_force="fok")
    filled = ExchangeHarness()

    assert (killed.status(order), killed.read(order)["filled_qty"]) == ("canceled", "0")
    assert filled.status(filled.order(time_in_force="fok")) == "filled"


def test_stop_order_waits_for_its_stop_price() -> None:
    harness = ExchangeHarness()
    order = harness.order(side="sell", type="stop", stop_price="9.50")
    assert harness.status(order) == "new"

    harness.exchange.merge({"quotes": {"ABC": {"bid": "9.49", "ask": "9.52"}}})

    assert harness.read(order)["filled_avg_price"] == "9.49"


def test_market_order_does_not_fill_outside_its_collar() -> None:
    harness = ExchangeHarness(default_fill={"behaviour": "marketable", "pending_new_seconds": 1})
    order = harness.order(type="market")
    harness.exchange.merge({"quotes": {"ABC": {"bid": "10.60", "ask": "10.62"}}})
    harness.wait(seconds=1)
    assert harness.status(order) == "new"

    harness.exchange.merge({"quotes": {"ABC": {"bid": "10.40", "ask": "10.45"}}})

    assert harness.read(order)["filled_avg_price"] == "10.45"


def test_notional_order_buys_fractional_shares() -> None:
    harness = ExchangeHarness()

    order = harness.read(harness.order(type="market", notional="50"))

    assert (order["status"], order["qty"], order["notional"]) == ("filled", None, "50")
    assert order["filled_qty"] == "4.99001996"


RULES: list[tuple[JsonObject, JsonObject]] = [
    ({"symbol": "ABC"}, {"symbol": "XYZ"}),
    ({"side": "buy"}, {"side": "sell"}),
    ({"type": "limit"}, {"type": "market"}),
    ({"client_order_id": "plan-"}, {"client_order_id": "other-1"}),
]


class SubmissionStub:
    """The attributes of an order that fill rules match."""

    def __init__(self, symbol: str = "ABC", side: str = "buy", type: str = "limit") -> None:  # noqa: A002
        self.symbol, self.side, self.type = symbol, side, type


@pytest.mark.parametrize(("rule", "other"), RULES)
def test_fill_rule_applies_to_matching_orders_only(rule: JsonObject, other: JsonObject) -> None:
    harness = ExchangeHarness(fills=[{**rule, "behaviour": "never"}], quotes={
        "ABC": {"bid": "10.00", "ask": "10.02"}, "XYZ": {"bid": "10.00", "ask": "10.02"},
    })  # fmt: skip

    unmatched = harness.read(harness.order(**other))
    matched = harness.read(harness.order(client_order_id="plan-1"))

    assert (unmatched["status"], matched["status"]) == ("filled", "new")


def test_first_matching_rule_applies_and_nth_counts_per_symbol() -> None:
    harness = ExchangeHarness(fills=[{"symbol": "ABC", "nth": 2, "behaviour": "never"}, {"behaviour": "immediate"}])

    assert [harness.status(harness.order(limit_price="9")) for _ in range(3)] == ["filled", "new", "filled"]


def test_random_is_reproducible_from_the_seed() -> None:
    histories = []
    for seed in (1, 1, 2):
        plan = FillPlan(seed)
        plan.default = FillBehaviour.parse({"behaviour": "random"})
        histories.append([plan.choose(SubmissionStub(), str(n)).spec for n in range(50)])

    assert histories[0] == histories[1]
    assert histories[0] != histories[2]


def test_random_fills_one_order_in_ten_partially() -> None:
    plan = FillPlan(3)
    plan.default = FillBehaviour.parse({"behaviour": "random"})

    partial = sum(plan.choose(SubmissionStub(), str(n)).parts[0].fraction < 1 for n in range(2000))

    assert 150 <= partial <= 250


@pytest.mark.parametrize(
    "spec",
    [
        {"behaviour": "sometimes"},
        {"speed": 3},
        {"behaviour": "parts", "parts": [{"fraction": 2}]},
        {"at_close": "held"},
        {"error": {"status": 403}},
        {"late_fill": {"after_seconds": 1}},
        {"late_fill": {"fraction": 2}},
    ],
)
def test_invalid_fill_behaviour_is_rejected(spec: JsonObject) -> None:
    with pytest.raises(ValueError, match=r"(?i)choose|fraction|lacks"):
        FillBehaviour.parse(spec)


def test_drift_depends_on_the_seed_and_not_on_the_number_of_requests() -> None:
    drift = {"step_seconds": 1, "basis_points": 20}
    often, once = ExchangeHarness(drift=drift), ExchangeHarness(drift=drift)
    for _ in range(30):
        often.exchange.latest_quotes(["ABC"])
        often.wait(seconds=1)
    once.exchange.advance()
    once.wait(seconds=30)

    assert often.exchange.latest_quotes(["ABC"]) == once.exchange.latest_quotes(["ABC"])
    assert once.exchange.latest_quotes(["ABC"])["quotes"]["ABC"]["ap"] != 10.02


@pytest.mark.parametrize(("tick_size", "multiples"), [("0.01", 10), ("0.005", 5)])
def test_drift_stays_on_the_tick_of_the_asset(tick_size: str, multiples: int) -> None:
    harness = ExchangeHarness(
        drift={"step_seconds": 1, "basis_points": 20}, assets=[{"symbol": "ABC", "tick_size": tick_size}]
    )
    thousandths = set()
    for _ in range(30):
        harness.wait(seconds=1)
        quote = harness.exchange.latest_quotes(["ABC"])["quotes"]["ABC"]
        thousandths |= {round(quote[name] * 1000) for name in ("bp", "ap")}

    assert {price % multiples for price in thousandths} == {0}
    assert {price % 10 for price in thousandths} == ({0} if multiples == 10 else {0, 5})
