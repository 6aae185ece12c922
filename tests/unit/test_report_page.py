"""The page of the report as text: sentences, tiles, sums and the drawn times."""

from __future__ import annotations

import re
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from rebalance_cli.queries.plans import PlanRecord
from rebalance_cli.report import figures, write_page
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.journal import PlanJournal
from rebalance_executor.domain.market import BrokerKind
from rebalance_executor.domain.orders import ChildState, Outcome, ParentOrder
from rebalance_executor.domain.plan import SizeBy
from rebalance_executor.domain.result_builder import PlanEnd, build_result
from tests.support.builders import NOW, SELL, a_child, a_filled_child, a_parent, a_plan, a_state, an_item, later

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
    assert "SPY BUY cut 2.8000 5.8000" in shown
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
