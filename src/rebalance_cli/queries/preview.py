"""What a plan would become, without anything being sent or written: the engine of ``apply`` on ports that only read.

The same ``Opening`` that begins a plan sizes its items and asks the controls; the same gate fits the buys into the
cash, with the sells' proceeds taken at the bid; the same strategy prices the first order of each.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from rebalance_cli.context import CliContext
from rebalance_cli.outputs import Decision, Preview, PreviewOrder
from rebalance_executor.domain.cash import buy_budget, scale_to_budget
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.controls import check_fresh
from rebalance_executor.domain.errors import PlanExpired
from rebalance_executor.domain.market import (
    ZERO,
    Account,
    Asset,
    BrokerOrder,
    MarketClock,
    OrderRequest,
    Position,
    Quote,
    Side,
    Trade,
)
from rebalance_executor.domain.orders import Outcome, ParentOrder
from rebalance_executor.domain.plan import Action, RebalancePlan, RebalancePlanItem
from rebalance_executor.domain.pricing import far_touch
from rebalance_executor.domain.risk_state import KillSwitchRecord, RiskState
from rebalance_executor.domain.strategy import DecisionContext, Place, Settle, decide
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.ports import Broker, Lease, RiskStore
from rebalance_executor.execution.pretrade import PreTrade
from rebalance_executor.execution.run import Run

_CENT = Decimal("0.01")


class ReadOnlyBroker:
    """Implements ``Broker``: asks the real one, sends nothing."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._account: Account | None = None
        self._gone: set[str] = set()

    @property
    def expected_account_number(self) -> str | None:
        """As the real one."""
        return self._broker.expected_account_number

    def account(self) -> Account:
        """As the real one; asked once."""
        if self._account is None:
            self._account = self._broker.account()
        return self._account

    def clock(self) -> MarketClock:
        """As the real one."""
        return self._broker.clock()

    def positions(self, symbols: Collection[str]) -> Mapping[str, Position]:
        """As the real one."""
        return self._broker.positions(symbols)

    def asset(self, symbol: str) -> Asset:
        """As the real one."""
        return self._broker.asset(symbol)

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        """As the real one."""
        return self._broker.quotes(symbols)

    def last_trades(self, symbols: Sequence[str]) -> Mapping[str, Trade]:
        """As the real one."""
        return self._broker.last_trades(symbols)

    def orders(self, symbols: Sequence[str], since: datetime) -> Sequence[BrokerOrder]:
        """As the real one."""
        return self._broker.orders(symbols, since)

    def open_orders(self, symbols: Sequence[str]) -> Sequence[BrokerOrder]:
        """As the real one, without those that would be cancelled."""
        return [order for order in self._broker.open_orders(symbols) if order.id not in self._gone]

    def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        """As the real one."""
        return self._broker.order_by_client_id(client_order_id)

    def wait_for_rate_limit(self, until: datetime) -> None:
        """Nothing is sent."""

    def submit(self, request: OrderRequest) -> BrokerOrder:
        """Never."""
        raise AssertionError("a preview sends nothing")

    def cancel(self, order_id: str) -> bool:
        """Count the order as gone; it stays where it is."""
        self._gone.add(order_id)
        return True


class ReadOnlyRiskStore:
    """Implements ``RiskStore``: reads the real one, sets nothing."""

    def __init__(self, book: RiskStore) -> None:
        self._book = book

    def load(self, account: str, day: date) -> RiskState:
        """As the real one."""
        return self._book.load(account, day)

    def kill_switch(self, account: str) -> KillSwitchRecord:
        """As the real one."""
        return self._book.kill_switch(account)

    def set_kill_switch(self, account: str, switch: KillSwitchRecord) -> None:
        """Leave it as it is."""


class NoMemory:
    """Implements ``AssetCache``: every flag is asked of the broker, none is kept."""

    def get(self, symbols: Sequence[str], *, now: datetime) -> Mapping[str, Asset]:
        """None."""
        return {}

    def put(self, assets: Iterable[Asset], *, now: datetime) -> None:
        """Nothing."""


def preview_plan(found: CliContext, plan: RebalancePlan, account: str) -> Preview:
    """What would become of the plan if it were begun now.

    Raises:
        BrokerUnavailable, JournalUnavailable: what the answer needs could not be read.
    """
    config, now = found.config, found.now
    refusal: tuple[str, str] | None = None
    try:
        check_fresh(
            plan, now, max_age_minutes=config.max_plan_age_minutes, max_skew_seconds=config.max_clock_skew_seconds
        )
    except PlanExpired as error:
        refusal = (error.code, str(error))
    deadline = found.deadline()
    broker = ReadOnlyBroker(found.ports.brokers(account, deadline))
    ports = replace(found.ports, risk_store=ReadOnlyRiskStore(found.ports.risk_store), assets=NoMemory(), publishers=())
    access = AccountAccess.to(account, broker, ports, config)
    lease = Lease(account=account, epoch=0, run_id="preview", expires_at=now + timedelta(minutes=1))
    run = PreTrade(access).start(plan, lease, deadline)
    budget = _fit(run, broker, access.quotes.latest, config, now) if plan.trades else None
    orders = tuple(_order(item, run, access.quotes.latest, config, now) for item in plan.items)
    paper = found.settings.alpaca_paper
    return _sum_up(run, orders, budget, refusal or _common_denial(orders), paper=paper)


