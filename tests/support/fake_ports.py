"""Fakes of every port of execution, in memory, with single calls that a test lets fail.

AAA, BBB and CCC are quoted at $99.99 to $100.01. A submission fills at once at its limit unless a test scripts it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import partial
from typing import NoReturn

from rebalance_executor.adapters.dynamodb.journal import PARENTS_PER_TRANSACTION
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import OrderRejected, OutcomeUnknown, RateLimited
from rebalance_executor.domain.journal import PlanJournal, PlanState
from rebalance_executor.domain.market import (
    ZERO,
    Account,
    Asset,
    BrokerKind,
    BrokerOrder,
    MarketClock,
    OrderRequest,
    OrderType,
    Position,
    Quote,
    Side,
    Trade,
)
from rebalance_executor.domain.order_ids import LOCAL_DEPLOYMENT
from rebalance_executor.domain.orders import Outcome, ParentOrder
from rebalance_executor.domain.plan import RebalancePlan
from rebalance_executor.domain.previous_close import NO_PREVIOUS_CLOSE, PreviousClose
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.domain.volume import DailyBar
from rebalance_executor.execution.deadline import Deadline
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.manager import PlanManager
from rebalance_executor.execution.ports import Broker, EarlyAnswers, Ports, ReadSet
from rebalance_simulation.clock import SimulatedClock
from tests.support.builders import NOW, an_order_of
from tests.support.fake_publisher import FakePublisher
from tests.support.fake_volume_cache import FakeVolumeCache
from tests.support.memory_journal import InMemoryJournal

CLOSES_AT = NOW + timedelta(hours=6)

FILLS = "fills"
RESTS = "rests"
FILLS_HALF = "fills half, the rest stays open"
REQUEST_LOST = "no answer, no order"
ANSWER_LOST_FILLS = "no answer, filled"
ANSWER_LOST_RESTS = "no answer, rests"
REJECTS_LATER = "accepted, then rejected"
CANCEL_STUCK = "rests, and no cancel is confirmed"

SubmitBehaviour = str | Exception
"""One of the texts above, or the error that the submission raises."""


class FakeBroker:
    """Implementation of ``Broker`` that records its calls in ``sent``, ``cancel_requests`` and ``reads``."""

    def __init__(self, clock: SimulatedClock) -> None:
        self._clock = clock
        self.expected_account_number: str | None = None
        self.account_number = "PA1"
        self.blocked_by: str | None = None
        self.cash = Decimal(100_000)
        self.buying_power: Decimal | None = None
        """Dollars; the cash by default."""
        self.hidden_cash = ZERO
        """Dollars that the account does not show yet."""
        self.equity: Decimal | None = None
        self.market = MarketClock(NOW, is_open=True, next_open=NOW + timedelta(days=1), next_close=CLOSES_AT)
        self.prices = {symbol: (Decimal("99.99"), Decimal("100.01")) for symbol in ("AAA", "BBB", "CCC")}
        self.quoted_at: dict[str, datetime] = {}
        """Time of a symbol's quote, if it is not the current time."""
        self.trades: dict[str, Trade] = {}
        """Last trade by symbol."""
        self.closes: dict[str, PreviousClose | None] = {}
        """Previous closes in the market data by symbol, None if unknown; other symbols were listed today."""
        self.volumes = dict.fromkeys(self.prices, 1_000_000)
        """Shares of each day before today, by symbol."""
        self.assets = {symbol: Asset(symbol, "active", tradable=True, fractionable=True) for symbol in self.prices}
        self.unlisted: set[str] = set()
        """Symbols that the list of all assets lacks."""
        self.shares: dict[str, Decimal] = {}
        self.position_closes: dict[str, Decimal] = {}
        """Previous close of the position by symbol, if the broker reports one."""
        self.orders_by_id: dict[str, BrokerOrder] = {}
        self.scripts: dict[str, list[SubmitBehaviour]] = {}
        self.errors: dict[str, list[Exception | None]] = {}
        """By method: the errors that its next calls raise; None lets a call succeed."""
        self.sent: list[OrderRequest] = []
        self.sent_together: list[int] = []
        """Numbers of orders that were sent together."""
        self.window_errors: list[RateLimited] = []
        """The errors that the next windows raise; nothing of them is sent."""
        self.cancel_requests: list[str] = []
        self.reads: list[tuple[str, object]] = []
        self.asked: list[ReadSet] = []
        """Reads that were sent together."""
        self.before_submit: Callable[[OrderRequest], None] = lambda _: None
        self.as_reported: Callable[[BrokerOrder], BrokerOrder] = lambda order: order
        """Changes an order in every response."""
        self.cancels_not_found = 0
        """Number of further cancels that find nothing to cancel, even for an open order."""
        self.waits_for_requests: list[int] = []
        """Numbers of requests that the rate limit was waited for."""
        self.requests_left = 1000
        """Requests that the rate limit allows at once."""
        self.rate_limited_until: datetime | None = None
        """Time of the next submission that the rate limit allows; None is now."""

    def script(self, symbol: str, *behaviours: SubmitBehaviour) -> None:
        """Script the next submissions of ``symbol``; later ones fill."""
        self.scripts[symbol] = list(behaviours)

    def set_quote(self, symbol: str, bid: str, ask: str) -> None:
        """Change a quote."""
        self.prices[symbol] = (Decimal(bid), Decimal(ask))

    def add_order(self, order: BrokerOrder) -> None:
        """Add an order, ours or a foreign one."""
        self.orders_by_id[order.id] = order

    def fill_order(self, order_id: str, shares: str | Decimal | None = None) -> None:
        """Fill ``shares`` more of an order, or all that remains."""
        order = self.orders_by_id[order_id]
        qty = order.qty or ZERO
        more = qty - order.filled_qty if shares is None else Decimal(shares)
        bid, ask = self.prices.get(order.symbol, (ZERO, ZERO))
        price = order.limit_price or (ask if order.side == Side.BUY else bid)
        filled = order.filled_qty + more
        status = "filled" if filled == qty else "partially_filled"
        closed_at = self._clock.now() if filled == qty else None
        self.orders_by_id[order_id] = replace(
            order, status=status, filled_qty=filled, filled_avg_price=price, closed_at=closed_at
        )
        sign = 1 if order.side == Side.BUY else -1
        self.shares[order.symbol] = self.shares.get(order.symbol, ZERO) + sign * more
        self.cash -= sign * more * price

    def close_order(self, order_id: str, status: str) -> None:
        """Close an order with this status, as the broker does."""
        self.orders_by_id[order_id] = replace(self.orders_by_id[order_id], status=status, closed_at=self._clock.now())

    # --- the port ----------------------------------------------------------------------------------------

    def ask(self, reads: ReadSet) -> EarlyAnswers:
        self.asked.append(reads)
        return EarlyAnswers(self._clock.now(), self)

    def account(self) -> Account:
        self._record_read("account")
        cash = self.cash - self.hidden_cash
        buying_power = self.buying_power if self.buying_power is not None else cash
        return Account(self.account_number, "ACTIVE", cash, buying_power, self.blocked_by, self.equity)

    def clock(self) -> MarketClock:
        self._record_read("clock")
        return self.market

    def positions(self, symbols: Collection[str] | None) -> Mapping[str, Position]:
        self._record_read("positions")
        held = {symbol: qty for symbol, qty in self.shares.items() if qty and (symbols is None or symbol in symbols)}
        return {symbol: Position(symbol, qty, qty, self.position_closes.get(symbol)) for symbol, qty in held.items()}

    def asset(self, symbol: str) -> Asset:
        self._record_read("asset", symbol)
        return self.assets[symbol]

    def quotes(self, symbols: Sequence[str]) -> Mapping[str, Quote]:
        self._record_read("quotes", list(symbols))
        size = Decimal(100)
        return {
            symbol: Quote(symbol, *self.prices[symbol], size, size, self.quoted_at.get(symbol, self._clock.now()))
            for symbol in symbols
            if symbol in self.prices
        }

    def last_trades(self, symbols: Sequence[str]) -> Mapping[str, Trade]:
        self._record_read("last_trades", list(symbols))
        return {symbol: self.trades[symbol] for symbol in symbols if symbol in self.trades}

    def previous_closes(self, symbols: Sequence[str], today: date) -> Mapping[str, PreviousClose]:
        self._record_read("previous_closes", (list(symbols), today))
        closes = {symbol: self.closes.get(symbol, NO_PREVIOUS_CLOSE) for symbol in symbols}
        return {symbol: close for symbol, close in closes.items() if close is not None}

    def daily_bars(self, symbols: Sequence[str], first: date, last: date) -> Mapping[str, Sequence[DailyBar]]:
        self._record_read("daily_bars", (list(symbols), first, last))
        days = [first + timedelta(days=n) for n in range((last - first).days + 1)]
        known = {symbol: Decimal(self.volumes[symbol]) for symbol in symbols if symbol in self.volumes}
        return {symbol: [self._bar(symbol, day, shares) for day in days] for symbol, shares in known.items()}

    def _bar(self, symbol: str, day: date, shares: Decimal) -> DailyBar:
        low = self.prices.get(symbol, (ZERO, ZERO))[0]
        return DailyBar(day, shares, low * Decimal("1.02"), low)

    def open_orders(self, symbols: Sequence[str] | None = None) -> Sequence[BrokerOrder]:
        self._record_read("open_orders", None if symbols is None else list(symbols))
        orders = [order for order in self.orders_by_id.values() if symbols is None or order.symbol in symbols]
        return [order for order in orders if not order.is_terminal]

    def orders(self, symbols: Sequence[str], after: datetime) -> Sequence[BrokerOrder]:
        self._record_read("orders", (list(symbols), after))
        orders = [order for order in self.orders_by_id.values() if order.symbol in symbols]
        return [self.as_reported(order) for order in orders if order.submitted_at and order.submitted_at > after]

    def recent_orders(self) -> Sequence[BrokerOrder]:
        self._record_read("recent_orders")
        return list(reversed(self.orders_by_id.values()))[:50]

    def order_by_client_id(self, client_order_id: str) -> BrokerOrder | None:
        self._record_read("order_by_client_id", client_order_id)
        orders = (order for order in self.orders_by_id.values() if order.client_order_id == client_order_id)
        return next(map(self.as_reported, orders), None)

    def active_assets(self, symbols: Collection[str]) -> Mapping[str, Asset]:
        self._record_read("active_assets", list(symbols))
        return {symbol: self.assets[symbol] for symbol in symbols if symbol not in self.unlisted}

    def wait_for_rate_limit(self, until: datetime, requests: int) -> int:
        self.waits_for_requests.append(requests)
        if self.rate_limited_until is not None and self.rate_limited_until > until:
            raise RateLimited("the rate limit of this minute is used up", retry_at=self.rate_limited_until)
        if self.rate_limited_until is not None and self.rate_limited_until > self._clock.now():
            self._clock.sleep(self.rate_limited_until - self._clock.now())
        return min(requests, self.requests_left)

    def submit(self, request: OrderRequest) -> BrokerOrder:
        self.before_submit(request)
        self.sent.append(request)
        behaviour = next(iter(self.scripts.get(request.symbol, [])), FILLS)
        self.scripts[request.symbol] = self.scripts.get(request.symbol, [])[1:]
        if isinstance(behaviour, Exception):
            raise behaviour
        if behaviour == REQUEST_LOST:
            raise OutcomeUnknown("no answer")
        order = self._accepted(request)
        if behaviour in (FILLS, ANSWER_LOST_FILLS):
            self.fill_order(order.id)
        elif behaviour == FILLS_HALF:
            self.fill_order(order.id, request.qty / 2)
        elif behaviour == REJECTS_LATER:
            self.close_order(order.id, "rejected")
        elif behaviour == CANCEL_STUCK:
            self.orders_by_id[order.id] = replace(order, status="pending_cancel")
        if behaviour in (ANSWER_LOST_FILLS, ANSWER_LOST_RESTS):
            raise OutcomeUnknown("no answer")
        return self.as_reported(order if behaviour == REJECTS_LATER else self.orders_by_id[order.id])

    def submit_together(self, requests: Sequence[OrderRequest]) -> Sequence[Callable[[], BrokerOrder]]:
        self.sent_together.append(len(requests))
        if self.window_errors:
            raise self.window_errors.pop(0)

        def outcome(request: OrderRequest) -> Callable[[], BrokerOrder]:
            try:
                order = self.submit(request)
            except Exception as error:  # noqa: BLE001 - each answer has its own error
                return partial(_raise, error)
            return lambda: order

        return [outcome(request) for request in requests]

    def cancel(self, order_id: str) -> bool:
        self.cancel_requests.append(order_id)
        self._raise_scripted_error("cancel")
        order = self.orders_by_id[order_id]
        if order.is_terminal or self.cancels_not_found:
            self.cancels_not_found = max(0, self.cancels_not_found - 1)
            return False
        if order.status != "pending_cancel":
            self.close_order(order_id, "canceled")
        return True

    def _accepted(self, request: OrderRequest) -> BrokerOrder:
        order = an_order_of(request, id=f"order-{len(self.orders_by_id) + 1}", submitted_at=self._clock.now())
        self.orders_by_id[order.id] = order
        return order

    def _record_read(self, name: str, argument: object = None) -> None:
        self.reads.append((name, argument))
        self._raise_scripted_error(name)

    def _raise_scripted_error(self, name: str) -> None:
        errors = self.errors.get(name)
        error = errors.pop(0) if errors else None
        if error is not None:
            raise error


