"""Results of plans as tables and sentences: nothing is cut off, and every number is present."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from rich.console import Console, RenderableType

from rebalance_cli.costs.answers import Rung
from rebalance_cli.formatting import basis_points, dollars, percent, price, shares
from rebalance_cli.outputs import (
    Decision,
    KillSwitchAnswer,
    OrderLine,
    PlanLine,
    PlanProgress,
    Preview,
    PreviewOrder,
    StatusAnswer,
    UnfinishedAnswer,
)
from rebalance_cli.views import plan as plan_views
from rebalance_cli.views import progress, status, styles
from rebalance_cli.views.costs import rungs_table
from rebalance_cli.views.local_run import MessageRow, batch_summary, batch_table, health_table
from rebalance_cli.views.result import (
    Cash,
    cash_line,
    orders_table,
    plan_view,
    result_facts,
    sums_table,
    symbol_to_explain,
)
from rebalance_cli.views.tables import facts, natural_width
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.plan import SizeBy
from rebalance_executor.domain.result import ExecutionResult, ExecutionStatus
from rebalance_executor.domain.risk_state import TradingState
from rebalance_executor.execution.events import LogEvent

FINISHED = datetime(2026, 1, 26, 15, 0, 3, tzinfo=UTC)


def order(symbol: str, action: str, outcome: str, **fields: Any) -> dict[str, Any]:
    return {
        "symbol": symbol,
        "action": action,
        "outcome": outcome,
        "success": outcome == "FILLED",
        "skipped": outcome == "SKIPPED",
        "trade_amount": "0",
        "planned_trade_amount": "0",
        "shares": "0",
        "planned_shares": "0",
        "requested_trade_amount": fields.get("planned_trade_amount", "0"),
        "requested_shares": fields.get("planned_shares", "0"),
        "price": None,
        "expected_price": None,
        "slippage_amount": None,
        "slippage_bps": None,
        "timestamp": FINISHED,
    } | fields


def filled(symbol: str, action: str, shares: str, price: str, arrival: str, slippage: str) -> dict[str, Any]:
    amount = Decimal(shares) * Decimal(price) * (-1 if action == "SELL" else 1)
    return order(
        symbol,
        action,
        "FILLED",
        trade_amount=amount,
        planned_trade_amount=amount,
        shares=shares,
        planned_shares=shares,
        price=price,
        expected_price=arrival,
        slippage_amount=slippage,
        slippage_bps=Decimal(slippage) / abs(amount) * 10_000,
    )


MIXED = (
    filled("BOND", "SELL", "21.034512", "90.02", "90.025", "0.105173"),
    order(
        "BRK.B",
        "SELL",
        "PARTIALLY_FILLED",
        trade_amount="-1800.45",
        planned_trade_amount="-4450",
        shares="4.5",
        planned_shares="11.123456",
        price="400.10",
        expected_price="400.2",
        slippage_amount="0.45",
        slippage_bps="2.4994",
        error_code="ATTEMPTS_EXHAUSTED",
        error_message="5 child orders did not fill it",
    ),
    order("NVDA", "BUY", "DENIED", planned_trade_amount="1500", error_code="QUOTE_UNUSABLE", error_message="no quote"),
    filled("MSFT", "BUY", "10.000000001", "410.11", "410.115", "-0.05"),
    order("AAPL", "HOLD", "SKIPPED", skip_reason="HOLD"),
)


def result(*orders: dict[str, Any], status: str = "partial_success", **fields: Any) -> ExecutionResult:
    traded = sum(abs(Decimal(one["trade_amount"])) for one in orders)
    return ExecutionResult.model_validate(
        {
            "plan_id": "plan-1",
            "correlation_id": "c",
            "causation_id": "c",
            "account": "default",
            "broker": "paper",
            "status": status,
            "success": status.startswith("success"),
            "orders": orders,
            "orders_placed": 3,
            "orders_succeeded": 2,
            "orders_skipped": 1,
            "orders_denied": 1,
            "total_trade_value": traded,
            "started_at": FINISHED - timedelta(seconds=2.4),
            "execution_timestamp": FINISHED,
            "runs": 1,
            "slippage_bps": "0.6",
        }
        | fields
    )


def text(renderable: RenderableType, width: int = 80) -> str:
    console = Console(width=width, file=StringIO(), color_system=None)
    console.print(renderable)
    assert isinstance(console.file, StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 120])
def test_a_view_fits_into_the_width_and_nothing_is_cut_off(width: int) -> None:
    shown = text(plan_view(result(*MIXED), width, Cash(Decimal(1000), Decimal(500))), width)

    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    for word in ("BOND", "BRK.B", "filled", "partial", "denied", "skipped", "-1,893.53", "90.025", "410.115"):
        assert word in shown


@pytest.mark.parametrize("width", [40, 50, 60, 70])
def test_a_narrow_screen_omits_columns_and_cuts_no_number(width: int) -> None:
    shown = text(plan_view(result(*MIXED), width, None), width)

    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    for word in ("Symbol", "Outcome", "Dollars", "-1,893.53", "4.5/11.12", "Planned $", "7,795.08"):
        assert word in shown


CUT_NUMBER = re.compile(r"[\d,.-]…")


@pytest.mark.parametrize("width", [40, 44, 50, 60, 80])
@pytest.mark.parametrize("dollars", ["14200.10", "1234567.89", "98765432.10"])
def test_no_width_cuts_a_number_of_a_result(width: int, dollars: str) -> None:
    large = filled("GOOGL", "SELL", "1", dollars, dollars, "0") | {"planned_trade_amount": f"-{dollars}"}
    other = filled("BRK.B", "BUY", "1", dollars, dollars, "0") | {"planned_trade_amount": dollars}

    shown = text(plan_view(result(large, other), width, None), width)

    assert max(map(len, shown.splitlines())) <= width
    assert not CUT_NUMBER.search(shown), shown
    assert f"{Decimal(dollars):,.2f}" in shown


@pytest.mark.parametrize("width", [40, 60, 100])
def test_orders_of_a_plan_keep_their_fills_and_codes_on_every_width(width: int) -> None:
    orders = tuple(
        OrderLine(
            symbol=symbol,
            side="sell",
            stage="partially_filled",
            qty="123456.1234",
            requested_qty="123456.1234",
            as_planned=False,
            filled_qty="12345.1234",
            attempts=3,
            limit_price="1234.5678",
            code="AUCTION_REJECTED",
            message=None,
        )
        for symbol in ("GOOGL", "BRK.B")
    )

    shown = text(status.orders_view(orders, width), width)

    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    for word in ("GOOGL", "partially filled", "12345.1234", "AUCTION_REJECTED"):
        assert word in shown


@pytest.mark.parametrize("width", [40, 50, 60, 80])
@pytest.mark.parametrize("amount", ["2.38", "105002.49"])
def test_rungs_keep_what_was_saved_on_every_width(width: int, amount: str) -> None:
    rung = Rung(
        spread_fraction=Decimal("0.1"),
        shares=Decimal("93.7"),
        dollars=Decimal(amount),
        half_spread=Decimal("4.41"),
        paid=Decimal("-1.10"),
        saved=Decimal("5.51"),
        saved_share=Decimal("1.25"),
    )

    shown = text(rungs_table((rung,), width), width)

    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    assert {"0.1", f"{Decimal(amount):,}", "5.51", "125%"} <= set(shown.split())


def test_large_numbers_lose_decimals_of_shares_before_anything_is_cut_off() -> None:
    large = filled("GOOGL", "SELL", "123456.123456789", "12345.123", "12345.125", "2.07")

    table = orders_table(result(large), 80)

    assert natural_width(table) <= 80
    assert "123456.12" in text(table)
    assert "123456.123456789" in text(orders_table(result(large), 120), 120)


def test_filled_and_planned_shares_are_combined_only_on_a_narrow_screen() -> None:
    assert "4.5/11.123456" in text(orders_table(result(*MIXED), 80))
    wide = text(orders_table(result(*MIXED), 120), 120)
    assert "Planned" in wide
    assert "4.5/11.123456" not in wide


def test_the_symbol_to_explain_is_that_of_the_order_that_most_needs_attention() -> None:
    lost = order("XYZ", "BUY", "UNRESOLVED", error_code="CANCEL_UNCONFIRMED", error_message="no final status")

    assert symbol_to_explain(result(*MIXED)) == "NVDA"
    assert symbol_to_explain(result(*MIXED, lost)) == "XYZ"
    assert symbol_to_explain(result(MIXED[0], MIXED[-1], status="success_with_skips")) is None


def test_a_reason_is_shown_once_with_all_its_symbols() -> None:
    same = [order(s, "BUY", "DENIED", error_code="MARKET_CLOSED", error_message="closed") for s in ("AAA", "BBB")]

    shown = text(plan_view(result(*same, status="failure"), 80, None))

    assert shown.count("MARKET_CLOSED") == 1
    assert "AAA BBB  closed" in shown


def test_sums_include_every_item_and_dollar() -> None:
    lines = [line.split() for line in text(sums_table(result(*MIXED), 80)).splitlines() if line.strip()]
    rows = {line[0]: line[1:] for line in lines}

    assert rows["Sells"][:4] == ["2", "1", "6,343.53", "3,693.98"]
    assert rows["Buys"][:4] == ["2", "1", "5,601.10", "4,101.10"]
    assert rows["Holds"][0] == "1"
    assert rows["All"][:4] == ["5", "2", "11,944.63", "7,795.08"]


TARGETED = (
    filled("AAPL", "SELL", "10", "100.04", "100.04", "0")
    | {"planned_trade_amount": "-2000", "requested_trade_amount": "-1000.40"},
    order(
        "MSFT",
        "BUY",
        "SKIPPED",
        skip_reason="WITHIN_BAND",
        error_code="WITHIN_BAND",
        error_message="near",
        planned_trade_amount="500",
        requested_trade_amount="90",
    ),
)
"""Group P, P4, and an item that re-targeting brings into its band."""


@pytest.mark.parametrize("width", [80, 120])
def test_a_plan_sized_by_its_targets_shows_both_dollars_and_the_reason_of_a_skip(width: int) -> None:
    shown = result(*TARGETED, size_by="target_value", orders_succeeded=1)
    lines = [line.split() for line in text(plan_view(shown, width, None), width).splitlines() if line.strip()]
    rows = {line[0]: line[1:] for line in lines}

    assert [cell for cell in rows["AAPL"] if "000" in cell] == ["-2,000.00", "-1,000.40", "-1,000.40"]
    assert {"500.00", "90.00", "skipped"} < set(rows["MSFT"])
    assert rows["WITHIN_BAND"] == ["MSFT", "near"]
    assert rows["Sells"][:5] == ["1", "1", "2,000.00", "1,000.40", "1,000.40"]
    assert rows["Untraded"][0] == "1"
    assert "1 of 1 orders as planned" in sentence(shown)
    assert "Sized by target_value" in sentence(shown)


@pytest.mark.parametrize(
    ("after", "words"),
    [("592.88", "592.88 at the broker: it adds up"), ("590.88", "590.88 at the broker: -2.00 unexplained")],
)
def test_cash_adds_up_or_the_difference_is_shown(after: str, words: str) -> None:
    shown = text(cash_line(result(*MIXED), Cash(Decimal(1000), Decimal(after))))

    assert "1,000.00 + 3,693.98 sold − 4,101.10 bought = 592.88" in shown
    assert words in shown


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ("success", "every order filled"),
        ("success_with_skips", "all trades filled; some items needed no trade"),
        ("partial_success", "some orders did not fill"),
        ("failure", "nothing was traded"),
        ("unresolved", "an operator must check the orders at the broker"),
    ],
)
def test_every_status_is_explained(status: str, words: str) -> None:
    assert words in text(facts(result_facts(result(*MIXED, status=status))))


SKIPPED = order("XYZ", "BUY", "SKIPPED", skip_reason="INSUFFICIENT_CASH", error_code="INSUFFICIENT_CASH")
SPY_CUT = filled("SPY", "BUY", "2.80", "689.25", "689.25", "0") | {
    "success": False,
    "requested_shares": "5.80",
    "requested_trade_amount": "4000",
    "planned_trade_amount": "4000",
    "error_code": "SCALED_TO_CASH",
}
"""Reproduction U4: 5.80 shares planned, 2.80 bought."""


def sentence(shown: ExecutionResult) -> str:
    """Return the facts about a result as one line."""
    return " ".join(text(facts(result_facts(shown))).split())


def test_u4_terminal_names_the_order_that_was_cut_by_cash() -> None:
    others = [filled(symbol, "BUY", "1", "10", "10", "0") for symbol in ("AAA", "BBB", "CCC", "DDD")]
    cut = result(*others, SPY_CUT, orders_succeeded=4)

    assert "4 of 5 orders as planned; SPY cut to 48 % by cash" in sentence(cut)
    assert symbol_to_explain(cut) == "SPY"
    *_, last = text(orders_table(cut, 80)).splitlines()
    assert last.split()[:5] == ["SPY", "BUY", "cut", "2.8", "5.8"]
    rows = {line.split()[0]: line.split()[1:] for line in text(sums_table(cut, 80)).splitlines() if line.strip()}
    assert rows["All"][:4] == ["5", "4", "4,040.00", "1,969.90"]


@pytest.mark.parametrize(
    ("one", "words"),
    [
        (SPY_CUT, "SPY cut to 48 % by cash"),
        (SPY_CUT | {"error_code": "REDUCED_TO_AVAILABLE"}, "SPY cut to 48 % by the shares available"),
        (SPY_CUT | {"error_code": "LATE_FILL"}, "SPY cut to 48 %"),
        (SPY_CUT | {"error_code": None}, "SPY cut to 48 %"),
        (SPY_CUT | {"outcome": "PARTIALLY_FILLED"}, "SPY 48 % filled"),
        (SPY_CUT | {"shares": "5.79"}, "SPY cut to 99 % by cash"),
        (SKIPPED, "XYZ skipped for lack of cash"),
        (order("XYZ", "BUY", "DENIED"), "XYZ denied"),
    ],
)
def test_every_shortfall_is_named(one: dict[str, Any], words: str) -> None:
    assert sentence(result(one, orders_succeeded=0)).split("as planned; ")[1].startswith(f"{words} ")


def test_many_shortfalls_are_counted() -> None:
    denied = [order(symbol, "BUY", "DENIED") for symbol in ("AAA", "BBB", "CCC", "DDD", "EEE")]

    assert "0 of 5 orders as planned; AAA denied, BBB denied, CCC denied, 2 more" in sentence(
        result(*denied, orders_succeeded=0)
    )


def test_order_that_fell_short_is_neither_green_nor_dim() -> None:
    for one in (SPY_CUT, SKIPPED):
        (shown,) = result(one).orders
        assert styles.outcome_tone(shown) == "warn"


README_DAY = (
    filled("TLT", "SELL", "1", "11999.316", "1", "0.684"),
    filled("AAPL", "SELL", "1", "5000.196", "1", "-0.196"),
    filled("GLD", "BUY", "1", "9999.564", "1", "-0.436"),
    filled("QQQ", "BUY", "1", "4999.764", "1", "-0.244"),
    filled("MSFT", "BUY", "1", "1999.914", "1", "-0.085"),
)
"""Reproduction U5: amounts whose exact sums round to other cents than the sums of what is shown."""


def test_u5_sums_on_screen_are_those_of_the_figures_on_screen() -> None:
    day = result(*README_DAY, orders_succeeded=5)
    shown = text(plan_view(day, 120, Cash(Decimal("5000.004"), Decimal("5000.27"))), 120)
    rows = {line.split()[0]: line.replace(",", "").split() for line in shown.splitlines() if line.strip()}
    cells = {symbol: (Decimal(row[-3]), Decimal(row[-1])) for symbol, row in rows.items() if symbol.isupper()}

    sold, bought = -(cells["TLT"][1] + cells["AAPL"][1]), sum(cells[s][1] for s in ("GLD", "QQQ", "MSFT"))
    assert (Decimal(rows["Sells"][4]), Decimal(rows["Buys"][4])) == (sold, bought)
    assert Decimal(rows["All"][4]) == sold + bought
    assert Decimal(rows["All"][6]) == Decimal(rows["Sells"][6]) + Decimal(rows["Buys"][6])
    assert Decimal(rows["All"][6]) == sum(slippage for slippage, _ in cells.values())
    assert f"5,000.00 + {sold:,.2f} sold − {bought:,.2f} bought = {5000 + sold - bought:,.2f}" in shown
    assert "5,000.27 at the broker: it adds up, 0.02 of rounding" in shown
    assert f"Filled ${sold + bought:,.2f}, 5 of 5 orders as planned" in sentence(day)


def test_a_plan_of_holds_shows_that_there_was_nothing_to_trade() -> None:
    holds = result(order("AAPL", "HOLD", "SKIPPED", skip_reason="HOLD"), status="success", slippage_bps=None)

    shown = text(facts(result_facts(holds)))

    assert "nothing to trade" in shown
    assert "Filled" not in shown


def test_a_gain_is_shown_as_better_and_a_cost_as_worse() -> None:
    assert "$0.05 better than arrival mid" in text(facts(result_facts(result(MIXED[3], slippage_bps="-0.1"))))
    assert "$0.11 worse than arrival mid" in text(facts(result_facts(result(MIXED[0]))))


@pytest.mark.parametrize(
    ("amount", "shown"),
    [("1234.5", "1,234.50"), ("-0.001", "0.00"), ("0", "0.00"), ("-1893.527", "-1,893.53")],
)
def test_dollars_have_separators_and_cents(amount: str, shown: str) -> None:
    assert dollars(Decimal(amount)) == shown


@pytest.mark.parametrize(
    ("shown", "expected"),
    [
        (price(Decimal("90.02")), "90.02"),
        (price(Decimal("90.025")), "90.025"),
        (price(Decimal("1101.4987654321")), "1,101.4988"),
        (shares(Decimal("7.2273576"), 4), "7.2274"),
        (percent(Decimal("0.105")), "10.5%"),
        (percent(Decimal("0.33333333")), "33.33%"),
        (basis_points(Decimal("2.4994")), "2.5"),
        (basis_points(Decimal("-0.01"), sign=True), "0.0"),
        (basis_points(Decimal("0.36"), sign=True), "+0.4"),
    ],
)
def test_numbers_are_rounded_to_what_a_reader_can_use(shown: str, expected: str) -> None:
    assert shown == expected


def test_a_batch_shows_what_the_queue_does_next() -> None:
    shown = text(batch_table([MessageRow("m-1", False, "plan-1: success"), MessageRow("m-2", True, "not JSON")]))

    assert "done" in shown
    assert "failed" in shown
    assert "dead-letter queue" in text(batch_summary(1, 2))
    assert "deletes 2 messages" in text(batch_summary(0, 2))


@pytest.mark.parametrize(("ok", "words"), [(True, "Healthy: plans can be executed."), (False, "Not healthy")])
def test_a_health_table_names_every_dependency(ok: bool, words: str) -> None:
    checks = [
        {"name": "journal", "ok": True, "detail": "table execution is ACTIVE"},
        {"name": "quotes", "ok": ok, "detail": "SPY [quoted]"},
    ]

    shown = text(health_table({"healthy": ok, "checks": checks}))

    assert words in shown
    assert "journal" in shown
    assert "SPY [quoted]" in shown
    assert ("failing" in shown) is not ok


def test_message_ids_that_start_alike_are_distinguishable() -> None:
    ids = [f"059f36b4-87a3-44ab-83d2-{number:012}" for number in (3, 4)]

    shown = text(batch_table(MessageRow(message_id, False, "plan-1: success") for message_id in ids))

    assert "059f36b4…00000003" in shown
    assert "059f36b4…00000004" in shown


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_list_of_plans_fits_into_the_width_and_keeps_id_and_status(width: int) -> None:
    plans = (
        PlanLine(plan_id=plan_id, status=state, phase="BUYS", started_at=FINISHED, finished_at=None, runs=1)
        for plan_id, state in (("rebalance-2026-01-26", "success_with_skips"), ("first", "in_progress"))
    )
    switch = KillSwitchAnswer(account="main", state=TradingState.ACTIVE, by="", reason="", at=None)

    unfinished = UnfinishedAnswer(plan_id="first", started_at=FINISHED, phase="BUYS", runs=2, source=None)
    answer = StatusAnswer(account="main", switch=switch, lease=None, unfinished=unfinished, plans=tuple(plans))

    shown = text(status.account_view(answer, width), width)

    assert max(map(len, shown.splitlines())) <= width
    for word in ("ACTIVE  (default)", "Running   no", "first", "success_with_skips", "in_progress"):
        assert word in shown
    assert "phase BUYS, 2 runs" in " ".join(shown.split())


@pytest.mark.parametrize("size_by", SizeBy)
@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_preview_fits_into_the_width_and_cuts_no_number(width: int, size_by: SizeBy) -> None:
    order = PreviewOrder(
        symbol="BRK.B",
        action="SELL",
        decision=Decision.SEND,
        code=None,
        message=None,
        planned_amount="-1500",
        requested_amount="-4450.50",
        qty="11.123456",
        requested_qty="11.123456",
        type="limit",
        limit_price="400.10",
        bid="400.10",
        ask="400.30",
        estimated_amount="-4450.50",
        estimated_cost="1.11",
        forecast_bps="2.49",
        forecast_low_bps="-2.62",
        forecast_high_bps="21.31",
    )
    preview = Preview(
        plan_id="plan-1",
        account="main",
        account_number=None,
        broker="paper",
        content_hash="a70086e3ab5b",
        size_by=size_by,
        equity="100000",
        code=None,
        message=None,
        orders=(order,),
        sells="4450.50",
        buys="0",
        estimated_cost="1.11",
        forecast_bps="2.49",
        forecast_low_bps="-2.62",
        forecast_high_bps="21.31",
        cash="10",
        cash_after="4459.39",
        buy_budget=None,
    )

    shown = text(plan_views.preview_view(preview, width), width)
    unknown = {"forecast_bps": None, "forecast_low_bps": None, "forecast_reason": "no bars"}
    silent = preview.model_copy(update={**unknown, "orders": (order.model_copy(update=unknown),)})
    shown_without = text(plan_views.preview_view(silent, width), width)

    assert max(map(len, shown.splitlines())) <= width
    assert "…" not in shown
    assert "$1.11 against the midpoint: 2.5 bps, with 90 % between -2.6 and 21.3" in " ".join(shown.split())
    assert "cost unknown BRK.B no bars" in " ".join(shown_without.split())
    assert "Cost unknown" in " ".join(shown_without.split())
    for word in ("BRK.B", "send", "-4,450.50", "paper"):
        assert word in shown
    assert (size_by is SizeBy.TRADE_AMOUNT) == ("-1,500.00" not in shown)
    assert (size_by is SizeBy.TRADE_AMOUNT) == ("equity $100,000.00" not in " ".join(shown.split()))


# --- completeness ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "members"),
    [
        (styles.OUTCOMES, Outcome),
        (styles.STATUSES, ExecutionStatus),
        (styles.TRADING_STATES, TradingState),
        (status.PROGRESS, PlanProgress),
        (plan_views.DECISIONS, Decision),
    ],
)
def test_every_member_has_a_word_and_a_style(table: Mapping[object, object], members: Iterable[object]) -> None:
    assert set(table) == set(members)


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_has_a_tone_in_the_report(outcome: Outcome) -> None:
    (one,) = result(order("AAPL", "BUY", outcome)).orders
    assert styles.outcome_tone(one) in {"good", "warn", "bad", "dim"}


def test_every_event_of_an_item_ends_the_item_except_those_of_its_size() -> None:
    events = {event for event in LogEvent if event.value.startswith("item.")}

    assert events - set(progress.ITEM_STAGES) == {LogEvent.ITEM_SCALED, LogEvent.ITEM_RETARGETED}
    assert all(stage.is_settled for stage in progress.ITEM_STAGES.values())
