"""Cash and shares: effects of executions on the account, and invariants under random actions."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_broker.errors import BrokerError
from paper_broker.exchange import Exchange
from paper_broker.orders import OrderQuery
from tests.unit.paper_broker.exchange_harness import WORLD, ExchangeHarness, rejected_order, rejection


def test_buy_reduces_cash_and_changes_the_average_cost() -> None:
    harness = ExchangeHarness()
    harness.order()

    position = harness.exchange.position("ABC")

    assert harness.cash == "9899.8"
    assert (position["qty"], position["cost_basis"]) == ("30", "280.2")
    assert position["avg_entry_price"].startswith("9.34")


def test_sale_of_all_shares_removes_the_position() -> None:
    harness = ExchangeHarness()
    harness.order(side="sell", qty="20")

    assert (harness.cash, harness.exchange.positions()) == ("10200", [])


def test_proceeds_are_visible_and_available_after_their_lag() -> None:
    harness = ExchangeHarness(account={"cash": "10", "proceeds_lag_seconds": 5})
    harness.order(side="sell", qty="20")
    harness.wait(seconds=4)
    assert (harness.cash, harness.buying_power) == ("10", "10")
    assert rejected_order(harness)[2] == "insufficient buying power"

    harness.wait(seconds=1)

    assert (harness.cash, harness.buying_power) == ("210", "210")
    assert harness.order()["status"] == "pending_new"


def test_open_sale_adds_no_buying_power() -> None:
    harness = ExchangeHarness(default_fill={"behaviour": "never"})
    harness.order(side="sell", qty="20")

    assert harness.buying_power == "10000"


def test_position_is_valued_at_the_last_price() -> None:
    position = ExchangeHarness().exchange.position("ABC")

    assert {name: position[name] for name in ("market_value", "unrealized_pl", "unrealized_intraday_pl")} == {
        "market_value": "200.2",
        "unrealized_pl": "20.2",
        "unrealized_intraday_pl": "2.2",
    }
    assert (position["unrealized_plpc"], position["change_today"]) == ("0.112222", "0.011111")


def test_position_without_a_quote_has_no_market_value() -> None:
    position = ExchangeHarness(quotes={}).exchange.position("ABC")

    assert (position["market_value"], position["current_price"], position["cost_basis"]) == (None, None, "180")


def test_equity_is_cash_plus_positions() -> None:
    account = ExchangeHarness().exchange.account()

    assert (account["equity"], account["long_market_value"], account["last_equity"]) == ("10200.2", "200.2", "10198")


def test_executions_are_listed_as_activities() -> None:
    harness = ExchangeHarness(
        default_fill={"behaviour": "parts", "parts": [{"fraction": 0.4}, {"fraction": 0.6, "after_seconds": 1}]}
    )
    order = harness.order()
    harness.wait(seconds=1)

    first, second = harness.exchange.activities()

    assert (first["type"], first["qty"], first["cum_qty"], first["leaves_qty"]) == ("partial_fill", "4", "4", "6")
    assert (second["type"], second["qty"], second["cum_qty"], second["leaves_qty"]) == ("fill", "6", "10", "0")
    assert first["order_id"] == order["id"]
    assert first["id"].startswith("20260126150000000::")


def test_position_is_closed_by_a_market_order() -> None:
    harness = ExchangeHarness()

    order = harness.exchange.close_position("ABC", percentage="25")

    assert (order["type"], order["side"], order["qty"]) == ("market", "sell", "5")
    assert harness.shares() == "15"


@pytest.mark.parametrize(
    ("held", "percentage", "qty"), [("20", "33", "6"), ("20.5", "50", "10.25"), ("1.000000001", "50", "0.5")]
)
def test_percentage_of_a_whole_position_is_whole_shares(held: str, percentage: str, qty: str) -> None:
    harness = ExchangeHarness(positions=[{"symbol": "ABC", "qty": held}])

    assert harness.exchange.close_position("ABC", percentage=percentage)["qty"] == qty


@pytest.mark.parametrize("percentage", ["0", "101", "half"])
def test_invalid_percentage_is_rejected(percentage: str) -> None:
    assert rejection(lambda: ExchangeHarness().exchange.close_position("ABC", percentage=percentage)).code == 40010001


def test_qty_and_percentage_exclude_each_other() -> None:
    error = rejection(lambda: ExchangeHarness().exchange.close_position("ABC", "5", "25"))

    assert (error.code, error.message) == (40010001, "only one of qty or percentage is accepted")


def test_closing_all_positions_returns_one_result_each_and_can_cancel_orders() -> None:
    harness = ExchangeHarness(default_fill={"behaviour": "never"})
    harness.order(side="sell", limit_price="11")

    rejected = harness.exchange.close_positions()
    closed = harness.exchange.close_positions(cancel_orders=True)

    assert [(result["symbol"], result["status"]) for result in rejected] == [("ABC", 403)]
    assert [(result["status"], result["body"]["qty"]) for result in closed] == [(200, "20")]


# Invariants under random actions

ACTIONS = st.lists(
    st.one_of(
        st.fixed_dictionaries({
            "kind": st.just("order"),
            "side": st.sampled_from(["buy", "sell"]),
            "symbol": st.sampled_from(["ABC", "XYZ"]),
            "type": st.sampled_from(["limit", "market"]),
            "qty": st.sampled_from(["1", "7", "0.5", "3.123456789", "40", "500"]),
            "limit_price": st.sampled_from(["9.50", "10.00", "10.02", "10.50"]),
            "client_order_id": st.sampled_from([None, "a", "b", "c"]),
        }),
        st.fixed_dictionaries({"kind": st.sampled_from(["cancel", "replace"]), "nth": st.integers(0, 9)}),
        st.fixed_dictionaries({"kind": st.just("wait"), "seconds": st.sampled_from([0.5, 3, 20, 7200, 30000])}),
        st.fixed_dictionaries({"kind": st.just("quote"), "cents": st.integers(950, 1050)}),
    ),
    max_size=25,
)  # fmt: skip


UNKIND: dict[str, Any] = {
    "account": {
        "cash": "900", "proceeds_lag_seconds": 2, "account_lag_seconds": 3, "positions_lag_seconds": 5,
        "shorting_enabled": True, "multiplier": "2",
    },
    "default_fill": {
        "behaviour": "random", "fill_beats_cancel": 0.5, "late_fill": {"fraction": 0.3, "after_seconds": 4},
        "filled_qty_lag_seconds": 2, "cancel_ignored": 1,
    },
    "lists": {"delay_seconds": 6, "page_limit": 20, "reversed": True, "foreign_rows": 2},
}  # fmt: skip
"""A world in which cash and positions may be negative, and answers are late."""


def history(
    seed: int, actions: list[dict[str, Any]], unkind: dict[str, Any] | None = None
) -> tuple[ExchangeHarness, list[dict[str, Any]]]:
    """Run actions against random fills, ignoring rejections; check the invariants after each, unless it is unkind."""
    harness = ExchangeHarness(
        seed=seed,
        quotes={**WORLD["quotes"], "XYZ": {"bid": "10.00", "ask": "10.02"}},
        **(unkind or {
            "account": {"cash": "900", "proceeds_lag_seconds": 2},
            "default_fill": {"behaviour": "random", "fill_beats_replace": 0.5},
        }),
    )  # fmt: skip
    orders: list[dict[str, Any]] = []
    for action in actions:
        try:
            run_action(harness, orders, action)
        except BrokerError:
            continue
        finally:
            if unkind is None:
                check_invariants(harness)
    return harness, orders


def run_action(harness: ExchangeHarness, orders: list[dict[str, Any]], action: dict[str, Any]) -> None:
    """Run one action."""
    match action["kind"]:
        case "order":
            body = {name: value for name, value in action.items() if name != "kind"}
            if body["type"] == "market":
                del body["limit_price"]
            orders.append(harness.order(**body))
        case "wait":
            harness.wait(seconds=action["seconds"])
        case "quote":
            price = Decimal(action["cents"]) / 100
            harness.exchange.merge({"quotes": {"ABC": {"bid": str(price), "ask": str(price + Decimal("0.02"))}}})
        case "cancel" if orders:
            harness.exchange.cancel_order(orders[action["nth"] % len(orders)]["id"])
        case "replace" if orders:
            orders.append(
                harness.exchange.replace_order(orders[action["nth"] % len(orders)]["id"], {"limit_price": "10.02"})
            )


def check_invariants(harness: ExchangeHarness) -> None:
    """Check that cash is never negative, and that each position covers the shares reserved for open sales."""
    open_orders = harness.exchange.list_orders(OrderQuery(limit=500))
    for position in harness.exchange.positions():
        sales = [o for o in open_orders if o["side"] == "sell" and o["symbol"] == position["symbol"]]
        # A sale and its pending replacement together reserve the larger of their quantities.
        replaced = {o["id"] for o in sales if o["status"] == "pending_replace"}
        held = sum(
            (Decimal(o["qty"]) - Decimal(o["filled_qty"]) for o in sales if o["replaces"] not in replaced), Decimal(0)
        )
        held += sum((Decimal(_filled(o, sales)) for o in sales if o["replaces"] in replaced), Decimal(0))
        assert Decimal(position["qty"]) > 0
        assert Decimal(position["qty_available"]) == Decimal(position["qty"]) - held >= 0
    assert Decimal(harness.exchange.account()["cash"]) >= 0


def _filled(new: dict[str, Any], sales: list[dict[str, Any]]) -> str:
    """Return the filled quantity of the replaced order, by which the replacement's quantity exceeds its remainder."""
    return next(str(o["filled_qty"]) for o in sales if o["id"] == new["replaces"])


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(seed=st.integers(0, 1000), actions=ACTIONS)
def test_cash_and_shares_follow_from_the_executions(seed: int, actions: list[dict[str, Any]]) -> None:
    harness, _ = history(seed, actions)
    cash, shares = Decimal(900), {"ABC": Decimal(20), "XYZ": Decimal(0)}
    for execution in harness.exchange.activities():
        sign = 1 if execution["side"] == "buy" else -1
        shares[execution["symbol"]] += sign * Decimal(execution["qty"])
        cash -= sign * Decimal(execution["qty"]) * Decimal(execution["price"])

    held = {p["symbol"]: Decimal(p["qty"]) for p in harness.exchange.positions()}

    account = harness.exchange.account()
    assert held == {symbol: qty for symbol, qty in shares.items() if qty}
    assert Decimal(account["equity"]) - Decimal(account["long_market_value"]) == cash >= Decimal(account["cash"])


