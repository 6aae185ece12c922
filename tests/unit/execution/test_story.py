"""One undisturbed plan, a sell and a buy: everything read, sent, journalled and logged, in order."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from rebalance_executor.domain.journal import PlanPhase, PlanState, RunEnd, RunRecord
from rebalance_executor.domain.market import Arrival, BrokerKind, OrderRequest, OrderType
from rebalance_executor.domain.order_ids import child_order_id
from rebalance_executor.domain.orders import Outcome
from rebalance_executor.domain.plan import SizeBy, Urgency
from rebalance_executor.domain.result import ExecutionStatus
from rebalance_executor.domain.risk_state import ReservedOrder, StartedPlan
from rebalance_executor.execution.events import LogEvent
from tests.support.builders import BUY, NOW, SELL, a_plan, an_exit, an_item, later
from tests.support.fake_ports import CLOSES_AT, FakePorts

PLAN = a_plan(an_exit("AAA", amount="-2000", current_value="2000"), an_item("BBB", amount="3000"))
SOLD, BOUGHT = (child_order_id("main", "plan-1", symbol, 1) for symbol in ("AAA", "BBB"))
AT_ARRIVAL = Arrival(Decimal("99.99"), Decimal("100.01"), NOW, Decimal(100))


def executed() -> FakePorts:
    """Execute a plan whose buys wait for the proceeds of its sells."""
    fakes = FakePorts(early_cash_fraction=0)
    fakes.broker.shares, fakes.broker.position_closes = {"AAA": Decimal(20)}, {"AAA": Decimal(99)}
    fakes.execute(PLAN)
    return fakes


def test_one_order_per_item_is_sent_sells_first() -> None:
    assert executed().broker.sent == [
        OrderRequest(SOLD, "AAA", SELL, OrderType.LIMIT, Decimal(20), Decimal("99.99"), extended_hours=False),
        OrderRequest(BOUGHT, "BBB", BUY, OrderType.LIMIT, Decimal(30), Decimal("100.01"), extended_hours=False),
    ]


def test_plan_needs_thirteen_reads() -> None:
    """All for the plan's own symbols: previous closes only of those that are not held, daily bars once per day."""
    assert executed().broker.reads == [
        ("account", None),
        ("recent_orders", None),
        ("clock", None),
        ("open_orders", None),
        ("positions", None),
        ("asset", "AAA"),
        ("asset", "BBB"),
        ("previous_closes", (["BBB"], NOW.date())),
        ("quotes", ["AAA", "BBB"]),
        ("daily_bars", (["AAA", "BBB"], NOW.date() - timedelta(days=30), NOW.date() - timedelta(days=1))),
        ("account", None),  # the proceeds
        ("orders", (["AAA", "BBB"], NOW - timedelta(minutes=10))),  # after the trade
        ("positions", None),
    ]


def test_each_wave_is_journalled_in_one_write_before_sending() -> None:
    assert executed().database_calls == [
        "journal.acquire",
        "journal.load",
        "risk_store.bind_account",
        "risk_store.load",
        "assets.get",
        "assets.put",
        "volumes.get",
        "volumes.put",
        "journal.write",
        "journal.write",
        "journal.finish",
        "journal.mark_published",
    ]


def test_undisturbed_plan_waits_for_nothing() -> None:
    assert executed().slept == []


def test_journal_holds_start_and_end_of_the_plan() -> None:
    fakes = executed()

    assert fakes.plan_journal().plan == PlanState(
        account="main",
        plan_id="plan-1",
        content_hash=PLAN.content_hash,
        correlation_id="correlation-1",
        causation_id="causation-1",
        started_at=NOW,
        phase=PlanPhase.FINISHED,
        runs=1,
        starting_funds=Decimal(100_000),
        broker=BrokerKind.PAPER,
        account_number="PA1",
        buy_budget=Decimal("101489.80"),  # 100,000 + 1,999.80, less half a percent, down to the cent
        buy_funds=Decimal("101999.80"),
        trading_day=NOW.date(),
    )
    assert fakes.journal.runs("main", "plan-1") == [
        RunRecord(1, "run-1", started_at=NOW, ended_at=NOW, end=RunEnd.COMPLETED)
    ]
    assert fakes.plan_journal().published == {"bus"}
    assert fakes.journal.holder("main") is None


def test_journal_holds_each_order_with_its_quote() -> None:
    fakes = executed()

    sold, bought = fakes.parent("AAA"), fakes.parent("BBB")
    assert [(p.outcome, p.qty, p.arrival, p.held_before, p.settled_at) for p in (sold, bought)] == [
        (Outcome.FILLED, Decimal(20), AT_ARRIVAL, Decimal(20), NOW),
        (Outcome.FILLED, Decimal(30), AT_ARRIVAL, Decimal(0), NOW),
    ]
    (child,) = bought.children
    assert (
        child.attempt,
        child.bid,
        child.ask,
        child.spread_fraction,
        child.latest_send,
        child.resent,
        child.order_id,
    ) == (
        1,
        Decimal("99.99"),
        Decimal("100.01"),
        None,
        NOW,
        False,
        "order-2",
    )


def test_daily_usage_holds_the_reservation_at_arrival_mid() -> None:
    risk = executed().journal.risk_store.load("main", CLOSES_AT.date())

    assert (risk.usage.plans, risk.usage.buys, risk.usage.sells) == (1, Decimal(3000), Decimal(2000))
    orders = (
        ReservedOrder("AAA", SELL, Decimal(20), Decimal(2000)),
        ReservedOrder("BBB", BUY, Decimal(30), Decimal(3000)),
    )
    assert risk.plans == [StartedPlan("plan-1", NOW, orders)]


