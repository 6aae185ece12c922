"""``ORDER_OF_CONTROLS`` is the order in which the code evaluates the controls, and it lists every code of a control."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Iterator
from dataclasses import replace
from decimal import Decimal

import pytest

from rebalance_executor.domain import controls, plan_controls, sizing, targets
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.controls import (
    ORDER_OF_CONTROLS,
    Denial,
    PlanContext,
    child_denial,
    item_denial,
    parent_denial,
)
from rebalance_executor.domain.errors import OverfillGuard, PlanExpired, RebalanceError, Redeliver
from rebalance_executor.domain.market import Quote, SymbolSnapshot
from rebalance_executor.domain.orders import ChildState
from rebalance_executor.domain.plan import RebalancePlan, RebalancePlanItem, SizeBy
from rebalance_executor.domain.plan_controls import day_limit_denial, plan_limit_denial
from rebalance_executor.domain.previous_close import PreviousClose
from rebalance_executor.domain.risk_state import (
    NEVER_SET,
    DailyUsage,
    KillSwitchRecord,
    ReservedOrder,
    RiskState,
    StartedPlan,
    TradingState,
)
from rebalance_executor.domain.targets import SizingBasis
from tests.support.builders import (
    BUY,
    NOW,
    SELL,
    a_child,
    a_parent,
    a_plan,
    a_position,
    a_quote,
    a_snapshot,
    an_asset,
    an_item,
    an_order,
    later,
)
from tests.support.fake_ports import RESTS, FakePorts

STAGES = dict(ORDER_OF_CONTROLS)
D = Decimal


def codes_in(module: object) -> Iterator[str]:
    """Return the codes of the denials that a module creates."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):  # type: ignore[arg-type]
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Denial":
            assert isinstance(node.args[0], ast.Attribute)
            yield Code[node.args[0].attr]


def test_every_code_of_a_control_is_listed() -> None:
    listed = {code for _, codes in ORDER_OF_CONTROLS for code in codes}
    modules = (controls, plan_controls, sizing, targets)
    assert listed == {PlanExpired.code, OverfillGuard.code, *(code for module in modules for code in codes_in(module))}


def test_no_stage_lists_a_code_twice() -> None:
    assert all(len(codes) == len(set(codes)) for codes in STAGES.values())


# --- the plan --------------------------------------------------------------------------------------------


def code_of(fakes: FakePorts, plan: RebalancePlan, run_id: str = "run") -> str | None:
    """Return the code that denies the plan's only item, or the code of the error that the plan raises."""
    try:
        (order,) = fakes.execute(plan, run_id=run_id).orders
    except RebalanceError as error:
        return error.code
    return order.error_code


def test_plan_with_every_problem_is_denied_in_the_listed_order() -> None:
    fakes = FakePorts(max_plans_per_day=1)
    assert code_of(fakes, a_plan(an_item("AAA"), plan_id="first")) is None
    is_open = fakes.broker.market
    fakes.broker.expected_account_number, fakes.broker.blocked_by = "PA2", "trading_blocked"
    fakes.broker.market = replace(is_open, is_open=False)
    set_switch(fakes, TradingState.HALTED)
    fixes: list[Callable[[], object]] = [
        lambda: setattr(fakes.broker, "expected_account_number", None),
        lambda: setattr(fakes.broker, "blocked_by", None),
        lambda: setattr(fakes.broker, "market", is_open),
        lambda: set_switch(fakes, TradingState.ACTIVE),
        lambda: None,
    ]

    codes = [code_of(fakes, a_plan(an_item("BBB"), plan_id="old", timestamp=later(-3600).isoformat()))]
    for number, fix in enumerate(fixes):
        codes.append(code_of(fakes, a_plan(an_item("BBB"), plan_id=f"plan-{number}")))
        fix()

    assert tuple(codes) == STAGES["Plan"]