@settings(max_examples=75, deadline=None, derandomize=True, database=None)
@given(seed=st.integers(0, 1000), actions=ACTIONS)
def test_client_order_id_belongs_to_one_order(seed: int, actions: list[dict[str, Any]]) -> None:
    harness, orders = history(seed, actions)
    ids = [order["client_order_id"] for order in orders]

    assert len(set(ids)) == len(ids)
    for order in orders:
        assert harness.exchange.get_order_by_client_order_id(order["client_order_id"])["id"] == order["id"]
        assert rejected_order(harness, client_order_id=order["client_order_id"])[2] == "client_order_id must be unique"


@settings(max_examples=75, deadline=None, derandomize=True, database=None)
@given(seed=st.integers(0, 1000), actions=ACTIONS, unkind=st.sampled_from([None, UNKIND]))
def test_restored_exchange_behaves_like_the_dumped_one(
    seed: int, actions: list[dict[str, Any]], unkind: dict[str, Any] | None
) -> None:
    harness, orders = history(seed, actions, unkind)
    state = json.loads(json.dumps(harness.exchange.dump()))
    restored = Exchange.load(state, lambda: harness.now)
    assert restored.dump() == state

    all_orders = OrderQuery(status="all", limit=500)
    for seconds in (1, 2, 2, 40):
        harness.wait(seconds=seconds)
        assert restored.list_orders(all_orders) == harness.exchange.list_orders(all_orders)
        assert restored.account() == harness.exchange.account()
        assert restored.positions() == harness.exchange.positions()
        assert [restored.get_order(o["id"]) for o in orders] == [harness.read(o) for o in orders]