def test_result_is_returned_stored_and_published_unchanged() -> None:
    fakes = FakePorts()
    fakes.broker.shares = {"AAA": Decimal(20)}
    result = fakes.execute(PLAN)

    assert result.status is ExecutionStatus.SUCCESS
    assert fakes.plan_journal().result == result
    assert fakes.publishers[0].published == [result]


def test_broker_gets_deadline_and_account() -> None:
    ((account, deadline),) = executed().brokers_opened
    assert (account, deadline.at) == ("main", later(600))


def test_lease_outlasts_the_invocation_by_the_longest_request() -> None:
    """13 seconds to connect and read, and two more."""
    fakes = FakePorts()
    held = []
    fakes.broker.before_submit = lambda _: held.append(fakes.journal.holder("main"))
    fakes.execute(PLAN, seconds=100)

    (lease,) = held
    assert lease is not None
    assert (lease.run_id, lease.expires_at) == ("run-1", later(115))


def of_child(
    symbol: str, order_id: str | None, status: str | None, filled: str, price: str | None
) -> dict[str, object]:
    is_buy = symbol == "BBB"
    return {
        "symbol": symbol,
        "client_order_id": BOUGHT if is_buy else SOLD,
        "attempt": 1,
        "order_id": order_id,
        "status": status,
        "type": OrderType.LIMIT,
        "qty": Decimal(30) if is_buy else Decimal(20),
        "limit_price": Decimal("100.01") if is_buy else Decimal("99.99"),
        "spread_fraction": None,
        "bid": Decimal("99.99"),
        "ask": Decimal("100.01"),
        "filled_qty": Decimal(filled),
        "filled_avg_price": Decimal(price) if price else None,
    }


def of_parent(symbol: str, qty: str, value: str) -> dict[str, object]:
    return {
        "symbol": symbol,
        "side": BUY if symbol == "BBB" else SELL,
        "outcome": Outcome.FILLED,
        "qty": Decimal(qty),
        "filled_qty": Decimal(qty),
        "filled_value": Decimal(value),
        "children": 1,
        "code": None,
        "reason": None,
    }


def test_every_step_is_logged() -> None:
    sold = of_child("AAA", "order-1", "filled", "20", "99.99")
    bought = of_child("BBB", "order-2", "filled", "30", "100.01")

    assert executed().emitted == [
        (LogEvent.RUN_STARTED, {"epoch": 1, "stop_at": later(570)}),
        (
            LogEvent.PLAN_STARTED,
            {
                "items": 2,
                "parents": 2,
                "denied": 0,
                "urgency": Urgency.NORMAL,
                "size_by": SizeBy.TRADE_AMOUNT,
                "equity": None,
                "starting_funds": Decimal(100_000),
            },
        ),
        (LogEvent.ORDER_INTENDED, {"side": SELL} | of_child("AAA", None, None, "0", None)),
        (LogEvent.ORDER_SUBMITTED, {"side": SELL} | sold),
        (LogEvent.ORDER_FILLED, sold),
        (LogEvent.ITEM_FILLED, of_parent("AAA", "20", "1999.80")),
        (
            LogEvent.GATE_PASSED,
            {
                "proceeds": Decimal("1999.80"),
                "expected_funds": Decimal("101999.80"),
                "buy_budget": Decimal("101489.80"),
                "buy_funds": Decimal("101999.80"),
            },
        ),
        (LogEvent.ORDER_INTENDED, {"side": BUY} | of_child("BBB", None, None, "0", None)),
        (LogEvent.ORDER_SUBMITTED, {"side": BUY} | bought),
        (LogEvent.ORDER_FILLED, bought),
        (LogEvent.ITEM_FILLED, of_parent("BBB", "30", "3000.30")),
        (
            LogEvent.PLAN_FINISHED,
            {
                "status": ExecutionStatus.SUCCESS,
                "broker": BrokerKind.PAPER,
                "runs": 1,
                "orders_placed": 2,
                "orders_succeeded": 2,
                "orders_skipped": 0,
                "orders_denied": 0,
                "orders_scaled": 0,
                "orders_rejected": 0,
                "orders_unresolved": 0,
                "total_trade_value": Decimal("5000.10"),
                "slippage_bps": Decimal(1),
                "delay_bps": Decimal(0),
                "timing_bps": Decimal(0),
                "spread_bps": Decimal(1),
                "residual_bps": Decimal(0),
                "seconds": 0.0,
            },
        ),
        (LogEvent.RESULT_PUBLISHED, {"channel": "bus"}),
    ]


def test_plan_of_holds_sends_no_request() -> None:
    fakes = FakePorts()
    result = fakes.execute(a_plan(an_item("AAA", "HOLD", "0")))

    assert result.status is ExecutionStatus.SUCCESS
    assert fakes.broker.reads == []
    plan = fakes.plan_journal().plan
    assert (plan.starting_funds, plan.account_number, plan.buy_budget) == (Decimal(0), None, None)
    started = fakes.fields(LogEvent.PLAN_STARTED)
    assert [(fields["items"], fields["parents"]) for fields in started] == [(1, 0)]


def test_cached_asset_flags_are_not_read_again() -> None:
    fakes = executed()
    assert fakes.cached_assets == {symbol: fakes.broker.assets[symbol] for symbol in ("AAA", "BBB")}

    fakes.execute(a_plan(an_item("BBB", amount="500"), an_item("CCC", amount="500"), plan_id="plan-2"))
    assert [what for name, what in fakes.broker.reads if name == "asset"] == ["AAA", "BBB", "CCC"]
