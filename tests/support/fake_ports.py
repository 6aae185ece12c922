"""A trading floor in memory: every port of execution, small and obedient, with room for single things to go wrong.

AAA, BBB and CCC stand at $99.99 to $100.01. What is submitted fills at once at its limit, unless it was told to
behave otherwise.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from rebalance_executor.adapters.dynamodb.journal import PARENTS_EACH
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import OrderRejected, OutcomeUnknown, RateLimited
from rebalance_executor.domain.journal import PlanJournal
from rebalance_executor.domain.market import (
    ZERO,
    Account,
    Asset,
    BrokerOrder,
    MarketClock,
    OrderRequest,
    OrderType,
    Position,
    Quote,
    Side,
    Trade,
)
from rebalance_executor.domain.orders import Outcome, ParentOrder
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.manager import ExecutionManager
from rebalance_executor.execution.ports import Broker, Ports
from rebalance_executor.execution.run import Deadline
from rebalance_simulation.clock import SimulatedClock
from tests.support.builders import NOW
from tests.support.memory_journal import InMemoryJournal

CLOSES_AT = NOW + timedelta(hours=6)
FILLS, RESTS, HALF, VANISHES, LOST, LOST_RESTS, REJECTED_LATER, STUCK = (
    "fills",
    "rests",
    "half of it fills, the rest rests",
    "no answer, no order",
    "no answer, filled",
    "no answer, rests",
    "accepted, then rejected",
    "rests, and no cancel is confirmed",
)
Behaviour = str | Exception


class FloorClock(SimulatedClock):
    """Stands still until somebody waits; remembers for how long."""

    def __init__(self) -> None:
        super().__init__(NOW)
        self.slept: list[float] = []

    def sleep(self, span: timedelta) -> None:
        self.slept.append(span.total_seconds())
        super().sleep(span)

    def at(self, seconds: float, happen: Callable[[], object]) -> None:
        """Let something happen in so many seconds."""
        self.later(timedelta(seconds=seconds), lambda: (happen(), None)[1])

    @property
    def seconds(self) -> float:
        """Since ``NOW``."""
        return (self.now() - NOW).total_seconds()


class FloorBroker:
    """Implements ``Broker``. What it is told and asked stays in ``sent``, ``cancelled`` and ``asked``."""

    def __init__(self, clock: FloorClock) -> None:
        self._clock = clock
        self.expected_account_number: str | None = None
        self.account_number = "PA1"
        self.blocked_by: str | None = None
        self.cash = Decimal(100_000)
        self.withheld = ZERO
        """Dollars that the account does not show yet."""
        self.equity: Decimal | None = None
        self.market = MarketClock(NOW, is_open=True, next_open=NOW + timedelta(days=1), next_close=CLOSES_AT)
        self.prices = {symbol: (Decimal("99.99"), Decimal("100.01")) for symbol in ("AAA", "BBB", "CCC")}
        self.quoted_at: dict[str, datetime] = {}
        """Since when a quote stands, where that is not now."""
        self.traded: dict[str, Trade] = {}
        """Last trades."""
        self.flags = {symbol: Asset(symbol, "active", tradable=True, fractionable=True) for symbol in self.prices}
        self.held: dict[str, Decimal] = {}
        self.book: dict[str, BrokerOrder] = {}
        self.behaviours: dict[str, list[Behaviour]] = {}
        self.trouble: dict[str, list[Exception | None]] = {}
        """By method: what its next calls raise."""
        self.sent: list[OrderRequest] = []
        self.cancelled: list[str] = []
        self.asked: list[tuple[str, object]] = []
        self.before_submit: Callable[[OrderRequest], None] = lambda _: None
        self.shown: Callable[[BrokerOrder], BrokerOrder] = lambda order: order
        """How an order looks in every answer."""
        self.unknown_to_cancel = 0
        """How many more cancels find nothing to cancel, whatever rests."""
        self.turn_at: datetime | None = None
        """When the rate limit lets the next submission through, where that is not now."""

    def behave(self, symbol: str, *behaviours: Behaviour) -> None:
        """How the next submissions of a symbol behave; those that follow fill."""
        self.behaviours[symbol] = list(behaviours)

    def quote(self, symbol: str, bid: str, ask: str) -> None:
        """Move a quote."""
        self.prices[symbol] = (Decimal(bid), Decimal(ask))

    def put(self, order: BrokerOrder) -> None:
        """An order of anybody's."""
        self.book[order.id] = order

    def fill(self, order_id: str, shares: str | Decimal | None = None) -> None:
        """Fill so many more shares of an order, all of it unless told."""
        order = self.book[order_id]
        qty = order.qty or ZERO
        more = qty - order.filled_qty if shares is None else Decimal(shares)
        bid, ask = self.prices.get(order.symbol, (ZERO, ZERO))
        price = order.limit_price or (ask if order.side == Side.BUY else bid)
        filled = order.filled_qty + more
        status = "filled" if filled == qty else "partially_filled"
        closed_at = self._clock.now() if filled == qty else None
        self.book[order_id] = replace(
            order, status=status, filled_qty=filled, filled_avg_price=price, closed_at=closed_at
        )
        sign = 1 if order.side == Side.BUY else -1
        self.held[order.symbol] = self.held.get(order.symbol, ZERO) + sign * more
        self.cash -= sign * more * price

    def end(self, order_id: str, status: str) -> None:
        """Let the broker end an order."""
        self.book[order_id] = replace(self.book[order_id], status=status, closed_at=self._clock.now())

    # --- the port ----------------------------------------------------------------------------------------

    def account(self) -> Account:
        self._ask("account")
        shown = self.cash - self.withheld
        return Account(self.account_number, "ACTIVE", shown, shown, self.blocked_by, self.equity)

    def clock(self) -> MarketClock:
        self._ask("clock")
        return self.market

    def positions(self, symbols: Collection[str]) -> Mapping[str, Position]:
        self._ask("positions")
        return {symbol: Position(symbol, qty, qty) for symbol, qty in self.held.items() if qty and symbol in symbols}

    def asset(self, symbol: str) -> Asset:
        self._ask("asset", symbol)
        return self.flags[symbol]

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        self._ask("quotes", list(symbols))
        hundred = Decimal(100)
        return {
            symbol: Quote(symbol, *self.prices[symbol], hundred, hundred, self.quoted_at.get(symbol, self._clock.now()))
            for symbol in symbols
            if symbol in self.prices
        }

    def last_trades(self, symbols: Sequence[str]) -> Mapping[str, Trade]:
        self._ask("last_trades", list(symbols))
        return {symbol: self.traded[symbol] for symbol in symbols if symbol in self.traded}

    def open_orders(self, symbols: Sequence[str]) -> Sequence[BrokerOrder]:
        self._ask("open_orders", list(symbols))
        return [order for order in self.book.values() if order.symbol in symbols and not order.is_terminal]

    def orders(self, symbols: Sequence[str], after: datetime) -> Sequence[BrokerOrder]:
        self._ask("orders", (list(symbols), after))
        since = [o for o in self.book.values() if o.symbol in symbols and o.submitted_at and o.submitted_at > after]
        return [self.shown(order) for order in since]

    def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        self._ask("order_by_client_id", client_order_id)
        return next((self.shown(o) for o in self.book.values() if o.client_order_id == client_order_id), None)

    def wait_for_rate_limit(self, until: datetime) -> None:
        if self.turn_at is not None and self.turn_at > until:
            raise RateLimited("the minute's requests are used up", retry_at=self.turn_at)
        if self.turn_at is not None and self.turn_at > self._clock.now():
            self._clock.sleep(self.turn_at - self._clock.now())

    def submit(self, request: OrderRequest) -> BrokerOrder:
        self.before_submit(request)
        self.sent.append(request)
        behaviour = next(iter(self.behaviours.get(request.symbol, [])), FILLS)
        self.behaviours[request.symbol] = self.behaviours.get(request.symbol, [])[1:]
        if isinstance(behaviour, Exception):
            raise behaviour
        if behaviour == VANISHES:
            raise OutcomeUnknown("no answer")
        order = self._accepted(request)
        if behaviour in (FILLS, LOST):
            self.fill(order.id)
        elif behaviour == HALF:
            self.fill(order.id, request.qty / 2)
        elif behaviour == REJECTED_LATER:
            self.end(order.id, "rejected")
        elif behaviour == STUCK:
            self.book[order.id] = replace(order, status="pending_cancel")
        if behaviour in (LOST, LOST_RESTS):
            raise OutcomeUnknown("no answer")
        return self.shown(order if behaviour == REJECTED_LATER else self.book[order.id])

    def cancel(self, order_id: str) -> bool:
        self.cancelled.append(order_id)
        self._fail("cancel")
        order = self.book[order_id]
        if order.is_terminal or self.unknown_to_cancel:
            self.unknown_to_cancel = max(0, self.unknown_to_cancel - 1)
            return False
        if order.status != "pending_cancel":
            self.end(order_id, "canceled")
        return True

    def _accepted(self, request: OrderRequest) -> BrokerOrder:
        now = self._clock.now()
        order = BrokerOrder(
            id=f"order-{len(self.book) + 1}",
            client_order_id=request.client_order_id,
            symbol=request.symbol,
            side=request.side,
            type=request.type,
            status="new",
            qty=request.qty,
            filled_qty=ZERO,
            filled_avg_price=None,
            limit_price=request.limit_price,
            submitted_at=now,
            closed_at=None,
        )
        self.book[order.id] = order
        return order

    def _ask(self, name: str, what: object = None) -> None:
        self.asked.append((name, what))
        self._fail(name)

    def _fail(self, name: str) -> None:
        waiting = self.trouble.get(name)
        error = waiting.pop(0) if waiting else None
        if error is not None:
            raise error


