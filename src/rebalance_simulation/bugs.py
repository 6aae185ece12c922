"""Deliberate bugs, each switched on in turn: what the simulation must catch. A safety net that never caught is none.

These are in what is done; those in what is told of it are in ``bugs_told``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count, islice
from typing import Any

from rebalance_executor.adapters.alpaca.broker import AlpacaBroker
from rebalance_executor.adapters.alpaca.rate_limiter import RateLimiter
from rebalance_executor.adapters.dynamodb import journal as dynamodb
from rebalance_executor.adapters.dynamodb.journal import DynamoJournal
from rebalance_executor.adapters.dynamodb.table import Table
from rebalance_executor.domain import controls, strategy
from rebalance_executor.domain.errors import JournalUnavailable, OrderRejected, OutcomeUnknown
from rebalance_executor.domain.journal import PlanPhase
from rebalance_executor.domain.market import Account, BrokerOrder, OrderRequest, Side
from rebalance_executor.domain.orders import ChildOrder, ChildState, Outcome, ParentOrder
from rebalance_executor.domain.strategy import RunMode
from rebalance_executor.execution import cash_gate, executor, kill_switch, manager, pretrade, sender
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.deadline import Deadline
from rebalance_executor.execution.executor import Executor
from rebalance_executor.execution.outbox import Outbox
from rebalance_executor.execution.run import Run
from rebalance_executor.execution.unit_of_work import UnitOfWork
from rebalance_executor.idempotency import IdempotencyGate
from rebalance_executor.telemetry import Telemetry
from rebalance_simulation.api import SECRET
from rebalance_simulation.bugs_reporting import TOLD, Swap


@contextmanager
def _swapped(owner: Any, name: str, new: Any) -> Iterator[None]:
    old = vars(owner)[name] if isinstance(owner, type) else getattr(owner, name)
    setattr(owner, name, new)
    try:
        yield
    finally:
        setattr(owner, name, old)


def _nothing(*_: Any, **__: Any) -> None:
    return None


def _new_id_each_time() -> Callable[..., OrderRequest]:
    request, numbers = ChildOrder.request, count()

    def renamed(child: ChildOrder, *args: Any) -> OrderRequest:
        return replace(request(child, *args), client_order_id=f"{child.client_order_id}-{next(numbers)}")

    return renamed


def _seen_as(change: Callable[[ChildOrder, BrokerOrder], ChildOrder | None]) -> Callable[..., ChildOrder]:
    seen = ChildOrder.with_report

    def changed(child: ChildOrder, order: BrokerOrder, now: datetime) -> ChildOrder:
        after = seen(child, order, now)
        return change(after, order) or after

    return changed


def _believed(after: ChildOrder, _: BrokerOrder) -> ChildOrder | None:
    is_asked = after.cancel_requested_at is not None and after.state is ChildState.LIVE
    return replace(after, state=ChildState.CANCELED) if is_asked else None


def _fills_of_cancelled_lost(after: ChildOrder, _: BrokerOrder) -> ChildOrder | None:
    return replace(after, filled_qty=Decimal(0)) if after.state is ChildState.CANCELED else None


def _repriced(after: ChildOrder, order: BrokerOrder) -> ChildOrder | None:
    return replace(after, limit_price=order.filled_avg_price) if order.filled_avg_price is not None else None


def _doubted_again() -> Callable[..., Run]:
    resume = manager.ExecutionManager._resume  # noqa: SLF001 - a bug

    def resumed(*args: Any) -> Run:
        run = resume(*args)
        for parent in [*run.unsettled(Side.SELL), *run.unsettled(Side.BUY)]:
            if parent.last_child is not None and not parent.last_child.is_open:
                run.work.update_child(parent.symbol, replace(parent.last_child, state=ChildState.UNKNOWN))
        return run

    return resumed


def _unpriced_is_settled(after: ChildOrder, order: BrokerOrder) -> ChildOrder | None:
    is_late = order.status == "filled" and after.state is ChildState.LIVE
    return replace(after, state=ChildState.FILLED, filled_qty=Decimal(0)) if is_late else None


def _unknown_is_rejected() -> Callable[..., BrokerOrder]:
    submit = AlpacaBroker.submit

    def sent(broker: AlpacaBroker, request: OrderRequest) -> BrokerOrder:
        try:
            return submit(broker, request)
        except OutcomeUnknown as error:
            raise OrderRejected(str(error), http_status=500, broker_code=None) from None

    return sent


def _resent_differently() -> Callable[..., OrderRequest]:
    request = ChildOrder.request

    def other(child: ChildOrder, *args: Any) -> OrderRequest:
        sent = request(child, *args)
        return replace(sent, qty=sent.qty / 2) if child.resent else sent

    return other


def _executed_anew(*_: Any, execute: Callable[[], Any], **__: Any) -> Any:
    return execute()


def _all_dropped(outbox: Outbox, work: UnitOfWork) -> None:
    for parent in list(work.parents.values()):
        if parent.open_child is not None:
            work.update_child(parent.symbol, replace(parent.open_child, state=ChildState.NOT_SENT))
    outbox.unsent.clear()


def _buys_first(self: Any, run: Run, access: AccountAccess) -> Any:
    run.work.update_state(buy_budget=run.state.starting_funds * (1 - access.config.cash_buffer))
    Executor(run, access).work(Side.BUY)
    return _drive(self, run, access)


_drive = manager.ExecutionManager._drive  # noqa: SLF001 - a bug


def _told_as(told: Outcome, real: Outcome) -> Callable[..., Any]:
    decide = strategy.decide

    def decided(*args: Any) -> Any:
        decision = decide(*args)
        if isinstance(decision, strategy.Settle) and decision.outcome is real:
            return replace(decision, outcome=told)
        return decision

    return decided


def _endless(_: Any, now: datetime, remaining: timedelta) -> Deadline:
    at = now + remaining
    return Deadline(at=at, stop_at=at + timedelta(days=1), give_up_at=at + timedelta(days=1))


def _rich(_: Account, expected: Decimal, __: Any) -> Decimal:
    return expected * 10 + 50_000


def _sent_twice() -> Callable[..., BrokerOrder]:
    submit = AlpacaBroker.submit

    def sent(broker: AlpacaBroker, request: OrderRequest) -> BrokerOrder:
        submit(broker, request)
        return submit(broker, replace(request, client_order_id=f"{request.client_order_id}x"))

    return sent


def _sold_again(parent: ParentOrder) -> Decimal:
    return parent.qty


def _given_up(executor: Executor, symbols: list[str], _: RunMode) -> None:
    work = executor._run.work  # noqa: SLF001 - a bug
    for symbol in symbols:
        child = work.parents[symbol].open_child
        if child is not None:
            work.update_child(symbol, replace(child, state=ChildState.NOT_SENT))


def _begun_anew() -> Callable[..., Any]:
    load = DynamoJournal.load

    def childless(journal: DynamoJournal, account: str, plan_id: str) -> Any:
        known = load(journal, account, plan_id)
        if known is None or known.result is not None:
            return known
        return replace(known, parents={s: replace(p, children=(), outcome=None) for s, p in known.parents.items()})

    return childless


def _talkative() -> Callable[..., None]:
    emit = Telemetry.emit

    def told(telemetry: Telemetry, event: Any, **fields: object) -> None:
        emit(telemetry, event, **fields, headers={"APCA-API-SECRET-KEY": SECRET})

    return told


def _second_before_first_is_over() -> Callable[..., Any]:
    decide = strategy.decide

    def decided(parent: ParentOrder, *args: Any) -> Any:
        child = parent.open_child
        if child is not None and child.state is ChildState.LIVE and child.cancel_requested_at is not None:
            done = replace(child, state=ChildState.CANCELED)
            return decide(parent.with_child(done), *args)
        return decide(parent, *args)

    return decided


def _invented_quote() -> Callable[..., Any]:
    quotes = AlpacaBroker.quotes

    def with_prices(broker: AlpacaBroker, symbols: Any) -> Any:
        told = quotes(broker, symbols)
        return {s: replace(q, bid=q.bid or q.ask / 2, ask=q.ask * Decimal("1.5")) for s, q in told.items()}

    return with_prices


def _side_forgotten() -> Callable[..., Any]:
    return lambda switch, _=None: controls.switch_denial(switch)


def _assumed(parents: Iterable[ParentOrder]) -> Decimal:
    sells = (parent for parent in parents if parent.side is Side.SELL and parent.arrival is not None)
    return sum((parent.qty * parent.arrival.mid for parent in sells if parent.arrival is not None), Decimal(0))


def _gate_passed_again() -> Callable[..., Run]:
    resume = manager.ExecutionManager._resume  # noqa: SLF001 - a bug

    def resumed(*args: Any) -> Run:
        run = resume(*args)
        run.work.update_state(phase=PlanPhase.SELLS)
        return run

    return resumed


def _never_sent(work: UnitOfWork, _: datetime) -> None:
    for parent in list(work.parents.values()):
        child = parent.open_child
        if child is not None and child.state is ChildState.INTENDED:
            work.update_child(parent.symbol, replace(child, state=ChildState.NOT_SENT))


def _cancels_the_former() -> Callable[..., None]:
    cancel, asked = AlpacaBroker.cancel, list[str]()

    def cancelled(broker: AlpacaBroker, order_id: str) -> None:
        asked.append(order_id)
        cancel(broker, asked[-2:][0])

    return cancelled


def _first_page() -> Callable[..., Any]:
    query = Table._query  # noqa: SLF001 - a bug

    def page(*args: Any) -> Iterator[Any]:
        return islice(query(*args), 3)

    return page


def _busy_is_written() -> Callable[..., None]:
    transact = Table.transact

    def written(*args: Any) -> None:
        with suppress(JournalUnavailable):
            transact(*args)

    return written


_DONE: dict[str, list[Swap]] = {
    "no write-ahead": [(Executor, "save", lambda: _nothing)],
    "a new client order id each time": [(ChildOrder, "request", _new_id_each_time)],
    "the original quantity after a partial fill": [(ParentOrder, "remaining", lambda: property(_sold_again))],
    "the same, without the guard": [
        (ParentOrder, "remaining", lambda: property(_sold_again)),
        (controls, "overfill", lambda: _nothing),
    ],
    "a cancel is believed": [(ChildOrder, "with_report", lambda: _seen_as(_believed))],
    "fills of cancelled orders are lost": [(ChildOrder, "with_report", lambda: _seen_as(_fills_of_cancelled_lost))],
    "a price is changed in the journal": [(ChildOrder, "with_report", lambda: _seen_as(_repriced))],
    "what has ended is in doubt again": [(manager.ExecutionManager, "_resume", _doubted_again)],
    "filled without its price counts as nothing": [(ChildOrder, "with_report", lambda: _seen_as(_unpriced_is_settled))],
    "unknown is taken for rejected": [(AlpacaBroker, "submit", _unknown_is_rejected)],
    "a repetition is another order": [(ChildOrder, "request", _resent_differently)],
    "the lease is unconditional": [
        (dynamodb, "_LEASE_IS_FREE", lambda: f"{dynamodb._LEASE_IS_FREE} OR attribute_exists(epoch)"),  # noqa: SLF001 - a bug
    ],
    "writes are not fenced": [
        (dynamodb, "_LEASE_IS_FREE", lambda: f"{dynamodb._LEASE_IS_FREE} OR attribute_exists(epoch)"),  # noqa: SLF001 - a bug
        (dynamodb, "_LEASE_IS_OURS", lambda: f"{dynamodb._LEASE_IS_OURS} OR attribute_exists(epoch)"),  # noqa: SLF001 - a bug
    ],
    "front door off, journal forgotten": [
        (IdempotencyGate, "run_once", lambda: _executed_anew),
        (DynamoJournal, "load", lambda: _nothing),
    ],
    "what was sent is dropped as unsent": [(Outbox, "mark_unsent_not_sent", lambda: _all_dropped)],
    "buys before the gate": [(manager.ExecutionManager, "_drive", lambda: _buys_first)],
    "a part counts as the whole": [(executor, "decide", lambda: _told_as(Outcome.FILLED, Outcome.PARTIALLY_FILLED))],
    "doubt is hidden": [(executor, "decide", lambda: _told_as(Outcome.UNFILLED, Outcome.UNRESOLVED))],
    "no safe stop before the deadline": [(Deadline, "after", lambda: classmethod(_endless))],
    "more is spent than there is": [(cash_gate, "buy_budget", lambda: _rich)],
    "absent is taken for never sent": [(Executor, "_settle_absent", lambda: _given_up)],
    "a plan that was begun is begun anew": [(DynamoJournal, "load", _begun_anew)],
    "the next order does not wait for the end of the former": [(executor, "decide", _second_before_first_is_over)],
    "prices beyond the collar": [
        (strategy, "is_inside", lambda: lambda *_: True),
        (controls, "child_denial", lambda: _nothing),
        (AlpacaBroker, "quotes", _invented_quote),
    ],
    "the rate limit is not paced": [(RateLimiter, "acquire", lambda: _nothing)],
    "a secret in the log": [(Telemetry, "emit", _talkative)],
    "a lost cancel is not asked for again": [(Outbox, "take_cancel_retry", lambda: lambda *_: False)],
    "every order is sent twice": [(AlpacaBroker, "submit", _sent_twice)],
    "the kill switch is ignored": [(kill_switch, "switch_denial", lambda: _nothing)],
    "an account that may only reduce buys": [(kill_switch, "switch_denial", _side_forgotten)],
    "restricted symbols are traded": [(controls, "_restricted", lambda: _nothing)],
    "an order's size is not looked at": [(controls, "size_denial", lambda: _nothing)],
    "messages are not counted": [(controls, "message_denial", lambda: _nothing)],
    "the day's limit is forgotten": [(pretrade, "day_limit_denial", lambda: _nothing)],
    "nothing is reserved": [(pretrade, "Reservation", lambda: _nothing)],
    "proceeds are assumed": [(cash_gate, "proceeds", lambda: _assumed)],
    "the next run passes the gate again": [(manager.ExecutionManager, "_resume", _gate_passed_again)],
    "what a dead run intended counts as never sent": [(UnitOfWork, "mark_intended_unknown", lambda: _never_sent)],
    "a cancel goes to another order": [(AlpacaBroker, "cancel", _cancels_the_former)],
    "the lease is not given back": [(manager.ExecutionManager, "_release_lease", lambda: _nothing)],
    "the lease's epoch stays": [
        (dynamodb, "_ACQUIRE", lambda: dynamodb._ACQUIRE.replace(":none) + :one", ":one) + :none"))
    ],  # noqa: SLF001 - a bug
    "a plan too old is begun": [(manager, "check_fresh", lambda: _nothing)],
    "the session is not asked for": [(pretrade, "session_denial", lambda: _nothing)],
    "the close is not looked at": [(pretrade.PreTrade, "set_trading_hours", lambda: _nothing)],
    "a switch of half a minute ago is believed": [(sender, "BEFORE_SENDING", lambda: timedelta(seconds=30))],
    "only three rows are read": [(Table, "_query", _first_page)],
    "a write without an answer counts as written": [(Table, "transact", _busy_is_written)],
}
BUGS = _DONE | TOLD
"""By name; each bug replaces what is listed."""


@contextmanager
def switched_on(name: str) -> Iterator[None]:
    """The program with this bug, until the end of the block."""
    with ExitStack() as stack:
        for owner, attribute, make in BUGS[name]:
            stack.enter_context(_swapped(owner, attribute, make()))
        yield
