"""Money and shares: what executions do to the account, and what never happens to it."""

import json
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from paper_broker.errors import BrokerError
from paper_broker.exchange import Exchange
from paper_broker.orders import OrderQuery
from tests.unit.paper_broker.desk import WORLD, Desk, refusal, refused_order


def test_a_buy_costs_cash_and_moves_the_average_price() -> None:
    desk = Desk()
    desk.order()

    position = desk.exchange.position("ABC")

    assert desk.cash == "9899.8"
    assert (position["qty"], position["cost_basis"]) == ("30", "280.2")
    assert position["avg_entry_price"].startswith("9.34")


def test_a_sale_brings_cash_and_a_whole_one_ends_the_position() -> None:
    desk = Desk()
    desk.order(side="sell", qty="20")

    assert (desk.cash, desk.exchange.positions()) == ("10200", [])


def test_proceeds_are_shown_and_can_be_spent_only_after_their_lag() -> None:
    desk = Desk(account={"cash": "10", "proceeds_lag_seconds": 5})
    desk.order(side="sell", qty="20")
    desk.wait(seconds=4)
    assert (desk.cash, desk.buying_power) == ("10", "10")
    assert refused_order(desk)[2] == "insufficient buying power"

    desk.wait(seconds=1)

    assert (desk.cash, desk.buying_power) == ("210", "210")
    assert desk.order()["status"] == "pending_new"


def test_an_open_sale_frees_no_buying_power() -> None:
    desk = Desk(default_fill={"behaviour": "never"})
    desk.order(side="sell", qty="20")

    assert desk.buying_power == "10000"


def test_a_position_is_valued_at_the_last_price_and_compared_with_yesterday() -> None:
    position = Desk().exchange.position("ABC")

    assert {name: position[name] for name in ("market_value", "unrealized_pl", "unrealized_intraday_pl")} == {
        "market_value": "200.2",
        "unrealized_pl": "20.2",
        "unrealized_intraday_pl": "2.2",
    }
    assert (position["unrealized_plpc"], position["change_today"]) == ("0.112222", "0.011111")


def test_a_position_without_a_quote_has_no_market_value() -> None:
    position = Desk(quotes={}).exchange.position("ABC")

    assert (position["market_value"], position["current_price"], position["cost_basis"]) == (None, None, "180")


def test_the_account_s_equity_is_cash_and_positions() -> None:
    account = Desk().exchange.account()

    assert (account["equity"], account["long_market_value"], account["last_equity"]) == ("10200.2", "200.2", "10198")


def test_executions_are_activities() -> None:
    desk = Desk(
        default_fill={"behaviour": "parts", "parts": [{"fraction": 0.4}, {"fraction": 0.6, "after_seconds": 1}]}
    )
    order = desk.order()
    desk.wait(seconds=1)

    first, second = desk.exchange.activities()

    assert (first["type"], first["qty"], first["cum_qty"], first["leaves_qty"]) == ("partial_fill", "4", "4", "6")
    assert (second["type"], second["qty"], second["cum_qty"], second["leaves_qty"]) == ("fill", "6", "10", "0")
    assert first["order_id"] == order["id"]
    assert first["id"].startswith("20260126150000000::")


def test_a_position_is_closed_by_a_market_order() -> None:
    desk = Desk()

    order = desk.exchange.close_position("ABC", percentage="25")

    assert (order["type"], order["side"], order["qty"]) == ("market", "sell", "5")
    assert desk.shares() == "15"


@pytest.mark.parametrize(
    ("held", "percentage", "qty"), [("20", "33", "6"), ("20.5", "50", "10.25"), ("1.000000001", "50", "0.5")]
)
def test_part_of_a_whole_position_is_a_whole_number_of_shares(held: str, percentage: str, qty: str) -> None:
    desk = Desk(positions=[{"symbol": "ABC", "qty": held}])

    assert desk.exchange.close_position("ABC", percentage=percentage)["qty"] == qty


@pytest.mark.parametrize("percentage", ["0", "101", "half"])
def test_a_percentage_of_a_position_that_makes_no_sense_is_refused(percentage: str) -> None:
    assert refusal(lambda: Desk().exchange.close_position("ABC", percentage=percentage)).code == 40010001


def test_a_position_is_closed_by_shares_or_by_percentage_and_not_by_both() -> None:
    error = refusal(lambda: Desk().exchange.close_position("ABC", "5", "25"))

    assert (error.code, error.message) == (40010001, "only one of qty or percentage is accepted")


def test_closing_all_positions_answers_for_each_and_can_cancel_first() -> None:
    desk = Desk(default_fill={"behaviour": "never"})
    desk.order(side="sell", limit_price="11")

    refused = desk.exchange.close_positions()
    closed = desk.exchange.close_positions(cancel_orders=True)

    assert [(answer["symbol"], answer["status"]) for answer in refused] == [("ABC", 403)]
    assert [(answer["status"], answer["body"]["qty"]) for answer in closed] == [(200, "20")]


# Whatever one does

ACTIONS = st.lists(
    st.one_of(
        st.fixed_dictionaries({
            "do": st.just("order"),
            "side": st.sampled_from(["buy", "sell"]),
            "symbol": st.sampled_from(["ABC", "XYZ"]),
            "type": st.sampled_from(["limit", "market"]),
            "qty": st.sampled_from(["1", "7", "0.5", "3.123456789", "40", "500"]),
            "limit_price": st.sampled_from(["9.50", "10.00", "10.02", "10.50"]),
            "client_order_id": st.sampled_from([None, "a", "b", "c"]),
        }),
        st.fixed_dictionaries({"do": st.sampled_from(["cancel", "replace"]), "nth": st.integers(0, 9)}),
        st.fixed_dictionaries({"do": st.just("wait"), "seconds": st.sampled_from([0.5, 3, 20, 7200, 30000])}),
        st.fixed_dictionaries({"do": st.just("quote"), "cents": st.integers(950, 1050)}),
    ),
    max_size=25,
)  # fmt: skip