def set_switch(fakes: FakePorts, state: TradingState) -> None:
    """Set the kill switch an hour ago, so that the plans of today still count."""
    record = KillSwitchRecord(state, by="Ada", reason="drill", at=later(-3600))
    fakes.journal.risk_store.set_kill_switch("main", record)


# --- an item ---------------------------------------------------------------------------------------------

CONFIG = ExecutionConfig(restricted_symbols=("ABC",), max_order_shares=D(9), duplicate_window_minutes=D(10))
EVERY_ITEM_PROBLEM: dict[str, object] = {
    "config": CONFIG,
    "asset": None,
    "position": None,
    "others": [an_order(side="buy")],
    "quote": a_quote("5", "15"),
}
FIXES: list[dict[str, object]] = [
    {"config": ExecutionConfig()},
    {"asset": an_asset()},
    {"position": a_position("10")},
    {"others": []},
    {"quote": a_quote()},
    {"market_close": PreviousClose(D(1))},
    {"position": replace(a_position("10"), previous_close=D(10))},
]
"""Each removes the problem of one control, in the order of ``Item before sizing``."""


def denial_of_item(fields: dict[str, object]) -> Denial | None:
    config, item = fields["config"], an_item("ABC", "SELL", "-1000")
    assert isinstance(config, ExecutionConfig)
    data = {name: value for name, value in fields.items() if name != "config"}
    return item_denial(SELL, item, SymbolSnapshot(**data), config, NOW)  # type: ignore[arg-type]


def test_item_with_every_problem_is_denied_in_the_listed_order() -> None:
    fields, codes = EVERY_ITEM_PROBLEM, []
    for fix in FIXES:
        denial = denial_of_item(fields)
        assert denial is not None
        codes.append(denial.code)
        fields = fields | fix

    assert tuple(codes) == STAGES["Item before sizing"]
    assert denial_of_item(fields) is None


def code_of_sizing(
    item: RebalancePlanItem,
    available: str = "10",
    *,
    fractionable: bool,
    quote: Quote | None = None,
    basis: SizingBasis = sizing.AS_PLANNED,
) -> str:
    """Return the code of an item of which ``available`` of ten held shares may be sold."""
    snapshot = a_snapshot(
        a_position("10", available), quote=quote or a_quote(), asset=an_asset(fractionable=fractionable)
    )
    return str(sizing.size(item, snapshot, ExecutionConfig(), NOW, basis).code)


def test_item_with_several_problems_is_denied_during_sizing_in_the_listed_order() -> None:
    sell, small = an_item("ABC", "SELL", "-9"), a_quote("9000000", "9000001")
    below_and_whole = an_item(amount="0.5")  # below minimum_notional, and less than one share
    drifted = SizingBasis(SizeBy.TARGET_WEIGHT, equity=D(1))
    assert [
        code_of_sizing(sell, "0", fractionable=False, basis=replace(drifted, equity=None)),
        code_of_sizing(sell, "0", fractionable=False, basis=drifted),
        code_of_sizing(sell, "0", fractionable=False),  # nothing available, and less than one share
        code_of_sizing(below_and_whole, fractionable=False),
        code_of_sizing(sell, fractionable=False),
    ] == list(STAGES["Item during sizing"])
    assert code_of_sizing(sell, "0", fractionable=True, quote=small) == Code.SHARES_HELD
    assert code_of_sizing(sell, fractionable=True, quote=small) == Code.BELOW_MINIMUM


SWITCHES = {
    Code.HALTED: KillSwitchRecord(TradingState.HALTED, "ada", "drill", NOW),
    Code.REDUCING_ONLY: KillSwitchRecord(TradingState.REDUCING, "ada", "drill", NOW),
}
DUPLICATE = StartedPlan("other", later(-60), (ReservedOrder("ABC", BUY, D(10), D(100)),))


