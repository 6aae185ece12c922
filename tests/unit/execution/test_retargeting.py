"""Plans that are sized by a target: from the live account to the journal, the result and the reservation of the day."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.errors import InvalidInput, PlanYielded
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.plan import RebalancePlan, SizeBy
from rebalance_executor.domain.result import ExecutionStatus
from rebalance_executor.execution.events import LogEvent
from tests.support.builders import a_plan, an_exit, an_item
from tests.support.fake_ports import RESTS, FakePorts, outcomes

D = Decimal


def sell(symbol: str = "AAA", **fields: object) -> dict[str, object]:
    item = {"target_value": "10000", "target_weight": "0.1", "current_value": "12000", "current_weight": "0.12"}
    return an_item(symbol, "SELL", "-2000", **item | fields).model_dump()


def p4(**fields: object) -> RebalancePlan:
    """Return the plan of group P, P4: made at $100, delivered at 91.66 / 91.68."""
    return RebalancePlan.parse(a_plan(an_item()).model_dump() | {"items": [sell()]} | fields)


def fallen(**settings: Any) -> FakePorts:
    fakes = FakePorts(**settings)
    fakes.broker.set_quote("AAA", "91.66", "91.68")
    fakes.broker.shares["AAA"] = D(120)
    return fakes


def test_p4_target_value_is_met_after_a_fall_of_the_price() -> None:
    """Group P, P4: the plan's $2,000 would leave $9,000.40 of the $10,000 that it wants."""
    fakes = fallen()
    result = fakes.execute(p4(size_by="target_value"))

    (order,) = result.orders
    assert (order.shares, order.requested_shares, order.outcome) == (D("10.913057"), D("10.913057"), Outcome.FILLED)
    assert (order.planned_trade_amount, order.requested_trade_amount) == (D(-2000), D("-1000.40"))
    assert (result.status, result.size_by) == (ExecutionStatus.SUCCESS, SizeBy.TARGET_VALUE)
    assert (result.planned_dollars, result.requested_dollars) == (D(2000), D("1000.40"))
    assert abs(fakes.broker.shares["AAA"] * D("91.67") - 10_000) < D("0.0001")
    assert fakes.fields(LogEvent.ITEM_RETARGETED) == [
        {"symbol": "AAA", "side": "sell", "qty": D("10.913057")}
        | {"planned_amount": D(-2000), "target_amount": D("-1000.40")}
    ]


def test_plan_that_says_nothing_trades_its_dollars() -> None:
    fakes = fallen()
    result = fakes.execute(p4())
    (order,) = result.orders
    assert (order.shares, order.requested_trade_amount) == (D("21.817388"), D(-2000))
    assert (result.size_by, fakes.parent("AAA").target_amount) == (SizeBy.TRADE_AMOUNT, None)
    assert fakes.fields(LogEvent.ITEM_RETARGETED) == []


def test_configured_size_by_applies_to_a_plan_that_says_nothing() -> None:
    assert fallen(size_by="target_value").execute(p4()).orders[0].shares == D("10.913057")
    said = fallen(size_by="target_value").execute(p4(size_by="trade_amount"))
    assert said.orders[0].shares == D("21.817388")


def test_target_weight_is_a_share_of_the_live_equity() -> None:
    fakes = fallen()
    fakes.broker.equity = D(105_000)
    result = fakes.execute(p4(size_by="target_weight"))
    (order,) = result.orders
    assert order.requested_trade_amount == D("-500.40")
    assert (result.equity, result.size_by) == (D(105_000), SizeBy.TARGET_WEIGHT)


def test_target_weight_without_equity_is_denied_and_sends_nothing() -> None:
    fakes = fallen()
    result = fakes.execute(p4(size_by="target_weight"))
    assert outcomes(result) == {"AAA": (Outcome.DENIED, Code.EQUITY_UNKNOWN)}
    assert (fakes.broker.sent, result.equity, result.status) == ([], None, ExecutionStatus.FAILURE)


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"minimum_trade_dollars": "1000.41"}, Code.BELOW_MINIMUM_TRADE),
        ({"minimum_trade_weight": "0.02"}, Code.BELOW_MINIMUM_TRADE),
        ({"no_trade_band": "0.02"}, Code.WITHIN_BAND),
    ],
)
def test_plan_whose_items_need_no_trade_is_a_success(settings: dict[str, Any], code: Code) -> None:
    fakes = fallen(**settings)
    fakes.broker.equity = D(100_000)
    result = fakes.execute(p4(size_by="target_value"))
    (order,) = result.orders
    assert (order.outcome, order.skip_reason, order.needs_attention) == (Outcome.SKIPPED, code, False)
    assert (order.planned_trade_amount, order.requested_trade_amount) == (D(-2000), D("-1000.40"))
    assert (result.status, result.traded, fakes.broker.sent) == (ExecutionStatus.SUCCESS, (), [])
    assert not fakes.journal.risk_store.load("main", fakes.broker.market.next_close.date()).plans


def test_skipped_item_beside_a_traded_one_is_a_success_with_skips() -> None:
    fakes = fallen()
    fakes.broker.shares |= {"BBB": D(90), "CCC": D(5)}
    items = [sell(), sell("BBB", current_value="9000"), an_exit("CCC", amount="-500", current_value="500").model_dump()]
    result = fakes.execute(p4(size_by="target_value", items=items))
    assert outcomes(result) == {
        "AAA": (Outcome.FILLED, None),
        "BBB": (Outcome.SKIPPED, Code.NO_TRADE_NEEDED),
        "CCC": (Outcome.FILLED, None),
    }
    assert result.status is ExecutionStatus.SUCCESS_WITH_SKIPS


def test_resumed_run_keeps_the_re_targeted_order() -> None:
    """Neither a changed configuration nor a changed price sizes a started plan again."""
    fakes = fallen(size_by="target_value", child_wait_seconds=600)
    fakes.broker.script("AAA", RESTS)
    with pytest.raises(PlanYielded):
        fakes.execute(p4(), seconds=100)
    fakes.config = fakes.config.model_copy(update={"size_by": SizeBy.TRADE_AMOUNT})
    fakes.broker.set_quote("AAA", "92", "92.02")
    result = fakes.execute(p4(), run_id="run-2")

    (order,) = result.orders
    assert (order.shares, order.requested_trade_amount, result.runs) == (D("10.913057"), D("-1000.40"), 2)
    assert result.size_by is SizeBy.TARGET_VALUE


def test_day_and_duplicates_count_what_is_asked_for() -> None:
    fakes = fallen()
    fakes.execute(p4(size_by="target_value"))
    state = fakes.journal.risk_store.load("main", fakes.broker.market.next_close.date())
    assert [(order.qty, order.dollars) for plan in state.plans for order in plan.orders] == [
        (D("10.913057"), D("1000.40"))
    ]
    assert state.usage.sells == D("10.913057") * D("91.67")


def test_configured_weights_that_do_not_fit_are_invalid_and_store_nothing() -> None:
    fakes = fallen(size_by="target_weight")
    items = [sell(target_weight="0.6"), an_item("BBB", "HOLD", target_weight="0.6").model_dump()]
    with pytest.raises(InvalidInput) as raised:
        fakes.execute(p4(items=items))
    assert raised.value.field == "size_by"
    assert (fakes.broker.sent, fakes.journal.peek("main", "plan-1")) == ([], None)