def history(seed: int, actions: list[dict[str, Any]]) -> tuple[Desk, list[dict[str, Any]]]:
    """Play actions against random fills; refusals are part of it."""
    desk = Desk(
        seed=seed,
        account={"cash": "900", "proceeds_lag_seconds": 2},
        default_fill={"behaviour": "random", "fill_beats_replace": 0.5},
        quotes={**WORLD["quotes"], "XYZ": {"bid": "10.00", "ask": "10.02"}},
    )
    orders: list[dict[str, Any]] = []
    for action in actions:
        try:
            act(desk, orders, action)
        except BrokerError:
            continue
        finally:
            check(desk)
    return desk, orders


def act(desk: Desk, orders: list[dict[str, Any]], action: dict[str, Any]) -> None:
    """Carry out one action."""
    match action["do"]:
        case "order":
            body = {name: value for name, value in action.items() if name != "do"}
            if body["type"] == "market":
                del body["limit_price"]
            orders.append(desk.order(**body))
        case "wait":
            desk.wait(seconds=action["seconds"])
        case "quote":
            price = Decimal(action["cents"]) / 100
            desk.exchange.merge({"quotes": {"ABC": {"bid": str(price), "ask": str(price + Decimal("0.02"))}}})
        case "cancel" if orders:
            desk.exchange.cancel_order(orders[action["nth"] % len(orders)]["id"])
        case "replace" if orders:
            orders.append(
                desk.exchange.replace_order(orders[action["nth"] % len(orders)]["id"], {"limit_price": "10.02"})
            )


def check(desk: Desk) -> None:
    """What must hold at every moment."""
    open_orders = desk.exchange.list_orders(OrderQuery(limit=500))
    for position in desk.exchange.positions():
        sales = [o for o in open_orders if o["side"] == "sell" and o["symbol"] == position["symbol"]]
        # While a sale is replaced, the two hold the larger of their quantities.
        replaced = {o["id"] for o in sales if o["status"] == "pending_replace"}
        held = sum(
            (Decimal(o["qty"]) - Decimal(o["filled_qty"]) for o in sales if o["replaces"] not in replaced), Decimal(0)
        )
        held += sum((Decimal(_filled(o, sales)) for o in sales if o["replaces"] in replaced), Decimal(0))
        assert Decimal(position["qty"]) > 0
        assert Decimal(position["qty_available"]) == Decimal(position["qty"]) - held >= 0
    assert Decimal(desk.exchange.account()["cash"]) >= 0


def _filled(new: dict[str, Any], sales: list[dict[str, Any]]) -> str:
    """What a replacement asks for beyond the order it replaces: the part that was executed already."""
    return next(str(o["filled_qty"]) for o in sales if o["id"] == new["replaces"])


@settings(max_examples=150, deadline=None, derandomize=True, database=None)
@given(seed=st.integers(0, 1000), actions=ACTIONS)
def test_cash_and_shares_are_what_the_executions_made_of_them(seed: int, actions: list[dict[str, Any]]) -> None:
    desk, _ = history(seed, actions)
    cash, shares = Decimal(900), {"ABC": Decimal(20), "XYZ": Decimal(0)}
    for execution in desk.exchange.activities():
        sign = 1 if execution["side"] == "buy" else -1
        shares[execution["symbol"]] += sign * Decimal(execution["qty"])
        cash -= sign * Decimal(execution["qty"]) * Decimal(execution["price"])

    held = {p["symbol"]: Decimal(p["qty"]) for p in desk.exchange.positions()}

    account = desk.exchange.account()
    assert held == {symbol: qty for symbol, qty in shares.items() if qty}
    assert Decimal(account["equity"]) - Decimal(account["long_market_value"]) == cash >= Decimal(account["cash"])


@settings(max_examples=75, deadline=None, derandomize=True, database=None)
@given(seed=st.integers(0, 1000), actions=ACTIONS)
def test_a_client_order_id_names_one_order_for_ever(seed: int, actions: list[dict[str, Any]]) -> None:
    desk, orders = history(seed, actions)
    ids = [order["client_order_id"] for order in orders]

    assert len(set(ids)) == len(ids)
    for order in orders:
        assert desk.exchange.get_order_by_client_order_id(order["client_order_id"])["id"] == order["id"]
        assert refused_order(desk, client_order_id=order["client_order_id"])[2] == "client_order_id must be unique"


@settings(max_examples=75, deadline=None, derandomize=True, database=None)
@given(seed=st.integers(0, 1000), actions=ACTIONS)
def test_a_restored_exchange_goes_on_as_the_dumped_one_would(seed: int, actions: list[dict[str, Any]]) -> None:
    desk, _ = history(seed, actions)
    state = json.loads(json.dumps(desk.exchange.dump()))
    restored = Exchange.load(state, lambda: desk.now)

    desk.wait(seconds=40)

    everything = OrderQuery(status="all", limit=500)
    assert restored.list_orders(everything) == desk.exchange.list_orders(everything)
    assert restored.account() == desk.exchange.account()
    assert restored.positions() == desk.exchange.positions()
