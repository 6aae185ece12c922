"""Deliberate bugs in the execution of plans. The simulation must catch each of them, which tests its invariants.

Bugs in results and answers are in ``bugs_reporting``, those of the account in ``bugs_account``, those of the cash of
the buys in ``bugs_cash``, those in what the broker's answers prove in ``bugs_broker``, those in slices and patience in
``bugs_working``, and those in auctions in ``bugs_auctions``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import count, islice
from typing import Any

from rebalance_executor.adapters.alpaca.broker import AlpacaBroker
from rebalance_executor.adapters.alpaca.rate_limiter import RateLimiter
from rebalance_executor.adapters.alpaca.reads import AlpacaReads, EarlyReads
from rebalance_executor.adapters.dynamodb import journal_actions
from rebalance_executor.adapters.dynamodb.journal import DynamoJournal
from rebalance_executor.adapters.dynamodb.table import Table
from rebalance_executor.domain import controls, strategy
from rebalance_executor.domain.decisions import Settle
from rebalance_executor.domain.errors import JournalUnavailable, OrderRejected, OutcomeUnknown
from rebalance_executor.domain.market import BrokerOrder, OrderRequest, Side
from rebalance_executor.domain.orders import ChildOrder, ChildState, Outcome, ParentOrder
from rebalance_executor.execution import executor, kill_switch, manager, pretrade, sender
from rebalance_executor.execution.deadline import Deadline
from rebalance_executor.execution.executor import Executor
from rebalance_executor.execution.lost_orders import LostOrders
from rebalance_executor.execution.outbox import Outbox
from rebalance_executor.execution.run import Run
from rebalance_executor.execution.unit_of_work import UnitOfWork
from rebalance_executor.idempotency import IdempotencyGate
from rebalance_executor.telemetry import Telemetry
from rebalance_simulation.api import SECRET
from rebalance_simulation.bug_tools import Replacement, nothing
from rebalance_simulation.bugs_account import ACCOUNT_BUGS
from rebalance_simulation.bugs_auctions import AUCTION_BUGS
from rebalance_simulation.bugs_broker import BROKER_BUGS
from rebalance_simulation.bugs_cash import CASH_BUGS
from rebalance_simulation.bugs_reporting import REPORTING_BUGS
from rebalance_simulation.bugs_working import WORKING_BUGS


@contextmanager
def _replaced(owner: Any, name: str, new: Any) -> Iterator[None]:
    old = vars(owner)[name] if isinstance(owner, type) else getattr(owner, name)
    setattr(owner, name, new)
    try:
        yield
    finally:
        setattr(owner, name, old)


def _new_id_each_time() -> Callable[..., OrderRequest]:
    request, numbers = ChildOrder.request, count()

    def renamed(child: ChildOrder, *args: Any) -> OrderRequest:
        return replace(request(child, *args), client_order_id=f"{child.client_order_id}-{next(numbers)}")

    return renamed


def _reported_as(change: Callable[[ChildOrder, BrokerOrder], ChildOrder | None]) -> Callable[..., ChildOrder]:
    with_report = ChildOrder.with_report

    def changed(child: ChildOrder, order: BrokerOrder, *args: Any) -> ChildOrder:
        after = with_report(child, order, *args)
        return change(after, order) or after

    return changed


def _cancel_confirmed(after: ChildOrder, _: BrokerOrder) -> ChildOrder | None:
    is_requested = after.cancel_requested_at is not None and after.state is ChildState.LIVE
    return replace(after, state=ChildState.CANCELED, status="canceled") if is_requested else None


def _canceled_fills_dropped(after: ChildOrder, _: BrokerOrder) -> ChildOrder | None:
    return replace(after, filled_qty=Decimal(0)) if after.state is ChildState.CANCELED else None


def _limit_overwritten(after: ChildOrder, order: BrokerOrder) -> ChildOrder | None:
    return replace(after, limit_price=order.filled_avg_price) if order.filled_avg_price is not None else None


def _closed_made_unknown() -> Callable[..., Run]:
    resume = manager.PlanManager._run_of  # noqa: SLF001 - a bug

    def resumed(*args: Any) -> Run:
        run = resume(*args)
        for parent in [*run.unsettled(Side.SELL), *run.unsettled(Side.BUY)]:
            if parent.last_child is not None and not parent.last_child.is_open:
                run.work.update_child(parent.symbol, replace(parent.last_child, state=ChildState.UNKNOWN))
        return run

    return resumed


def _unpriced_counts_as_zero(after: ChildOrder, order: BrokerOrder) -> ChildOrder | None:
    is_late = order.status == "filled" and after.state is ChildState.LIVE
    return replace(after, state=ChildState.FILLED, filled_qty=Decimal(0)) if is_late else None


def _unknown_rejected() -> Callable[..., BrokerOrder]:
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


def _executed_again(*_: Any, execute: Callable[[], Any], **__: Any) -> Any:
    return execute()


def _all_marked_not_sent(outbox: Outbox, work: UnitOfWork, **_: Any) -> None:
    for parent in list(work.parents.values()):
        if parent.open_child is not None:
            work.update_child(parent.symbol, replace(parent.open_child, state=ChildState.NOT_SENT))
    outbox.unsent.clear()


def _outcome_changed(reported: Outcome, real: Outcome) -> Callable[..., Any]:
    decide = strategy.decide

    def decided(*args: Any) -> Any:
        decision = decide(*args)
        if isinstance(decision, Settle) and decision.outcome is real:
            return replace(decision, outcome=reported)
        return decision

    return decided


def _without_deadline(_: Any, now: datetime, remaining: timedelta) -> Deadline:
    at = now + remaining
    return Deadline(at=at, stop_at=at + timedelta(days=1), give_up_at=at + timedelta(days=1))


def _sent_twice() -> Callable[..., BrokerOrder]:
    submit = AlpacaBroker.submit

    def sent(broker: AlpacaBroker, request: OrderRequest) -> BrokerOrder:
        submit(broker, request)
        return submit(broker, replace(request, client_order_id=f"{request.client_order_id}x"))

    return sent


def _full_quantity(parent: ParentOrder) -> Decimal:
    return parent.qty


def _absent_marked_not_sent(orders: LostOrders, symbols: list[str], _: Any) -> None:
    work = orders._run.work  # noqa: SLF001 - a bug
    for symbol in symbols:
        child = work.parents[symbol].open_child
        if child is not None:
            work.update_child(symbol, replace(child, state=ChildState.NOT_SENT))


def _started_again() -> Callable[..., Any]:
    load = DynamoJournal.load

    def childless(journal: DynamoJournal, account: str, plan_id: str) -> Any:
        plan = load(journal, account, plan_id)
        if plan is None or plan.result is not None:
            return plan
        return replace(plan, parents={s: replace(p, children=(), outcome=None) for s, p in plan.parents.items()})

    return childless


def _secret_logged() -> Callable[..., None]:
    emit = Telemetry.emit

    def emit_secret(telemetry: Telemetry, event: Any, **fields: object) -> None:
        emit(telemetry, event, **fields, headers={"APCA-API-SECRET-KEY": SECRET})

    return emit_secret


def _cancel_taken_as_done() -> Callable[..., Any]:
    decide = strategy.decide

    def decided(parent: ParentOrder, *args: Any) -> Any:
        child = parent.open_child
        if child is not None and child.state is ChildState.LIVE and child.cancel_requested_at is not None:
            done = replace(child, state=ChildState.CANCELED)
            return decide(parent.with_child(done), *args)
        return decide(parent, *args)

    return decided


def _wide_quotes() -> Callable[..., Any]:
    return _widened(AlpacaReads.quotes)


def _wide_early_quotes() -> Callable[..., Any]:
    return _widened(EarlyReads.quotes)


def _widened(quotes: Callable[..., Any]) -> Callable[..., Any]:
    def with_prices(reads: AlpacaReads, symbols: Any) -> Any:
        answer = quotes(reads, symbols)
        return {s: replace(q, bid=q.bid or q.ask / 2, ask=q.ask * Decimal("1.5")) for s, q in answer.items()}

    return with_prices


def _side_ignored() -> Callable[..., Any]:
    return lambda switch, _=None: controls.switch_denial(switch)


def _intended_marked_not_sent(work: UnitOfWork, _: datetime) -> None:
    for parent in list(work.parents.values()):
        child = parent.open_child
        if child is not None and child.state is ChildState.INTENDED:
            work.update_child(parent.symbol, replace(child, state=ChildState.NOT_SENT))


def _previous_order_canceled() -> Callable[..., None]:
    cancel, requested = AlpacaBroker.cancel, list[str]()

    def cancelled(broker: AlpacaBroker, order_id: str) -> None:
        requested.append(order_id)
        cancel(broker, requested[-2:][0])

    return cancelled


def _three_items() -> Callable[..., Any]:
    query = Table._query  # noqa: SLF001 - a bug

    def page(*args: Any) -> Iterator[Any]:
        return islice(query(*args), 3)

    return page


def _unanswered_counts_as_written() -> Callable[..., None]:
    transact = Table.transact

    def written(*args: Any) -> None:
        with suppress(JournalUnavailable):
            transact(*args)

    return written


_EXECUTION_BUGS: dict[str, list[Replacement]] = {
    "child orders are not journalled before they are sent": [(Executor, "save", lambda: nothing)],
    "every submission gets a new client order ID": [(ChildOrder, "request", _new_id_each_time)],
    "the full quantity is ordered again after a partial fill": [
        (ParentOrder, "remaining", lambda: property(_full_quantity))
    ],
    "the full quantity is ordered again without the overfill guard": [
        (ParentOrder, "remaining", lambda: property(_full_quantity)),
        (controls, "overfill", lambda: nothing),
    ],
    "a requested cancel counts as confirmed": [(ChildOrder, "with_report", lambda: _reported_as(_cancel_confirmed))],
    "fills of canceled orders are dropped": [
        (ChildOrder, "with_report", lambda: _reported_as(_canceled_fills_dropped))
    ],
    "a journalled limit price is overwritten": [(ChildOrder, "with_report", lambda: _reported_as(_limit_overwritten))],
    "closed child orders become unknown again": [(manager.PlanManager, "_run_of", _closed_made_unknown)],
    "a fill without a price counts as zero shares": [
        (ChildOrder, "with_report", lambda: _reported_as(_unpriced_counts_as_zero))
    ],
    "an unknown submission counts as rejected": [(AlpacaBroker, "submit", _unknown_rejected)],
    "a resent order has a different quantity": [(ChildOrder, "request", _resent_differently)],
    "the lease is taken without a condition": [
        (journal_actions, "LEASE_IS_FREE", lambda: f"{journal_actions.LEASE_IS_FREE} OR attribute_exists(epoch)"),
    ],
    "journal writes are not fenced": [
        (journal_actions, "LEASE_IS_FREE", lambda: f"{journal_actions.LEASE_IS_FREE} OR attribute_exists(epoch)"),
        (journal_actions, "LEASE_IS_OURS", lambda: f"{journal_actions.LEASE_IS_OURS} OR attribute_exists(epoch)"),
    ],
    "idempotency and journal are ignored": [
        (IdempotencyGate, "run_once", lambda: _executed_again),
        (DynamoJournal, "load", lambda: nothing),
    ],
    "sent orders are marked as not sent": [(Outbox, "mark_unsent_not_sent", lambda: _all_marked_not_sent)],
    "a partial fill counts as filled": [
        (executor, "decide", lambda: _outcome_changed(Outcome.FILLED, Outcome.PARTIALLY_FILLED))
    ],
    "an unresolved item counts as unfilled": [
        (executor, "decide", lambda: _outcome_changed(Outcome.UNFILLED, Outcome.UNRESOLVED))
    ],
    "runs do not stop before the deadline": [(Deadline, "after", lambda: classmethod(_without_deadline))],
    "an order that is not found counts as not sent": [(LostOrders, "handle", lambda: _absent_marked_not_sent)],
    "a started plan is started again": [(DynamoJournal, "load", _started_again)],
    "the next order does not wait for the cancel of the previous one": [(executor, "decide", _cancel_taken_as_done)],
    "limit prices exceed the collar": [
        (strategy, "is_inside", lambda: lambda *_: True),
        (controls, "child_denial", lambda: nothing),
        (AlpacaReads, "quotes", _wide_quotes),
        (EarlyReads, "quotes", _wide_early_quotes),
    ],
    "the rate limit is ignored": [(RateLimiter, "acquire", lambda: nothing)],
    "a secret is logged": [(Telemetry, "emit", _secret_logged)],
    "a lost cancel is not sent again": [(Outbox, "take_cancel_retry", lambda: lambda *_: False)],
    "every order is sent twice": [(AlpacaBroker, "submit", _sent_twice)],
    "the kill switch is ignored": [(kill_switch, "switch_denial", lambda: nothing)],
    "an account that may only reduce sends buys": [(kill_switch, "switch_denial", _side_ignored)],
    "restricted symbols are traded": [(controls, "_restricted", lambda: nothing)],
    "the order size is not checked": [(controls, "size_denial", lambda: nothing)],
    "the message limit is not checked": [(controls, "message_denial", lambda: nothing)],
    "the daily limit is not checked": [(pretrade, "day_limit_denial", lambda: nothing)],
    "daily usage is not reserved": [(pretrade, "Reservation", lambda: nothing)],
    "orders intended by a killed run count as not sent": [
        (UnitOfWork, "mark_intended_unknown", lambda: _intended_marked_not_sent)
    ],
    "a cancel is sent for the previous order": [(AlpacaBroker, "cancel", _previous_order_canceled)],
    "the lease is not released": [(manager.PlanManager, "_release_lease", lambda: nothing)],
    "the lease epoch does not increase": [
        (journal_actions, "ACQUIRE", lambda: journal_actions.ACQUIRE.replace(":none) + :one", ":one) + :none")),
    ],
    "an expired plan is started": [(manager, "check_fresh", lambda: nothing)],
    "market hours are not checked": [(pretrade, "session_denial", lambda: nothing)],
    "the market close is not checked": [(pretrade.PreTrade, "set_trading_hours", lambda: nothing)],
    "the kill switch is cached for 30 seconds": [
        (sender, "BEFORE_SENDING", lambda: timedelta(seconds=30)),
        (executor, "WHILE_RESTING", lambda: timedelta(seconds=30)),
    ],
    "only three items of a query are read": [(Table, "_query", _three_items)],
    "an unanswered write counts as written": [(Table, "transact", _unanswered_counts_as_written)],
}
BUGS = _EXECUTION_BUGS | CASH_BUGS | REPORTING_BUGS | ACCOUNT_BUGS | BROKER_BUGS | WORKING_BUGS | AUCTION_BUGS
"""By name: what each bug replaces."""


@contextmanager
def switched_on(name: str) -> Iterator[None]:
    """Enable this bug until the end of the block."""
    with ExitStack() as stack:
        for owner, attribute, make in BUGS[name]:
            stack.enter_context(_replaced(owner, attribute, make()))
        yield