@settings(max_examples=75, deadline=None, derandomize=True, database=None)
@given(seed=st.integers(0, 1000), actions=ACTIONS)
def test_unkind_answers_are_true_once_all_lags_have_passed(seed: int, actions: list[dict[str, Any]]) -> None:
    harness, orders = history(seed, actions, UNKIND)
    harness.wait(seconds=40)
    harness.exchange.advance()
    harness.wait(seconds=40)
    executions = harness.exchange.activities()

    cash, shares = Decimal(900), {"ABC": Decimal(20), "XYZ": Decimal(0)}
    for execution in executions:
        sign = 1 if execution["side"] == "buy" else -1
        shares[execution["symbol"]] += sign * Decimal(execution["qty"])
        cash -= sign * Decimal(execution["qty"]) * Decimal(execution["price"])

    assert {p["symbol"]: Decimal(p["qty"]) for p in harness.exchange.positions()} == {
        symbol: qty for symbol, qty in shares.items() if qty
    }
    assert Decimal(harness.cash) == cash
    for order in map(harness.read, orders):
        filled = sum((Decimal(e["qty"]) for e in executions if e["order_id"] == order["id"]), Decimal(0))
        assert Decimal(order["filled_qty"]) == filled <= Decimal(order["qty"])
    rows = harness.exchange.list_orders(status="all", limit=500)
    assert all(row == harness.exchange.get_order(row["id"]) for row in rows if row["symbol"] != "FOREIGN")
