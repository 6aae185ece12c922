"""The page of the report as text: sentences, tiles, sums and the drawn times."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rebalance_cli.formatting import fixed
from rebalance_cli.queries.plans import PlanRecord
from rebalance_cli.report import figures, write_page
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.forecast import CostForecast
from rebalance_executor.domain.journal import PlanJournal
from rebalance_executor.domain.market import Arrival, BrokerKind
from rebalance_executor.domain.orders import ChildState, Outcome, ParentOrder
from rebalance_executor.domain.plan import SizeBy
from rebalance_executor.domain.result_builder import PlanEnd, build_result
from tests.support.builders import (
    NOW,
    SELL,
    a_child,
    a_filled_child,
    a_parent,
    a_plan,
    a_quote,
    a_state,
    an_item,
    later,
)

FULL = a_parent(a_filled_child("1", "11999.316"), symbol="TLT", side=SELL, qty="1", outcome=Outcome.FILLED)
CUT = a_parent(
    a_filled_child("2.80", "10"),
    symbol="SPY",
    qty="2.80",
    requested_qty=Decimal("5.80"),
    outcome=Outcome.FILLED,
    code=Code.SCALED_TO_CASH,
)


def page(folder: Path, *parents: ParentOrder, **changes: Any) -> str:
    """Return the text of the report of a plan with these parents, without the drawings."""
    items = [
        an_item(p.symbol, "SELL" if p.side is SELL else "BUY", "-58.004" if p.side is SELL else "58.004")
        for p in parents
    ]
    plan = a_plan(*items)
    by_symbol = {parent.symbol: parent for parent in parents}
    state = replace(a_state(plan), **changes)
    result = build_result(plan, state, by_symbol, PlanEnd(later(30), Decimal("0.01")))
    record = PlanRecord(PlanJournal(state, by_symbol, result=result), [], None)
    write_page(folder / "report.html", "plan-1", [record], [])
    text = re.sub(r"<svg.*?</svg>", "", (folder / "report.html").read_text(encoding="utf-8"), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", text[text.index("<main>") :]).split())


def test_u4_report_names_the_order_that_was_cut_by_cash(tmp_path: Path) -> None:
    """Reproduction U4: "Every order is filled as planned", a green tile, and the reduced quantity as planned."""
    shown = page(tmp_path, FULL, CUT)

    assert "partial success" in shown
    assert "1 of 2 orders as planned; SPY cut to 48 % by cash." in shown
    assert "1 of 2 orders filled as planned" in shown
    assert "SPY BUY cut 2.8 5.8" in shown
    assert '<b class="warn">1 of 2</b>' in (tmp_path / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("broker", [BrokerKind.PAPER, BrokerKind.SIMULATED])
def test_report_says_that_fills_without_real_costs_say_nothing_about_live_ones(
    tmp_path: Path, broker: BrokerKind
) -> None:
    assert f"{broker}, its fills say nothing about live costs" in page(tmp_path, FULL, broker=broker)
    assert "say nothing about live costs" not in page(tmp_path, FULL, broker=BrokerKind.LIVE)


def test_report_of_targets_shows_the_dollars_of_the_plan_and_those_asked_for(tmp_path: Path) -> None:
    sold = replace(FULL, target_amount=Decimal("-40.10"), planned_amount=Decimal("-58.004"))
    shown = page(tmp_path, sold, size_by=SizeBy.TARGET_VALUE)
    assert "of $40.10 by target_value ($58.00 planned)" in shown
    assert "Plan $ Target $ Dollars" in shown
    assert "-58.00 -40.10 -11,999.32" in shown
    assert "Target $" not in page(tmp_path, FULL)


def test_u5_sums_of_the_report_are_those_of_its_rows(tmp_path: Path) -> None:
    one = replace(FULL, symbol="AAPL", children=(a_filled_child("1", "5000.196"),))
    shown = page(tmp_path, FULL, one)

    assert "Sold $16,999.52 and bought $0.00" in shown
    assert "$16,999.52 filled" in shown
    assert "of $116.00 planned" in shown
    assert ("11,999.32" in shown, "5,000.20" in shown) == (True, True)


@pytest.mark.parametrize(
    ("child", "line", "fill"),
    [
        pytest.param({"filled_at": later(12.789), "closed_at": later(18.088)}, (4, 18.088), 12.789, id="as reported"),
        pytest.param({"closed_at": later(18.088)}, (4, 18.088), 18.088, id="without the time of the fill"),
        pytest.param({"submitted_at": None, "closed_at": later(18.088)}, (6, 18.088), 18.088, id="sent at the latest"),
    ],
)
def test_u6_limit_is_drawn_from_its_submission_to_its_end(
    child: dict[str, Any], line: tuple[float, float], fill: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Reproduction U6: the chart showed six seconds without an order."""
    drawn: list[list[float]] = []
    monkeypatch.setattr(figures, "_draw_order", lambda _axes, _child, times, _bps: drawn.append(list(times)))
    fields: dict[str, Any] = {
        "maybe_sent_until": later(6),
        "submitted_at": later(4),
        "bid": Decimal("9.99"),
        "ask": Decimal("10.01"),
    }
    partly = a_child(ChildState.CANCELED, filled="4", price="10", status="canceled", **(fields | child))

    figures.timeline(a_parent(partly), NOW)

    ((start, filled, end),) = drawn
    assert ((start, end), filled) == (line, fill)