def _raise(error: Exception) -> NoReturn:
    raise error


class FakePorts:
    """The manager on fakes of its ports.

    Args:
        parents_each: parents in one transaction of the journal.
        config: fields of ``ExecutionConfig``; the default order style is marketable limits.
    """

    def __init__(self, *, parents_each: int = PARENTS_PER_TRANSACTION, **config: object) -> None:
        self.config = ExecutionConfig.model_validate({"order_style": "marketable_limit"} | config)
        self.clock = SimulatedClock(NOW)
        self.broker = FakeBroker(self.clock)
        self.database_calls: list[str] = []
        """Names of the database calls, in order."""
        self.database_errors: dict[str, list[Exception | None]] = {}
        """By name: the errors that the next database calls raise; None lets a call succeed."""
        self.database_delays: dict[str, list[float]] = {}
        """By name: the seconds that the next database calls take."""
        self.journal = InMemoryJournal(self._call_database, parents_each=parents_each)
        self.publishers = [FakePublisher()]
        self.volume_cache = FakeVolumeCache(self._call_database)
        self.cached_assets: dict[str, Asset] = {}
        self.emitted: list[tuple[LogEvent, dict[str, object]]] = []
        self.earlier_plans: list[str] = []
        """IDs of the plans that runs finished before their own."""
        self.stop_requested = False
        self.broker_kind = BrokerKind.PAPER
        self.brokers_opened: list[tuple[str, Deadline]] = []
        self.broker.before_submit = self._check_journalled

    @property
    def ports(self) -> Ports:
        return Ports(
            brokers=self._open_broker,
            broker_kind=self.broker_kind,
            deployment=LOCAL_DEPLOYMENT,
            journal=self.journal,
            risk_store=self.journal.risk_store,
            assets=self,
            volumes=self.volume_cache,
            clock=self.clock,
            log=self,
            publishers=self.publishers,
            stop_requested=lambda: self.stop_requested,
        )

    def execute(self, plan: RebalancePlan, *, seconds: float = 600, run_id: str = "run-1") -> ExecutionResult:
        """Execute the plan in one run that has ``seconds``."""
        deadline = Deadline.after(self.clock.now(), timedelta(seconds=seconds))
        return PlanManager(self.ports, self.config).execute(plan, "main", deadline, run_id)

    def plan_journal(self, plan_id: str = "plan-1") -> PlanJournal:
        """Return what the journal holds of a plan."""
        journal = self.journal.peek("main", plan_id)
        assert journal is not None
        return journal

    def parent(self, symbol: str, plan_id: str = "plan-1") -> ParentOrder:
        return self.plan_journal(plan_id).parents[symbol]

    def fields(self, event: LogEvent) -> list[dict[str, object]]:
        """Return the fields of each occurrence of ``event``."""
        return [fields for emitted, fields in self.emitted if emitted is event]

    @property
    def events(self) -> list[LogEvent]:
        return [event for event, _ in self.emitted]

    # --- time --------------------------------------------------------------------------------------------

    def after(self, seconds: float, action: Callable[[], object]) -> None:
        """Call ``action`` in ``seconds`` seconds."""
        self.clock.call_later(timedelta(seconds=seconds), action)

    @property
    def elapsed(self) -> float:
        """Seconds since ``NOW``."""
        return (self.clock.now() - NOW).total_seconds()

    @property
    def slept(self) -> list[float]:
        """Every wait in seconds, in order."""
        return [wait.total_seconds() for wait in self.clock.slept]

    # --- log and asset cache -----------------------------------------------------------------------------

    def emit(self, event: LogEvent, **fields: object) -> None:
        self.emitted.append((event, fields))

    @contextmanager
    def earlier_plan(self, plan: PlanState) -> Iterator[None]:
        self.earlier_plans.append(plan.plan_id)
        yield

    def get(self, symbols: Sequence[str], *, now: datetime) -> Mapping[str, Asset]:
        return self._call_database("assets.get", lambda: {s: a for s, a in self.cached_assets.items() if s in symbols})

    def put(self, assets: Iterable[Asset], *, now: datetime) -> None:
        assert now == self.clock.now()
        found = {asset.symbol: asset for asset in assets if asset.allows_every_order}
        self._call_database("assets.put", lambda: self.cached_assets.update(found))

    def drop(self, symbol: str, *, now: datetime) -> None:
        self._call_database("assets.drop", lambda: self.cached_assets.pop(symbol, None))

    # --- calls -------------------------------------------------------------------------------------------

    def _open_broker(self, account: str, deadline: Deadline) -> Broker:
        self.brokers_opened.append((account, deadline))
        return self.broker

    def _call_database[T](self, name: str, effect: Callable[[], T], /) -> T:
        self.database_calls.append(name)
        if delays := self.database_delays.get(name):
            self.clock.sleep(timedelta(seconds=delays.pop(0)))
        errors = self.database_errors.get(name)
        error = errors.pop(0) if errors else None
        if error is not None:
            raise error
        return effect()

    def _check_journalled(self, request: OrderRequest) -> None:
        """Assert that the journal holds the order before it is sent."""
        parents = [self.parent(request.symbol, plan_id) for plan_id in self.journal.unfinished_plan_ids]
        children = [parent.open_child for parent in parents if parent.open_child is not None]
        assert [child.request(request.symbol, request.side) for child in children] == [request]


def rejection(
    status: int = 403, code: int | None = 40310000, reason: str = "account is not allowed to trade"
) -> OrderRejected:
    """Build the broker's reject of an order."""
    return OrderRejected(reason, http_status=status, broker_code=code)


def a_foreign_order(symbol: str, side: Side, order_id: str = "foreign-1", status: str = "new") -> BrokerOrder:
    """Build another party's order for five shares, submitted before the plan."""
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


def outcomes(result: ExecutionResult) -> dict[str, tuple[Outcome, str | None]]:
    """Return outcome and code by symbol."""
    return {order.symbol: (order.outcome, order.error_code) for order in result.orders}