def test_sized_item_with_every_problem_is_denied_in_the_listed_order() -> None:
    def denied(switch: KillSwitchRecord, held: str, config: ExecutionConfig, *plans: StartedPlan) -> Code | None:
        item = an_item()
        snapshot = a_snapshot(a_position(held))
        risk = RiskState(switch, DailyUsage(NOW.date()), plans)
        denial = parent_denial(a_parent(), item, snapshot, PlanContext(a_plan(item), risk, config, NOW))
        return denial.code if denial is not None else None

    assert (
        denied(SWITCHES[Code.HALTED], "9000", CONFIG, DUPLICATE),
        denied(SWITCHES[Code.REDUCING_ONLY], "9000", CONFIG, DUPLICATE),
        denied(NEVER_SET, "9000", CONFIG, DUPLICATE),
        denied(NEVER_SET, "0", CONFIG, DUPLICATE),
        denied(NEVER_SET, "0", ExecutionConfig(), DUPLICATE),
    ) == STAGES["Item after sizing"]
    assert denied(NEVER_SET, "0", ExecutionConfig()) is None


# --- all items, and each order ---------------------------------------------------------------------------


def test_plan_limits_and_daily_limits_are_the_controls_of_all_items() -> None:
    plan = plan_limit_denial(D(10), D(0), D(1), ExecutionConfig())
    day = day_limit_denial(DailyUsage(NOW.date()).plus(D(20), D(0)), D(1), ExecutionConfig())
    assert (plan and plan.code, day and day.code) == STAGES["All items together"]


def test_order_with_every_problem_is_denied_before_sending_in_the_listed_order(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def code_before_sending(state: TradingState | None) -> str | None:
        """Return the code of a buy beyond message limit and collar; the kill switch changes after sizing."""
        fakes = FakePorts(max_plan_messages=1, limit_collar="0.00001")
        fakes.database_delays["journal.write"] = [2]
        if state is not None:
            fakes.after(1, lambda: set_switch(fakes, state))
        try:
            orders = fakes.execute(a_plan(an_item("AAA"), an_item("BBB"))).orders
        except RebalanceError as error:
            return error.code
        assert fakes.broker.sent == []
        return orders[0].error_code

    def code_of_child(bid: str | None, limit: str, config: ExecutionConfig) -> Code | None:
        child = a_child(ChildState.INTENDED, limit=limit, bid=None if bid is None else D(bid), ask=D("10.01"))
        denial = child_denial(a_parent(child), child, config, D("0.03"))
        return denial.code if denial is not None else None

    with monkeypatch.context() as broken:
        broken.setattr(controls, "overfill", lambda _: "a breach")
        overfill = code_before_sending(TradingState.HALTED)
    assert (
        overfill,
        code_before_sending(TradingState.HALTED),
        code_before_sending(TradingState.REDUCING),
        code_before_sending(None),
        code_of_child(None, "99", CONFIG),
        code_of_child("9.99", "99", CONFIG),
        code_of_child("9.99", "99", ExecutionConfig()),
    ) == STAGES["Each order before it is sent"]
    assert code_of_child("9.99", "10.01", ExecutionConfig()) is None


# --- a resumed plan --------------------------------------------------------------------------------------


def test_resumed_plan_with_every_problem_is_denied_in_the_listed_order() -> None:
    def code_on_resume(*fixed: str) -> str | None:
        fakes = FakePorts(max_runs=7 if "runs" in fixed else 6)
        plan = a_plan(an_item("AAA"))
        for run in range(6):
            fakes.broker.scripts = {"AAA": [RESTS]}
            fakes.stop_requested = True
            with pytest.raises(Redeliver):
                fakes.execute(plan, run_id=f"run-{run}")
        fakes.stop_requested = False
        if "account" not in fixed:
            fakes.broker.expected_account_number = "PA2"
        if "flags" not in fixed:
            fakes.broker.blocked_by = "trading_blocked"
        if "market" not in fixed:
            fakes.broker.market = replace(fakes.broker.market, is_open=False)
        return code_of(fakes, plan, run_id="run-7")

    assert (
        code_on_resume(),
        code_on_resume("runs"),
        code_on_resume("runs", "account"),
        code_on_resume("runs", "account", "flags"),
    ) == STAGES["Resumed plan"]