def _fit(
    run: Run, broker: ReadOnlyBroker, quotes: Mapping[str, Quote], config: ExecutionConfig, now: datetime
) -> Decimal | None:
    """Pass the gate as if every sell had filled at the far touch; returns the buys' budget."""
    buys = run.unsettled(Side.BUY)
    if not buys:
        return None
    sells = run.unsettled(Side.SELL)
    brought = sum((sell.qty * far_touch(Side.SELL, quotes[sell.symbol]) for sell in sells), ZERO)
    expected = run.state.starting_funds + brought
    account = replace(broker.account(), cash=expected, buying_power=expected)
    budget = buy_budget(account, expected, config)
    for parent in scale_to_budget(buys, quotes, budget, config, now):
        run.work.update_parent(parent)
    return budget


def _order(
    item: RebalancePlanItem, run: Run, quotes: Mapping[str, Quote], config: ExecutionConfig, now: datetime
) -> PreviewOrder:
    parent = run.parents.get(item.symbol)
    if parent is None:
        return _line(item, None, Decision.SKIP, Code.HOLD, "the plan asks for no trade")
    if parent.outcome is not None:
        decision = Decision.SKIP if parent.outcome is Outcome.SKIPPED else Decision.DENY
        return _line(item, parent, decision, parent.code, parent.message)
    view = DecisionContext(
        now=now,
        quote=quotes.get(item.symbol),
        schedule=run.wave_schedule(parent.side),
    )
    first = decide(parent, view, config)
    if isinstance(first, Settle):
        return _line(item, parent, Decision.DENY, first.code, first.message)
    return _line(
        item, parent, Decision.SEND, parent.code, parent.message, first=first if isinstance(first, Place) else None
    )


def _line(
    item: RebalancePlanItem,
    parent: ParentOrder | None,
    decision: Decision,
    code: str | None,
    message: str | None,
    *,
    first: Place | None = None,
) -> PreviewOrder:
    arrival = parent.arrival if parent is not None else None
    qty = parent.qty if parent is not None and decision is Decision.SEND else ZERO
    amount, cost = ZERO, ZERO
    if arrival is not None:
        amount = (qty * arrival.mid).quantize(_CENT) * (-1 if item.action is Action.SELL else 1)
        cost = (qty * (arrival.ask - arrival.bid) / 2).quantize(_CENT)
    return PreviewOrder(
        symbol=item.symbol,
        action=item.action,
        decision=decision,
        code=code,
        message=message,
        planned_amount=item.trade_amount,
        qty=qty,
        type=first.type.value if first is not None else None,
        limit_price=first.limit_price if first is not None else None,
        bid=arrival.bid if arrival is not None else None,
        ask=arrival.ask if arrival is not None else None,
        estimated_amount=amount,
        estimated_cost=cost,
    )


def _common_denial(orders: Sequence[PreviewOrder]) -> tuple[str, str] | None:
    """Why the whole plan would be refused: one reason for every order."""
    told = {(order.code, order.message, order.decision) for order in orders if order.action is not Action.HOLD}
    if len(told) != 1:
        return None
    code, message, decision = told.pop()
    return (code, message or "") if decision is Decision.DENY and code is not None else None


def _sum_up(
    run: Run,
    orders: tuple[PreviewOrder, ...],
    budget: Decimal | None,
    refusal: tuple[str, str] | None,
    *,
    paper: bool,
) -> Preview:
    sells = -sum((o.estimated_amount for o in orders if o.action is Action.SELL), ZERO)
    buys = sum((o.estimated_amount for o in orders if o.action is Action.BUY), ZERO)
    cost = sum((o.estimated_cost for o in orders), ZERO)
    cash = run.state.starting_funds
    return Preview(
        plan_id=run.plan.plan_id,
        account=run.state.account,
        account_number=run.state.account_number,
        paper=paper,
        content_hash=run.plan.content_hash,
        code=refusal[0] if refusal is not None else None,
        message=refusal[1] if refusal is not None else None,
        orders=orders,
        sells=sells,
        buys=buys,
        estimated_cost=cost,
        cash=cash,
        cash_after=cash + sells - buys - cost,
        buy_budget=budget,
    )