def html(folder: Path) -> str:
    return (folder / "report.html").read_text(encoding="utf-8")


def test_report_starts_with_what_was_cut_why_and_the_next_commands(tmp_path: Path) -> None:
    shown = page(tmp_path, FULL, CUT)

    attention = shown[shown.index("Needs attention") : shown.index("filled, ")]
    assert "SPY BUY cut : $28.00 of $100.00, 2.8 of 5.8 shares. SCALED_TO_CASH" in attention
    assert "TLT" not in attention
    assert "Next: rebalance explain plan-1 SPY --account default" in attention
    assert "then: rebalance plan renew plan-1 --rest --account default" in attention
    assert shown.index("Needs attention") < shown.index("Result and cost")


def test_report_without_a_shortfall_has_no_such_part(tmp_path: Path) -> None:
    shown = page(tmp_path, FULL)

    assert "Needs attention" not in shown
    assert "Next:" not in shown


def test_cash_before_and_after_adds_up_to_the_cent(tmp_path: Path) -> None:
    one = replace(FULL, symbol="AAPL", children=(a_filled_child("1", "5000.196"),))
    shown = page(tmp_path, FULL, one, CUT, starting_funds=Decimal("100.004"))

    assert "Cash before $100.00 + sold $16,999.52 − bought $28.00 = after $17,071.52" in shown


def test_weights_are_shown_before_and_after_with_their_distance_from_the_target(tmp_path: Path) -> None:
    shown = page(tmp_path, CUT)
    total = a_plan(an_item("SPY", "BUY", "58.004")).total_portfolio_value

    weights = shown[shown.index("Off target") : shown.index("Items of the plan")]
    symbol, before, target, after, gap = weights.split()[2:7]
    assert symbol == "SPY"
    assert Decimal(after) - Decimal(before) == pytest.approx(Decimal("28") / total * 100, abs=Decimal("0.02"))
    assert Decimal(after) - Decimal(target) == pytest.approx(Decimal(gap), abs=Decimal("0.02"))
    assert "Cash" in weights


@pytest.mark.parametrize(
    ("value", "decimals", "text"),
    [("-0.04", 1, "0.0"), ("-0.05", 1, "0.0"), ("-0.06", 1, "-0.1"), ("0", 2, "0.00"), ("-1234.5", 0, "-1,234")],
)
def test_number_that_rounds_to_zero_has_no_sign(value: str, decimals: int, text: str) -> None:
    assert fixed(Decimal(value), decimals) == text


def test_u15_items_show_no_needless_digits_and_no_zeros_for_what_was_not_traded(tmp_path: Path) -> None:
    """Reproduction U15: "-0.0" bps, "255.410", and rows of zeros for what was denied or held."""
    denied = a_parent(symbol="ZZZ", qty="0", arrival=None, outcome=Outcome.DENIED, code=Code.NOT_TRADABLE)
    shown = page(tmp_path, FULL, denied)

    assert re.search(r">-0\.0+<", html(tmp_path)) is None
    assert "ZZZ BUY denied – – – – – – – NOT_TRADABLE" in shown
    assert "TLT SELL filled 1 1 11,999.316" in shown


def test_passed_checks_are_folded(tmp_path: Path) -> None:
    page(tmp_path, FULL)

    (folded,) = re.findall(r"<details class=\"checks\">(.*?)</details>", html(tmp_path), flags=re.DOTALL)
    assert re.search(r"All \d+ checks passed", folded)
    assert "In order of evaluation" in folded


def test_page_of_a_day_starts_with_the_plan_that_needs_attention_and_folds_the_others(tmp_path: Path) -> None:
    records = []
    for plan_id, parent in (("good", FULL), ("cut", CUT)):
        plan = a_plan(
            an_item(parent.symbol, "SELL" if parent.side is SELL else "BUY", "-58" if parent.side is SELL else "58"),
            plan_id=plan_id,
        )
        state = a_state(plan)
        result = build_result(plan, state, {parent.symbol: parent}, PlanEnd(later(30), Decimal("0.01")))
        records.append(PlanRecord(PlanJournal(state, {parent.symbol: parent}, result=result), [], None))

    write_page(tmp_path / "report.html", "default, 2026-01-26", records, ["running"])

    text = html(tmp_path)
    assert "1 needs attention, 1 unfinished, 1 of 3 plans as planned. Unfinished: running" in text
    assert re.findall(r"<h2>(.*?)</h2>", text) == ["cut", "good"]
    assert re.findall(r"<summary>Details of (.*?)</summary>", text) == ["good"]


@pytest.mark.parametrize("forecast", [True, False])
def test_forecast_is_compared_with_the_cost_if_there_is_one(forecast: bool, tmp_path: Path) -> None:
    known = CostForecast(Decimal("2.04"), Decimal(-1), Decimal(5)) if forecast else None
    arrival = Arrival.of(CUT.side, a_quote("9.99", "10.01"))
    shown = page(tmp_path, replace(CUT, arrival=arrival, forecast=known))

    text = "Forecast 2.0 bps, realised 0.0 bps, inside the range of -1.0 to 5.0 that nine of ten plans stay in."
    assert (text in shown) is forecast