class Channel:
    """Implements ``Reporter``."""

    def __init__(self, channel: str = "bus") -> None:
        self.channel = channel
        self.published: list[ExecutionResult] = []
        self.trouble: list[Exception] = []

    def publish(self, result: ExecutionResult) -> None:
        if self.trouble:
            raise self.trouble.pop(0)
        self.published.append(result)


class Floor:
    """The manager on its ports. Marketable limits unless the configuration says otherwise."""

    def __init__(self, *, parents_each: int = PARENTS_EACH, **config: object) -> None:
        self.config = ExecutionConfig.model_validate({"order_style": "marketable_limit"} | config)
        self.clock = FloorClock()
        self.broker = FloorBroker(self.clock)
        self.calls: list[str] = []
        """To the database."""
        self.trouble: dict[str, list[Exception | None]] = {}
        """By name: what the next calls to the database raise."""
        self.slow: dict[str, list[float]] = {}
        """By name: seconds that the next calls to the database take."""
        self.journal = InMemoryJournal(self._way, parents_each=parents_each)
        self.channels = [Channel()]
        self.cached: dict[str, Asset] = {}
        self.told: list[tuple[LogEvent, dict[str, object]]] = []
        self.stop_requested = False
        self.opened: list[tuple[str, Deadline]] = []
        self.broker.before_submit = self._check_journalled
        self._plan_ids: list[str] = []

    @property
    def ports(self) -> Ports:
        return Ports(
            brokers=self._open,
            journal=self.journal,
            risk_store=self.journal.book,
            assets=self,
            clock=self.clock,
            log=self,
            publishers=self.channels,
            stop_requested=lambda: self.stop_requested,
        )

    def execute(self, plan: RebalancePlan, *, seconds: float = 600, run_id: str = "run-1") -> ExecutionResult:
        """One invocation."""
        self._plan_ids.append(plan.plan_id)
        deadline = Deadline.after(self.clock.now(), timedelta(seconds=seconds))
        return ExecutionManager(self.ports, self.config).execute(plan, "main", deadline, run_id)

    def known(self, plan_id: str = "plan-1") -> PlanJournal:
        """What the journal holds of a plan."""
        journal = self.journal.peek("main", plan_id)
        assert journal is not None
        return journal

    def parent(self, symbol: str, plan_id: str = "plan-1") -> ParentOrder:
        return self.known(plan_id).parents[symbol]

    def fields(self, event: LogEvent) -> list[dict[str, object]]:
        """What was told with this event, each time."""
        return [fields for told, fields in self.told if told is event]

    @property
    def events(self) -> list[LogEvent]:
        return [event for event, _ in self.told]

    # --- log and asset cache -----------------------------------------------------------------------------

    def emit(self, event: LogEvent, **fields: object) -> None:
        self.told.append((event, fields))

    def get(self, symbols: Sequence[str], *, now: datetime) -> Mapping[str, Asset]:
        assert now == self.clock.now()
        return {symbol: self.cached[symbol] for symbol in symbols if symbol in self.cached}

    def put(self, assets: Iterable[Asset], *, now: datetime) -> None:
        assert now == self.clock.now()
        self._way("assets.put", lambda: self.cached.update({asset.symbol: asset for asset in assets}))

    # --- ways --------------------------------------------------------------------------------------------

    def _open(self, account: str, deadline: Deadline) -> Broker:
        self.opened.append((account, deadline))
        return self.broker

    def _way[T](self, name: str, effect: Callable[[], T], /) -> T:
        self.calls.append(name)
        if slow := self.slow.get(name):
            self.clock.sleep(timedelta(seconds=slow.pop(0)))
        waiting = self.trouble.get(name)
        error = waiting.pop(0) if waiting else None
        if error is not None:
            raise error
        return effect()

    def _check_journalled(self, request: OrderRequest) -> None:
        """Nothing goes out that the journal does not hold."""
        parent = self.parent(request.symbol, self._plan_ids[-1])
        assert parent.open_child is not None
        assert parent.open_child.request(request.symbol, parent.side) == request


def rejection(status: int = 403, code: int | None = 40310000) -> OrderRejected:
    """The broker's no."""
    return OrderRejected("insufficient buying power", http_status=status, broker_code=code)


def an_order_of_others(symbol: str, side: Side, order_id: str = "foreign-1", status: str = "new") -> BrokerOrder:
    """Somebody else's open order for five shares, from before the plan."""
    return BrokerOrder(
        id=order_id,
        client_order_id="theirs",
        symbol=symbol,
        side=side,
        type=OrderType.LIMIT,
        status=status,
        qty=Decimal(5),
        filled_qty=ZERO,
        filled_avg_price=None,
        limit_price=Decimal(90),
        submitted_at=NOW - timedelta(hours=1),
        closed_at=None,
    )


def ended(result: ExecutionResult) -> dict[str, tuple[Outcome, str | None]]:
    """Symbol → outcome and code."""
    return {order.symbol: (order.outcome, order.error_code) for order in result.orders}
