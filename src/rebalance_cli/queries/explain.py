"""Answers about one plan and one order, made from the journal and the log. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from decimal import Decimal
from typing import Any

from rebalance_cli.enum_docs import code_meanings
from rebalance_cli.formatting import dollars, percent, price, shares
from rebalance_cli.outputs import (
    Explanation,
    LeaseAnswer,
    OrderLine,
    PlanDetails,
    PlanLine,
    PlanProgress,
    RunLine,
    Step,
    UnfinishedAnswer,
)
from rebalance_cli.queries.plans import LeaseHolder, PlanRecord, PlanRow
from rebalance_executor.domain.journal import PlanState
from rebalance_executor.domain.market import TimeInForce
from rebalance_executor.domain.orders import ChildOrder, ParentOrder
from rebalance_executor.domain.shortfall import of_parent
from rebalance_executor.domain.values import cents, format_clock, parts_in_cents, sum_of_cents
from rebalance_executor.execution.events import LogEvent, Severity

_EVENTS = {event.value: event for event in LogEvent}
_LOG_TEXTS = {
    LogEvent.ORDER_OUTCOME_UNKNOWN: "attempt {attempt}: no definite answer from the broker: {reason}",
    LogEvent.ORDER_FOUND: "attempt {attempt}: found at the broker as order {order_id}, status {status}",
    LogEvent.ORDER_RESENT: "the broker does not know order {client_order_id}; sent again with the same ID",
    LogEvent.ORDER_REJECTED: "attempt {attempt}: rejected by the broker: {reason}",
    LogEvent.ORDER_PRICED_FROM_LAST_TRADE: "no usable quote; priced from the last trade, {last_trade} at {traded_at}",
    LogEvent.FOREIGN_CANCEL_REQUESTED: "cancel requested for order {order_id}, which is not of this plan",
    LogEvent.BROKER_RATE_LIMITED: "the broker answered 429; nothing is sent before {retry_at}",
    LogEvent.ITEM_SCALED: "quantity reduced: {reason}",
    LogEvent.RECONCILIATION_MISMATCH: "broker and journal differ: {reason}",
}
"""Text of each log event that adds to what the journal stores about an order; the fields are those of its log line."""
_SHARE_DECIMALS = 6


# --- plans -----------------------------------------------------------------------------------------------


def plan_line(row: PlanRow) -> PlanLine:
    """Return one plan of a list as an answer."""
    return PlanLine(
        plan_id=row.plan.plan_id,
        status=row.status,
        phase=row.plan.phase.value,
        started_at=row.plan.started_at,
        finished_at=row.finished_at,
        runs=row.plan.runs,
    )


def unfinished_answer(plan: PlanState | None) -> UnfinishedAnswer | None:
    """Return the account's unfinished plan as an answer."""
    if plan is None:
        return None
    return UnfinishedAnswer(
        plan_id=plan.plan_id,
        started_at=plan.started_at,
        phase=plan.phase.value,
        runs=plan.runs,
        source=plan.source,
    )


def lease_answer(holder: LeaseHolder | None) -> LeaseAnswer | None:
    """Return the holder of the account's lease as an answer."""
    return LeaseAnswer(run_id=holder.run_id, epoch=holder.epoch, until=holder.until) if holder is not None else None


def plan_details(record: PlanRecord) -> PlanDetails:
    """Return the status of one plan with its runs and orders."""
    plan, result = record.plan, record.journal.result
    successes = {order.symbol: order.success for order in result.orders} if result is not None else {}
    progress = PlanProgress.RUNNING if record.is_running else PlanProgress.WAITING
    return PlanDetails(
        plan_id=plan.plan_id,
        account=plan.account,
        broker=plan.broker,
        progress=PlanProgress.FINISHED if result is not None else progress,
        status=result.status if result is not None else None,
        phase=plan.phase.value,
        content_hash=plan.content_hash,
        source=plan.source,
        started_at=plan.started_at,
        finished_at=result.execution_timestamp if result is not None else None,
        filled_dollars=sum_of_cents(parent.filled_value for parent in record.journal.parents.values()),
        runs=tuple(
            RunLine(
                run_id=run.run_id,
                epoch=run.epoch,
                started_at=run.started_at,
                ended_at=run.ended_at,
                end=run.end,
                reason=run.reason,
            )
            for run in record.runs
        ),
        orders=tuple(
            _order_line(parent, successes, is_running=record.is_running)
            for parent in in_execution_order(record.journal.parents)
        ),
    )


def in_execution_order(parents: Mapping[str, ParentOrder]) -> list[ParentOrder]:
    """Return the orders in the sequence of their execution: sells before buys, each by priority."""
    return sorted(parents.values(), key=lambda parent: (parent.side.value != "sell", parent.priority, parent.symbol))


def _order_line(parent: ParentOrder, successes: Mapping[str, bool], *, is_running: bool) -> OrderLine:
    is_worked = parent.open_child is not None or (is_running and bool(parent.children))
    stage = "working" if is_worked else "waiting"
    return OrderLine(
        symbol=parent.symbol,
        side=parent.side.value,
        stage=parent.outcome.value.lower() if parent.outcome is not None else stage,
        qty=parent.qty,
        requested_qty=parent.requested,
        as_planned=successes.get(parent.symbol),
        filled_qty=parent.filled_qty,
        attempts=parent.attempts,
        limit_price=parent.open_child.limit_price if parent.open_child is not None else None,
        code=parent.code,
        message=parent.message,
    )


# --- one order -------------------------------------------------------------------------------------------


def explain_order(record: PlanRecord, parent: ParentOrder, log_records: Iterable[Mapping[str, Any]]) -> Explanation:
    """Return the history of one order, in the sequence of events.

    Args:
        record: the plan.
        parent: the order.
        log_records: decoded log lines; those of other plans and other orders are ignored.
    """
    plan = record.plan
    result = record.journal.result
    steps = [
        *_run_steps(record),
        *_parent_steps(record, parent),
        *_log_steps(plan.plan_id, parent.symbol, log_records),
    ]
    return Explanation(
        plan_id=plan.plan_id,
        account=plan.account,
        broker=plan.broker,
        symbol=parent.symbol,
        source=plan.source,
        verdict=_verdict(parent),
        meaning=code_meanings().get(parent.code) if parent.code is not None else None,
        steps=tuple(sorted(steps, key=lambda step: step.at)),
        order=next((o for o in result.orders if o.symbol == parent.symbol), None) if result is not None else None,
    )


def _verdict(parent: ParentOrder) -> str:
    facts = [f"{_fills(parent)} filled"] if parent.requested else []
    if parent.outcome is None:
        return "; ".join(["no outcome yet", *facts])
    facts += [parent.message] if parent.message else []
    return ": ".join(filter(None, (_outcome(parent), "; ".join(facts))))


def _outcome(parent: ParentOrder) -> str:
    if parent.outcome is None or parent.code in (None, parent.outcome.value):
        return str(parent.outcome)
    return f"{parent.outcome} ({parent.code})"


def _step(at: datetime, event: str, text: str) -> Step:
    return Step(at=at, source="journal", event=event, text=text)


def _run_steps(record: PlanRecord) -> Iterator[Step]:
    for number, run in enumerate(record.runs, 1):
        resumed = "" if number == 1 else f"; run {number - 1} had left the plan unfinished"
        yield _step(run.started_at, LogEvent.RUN_STARTED, f"run {number} started (epoch {run.epoch}){resumed}")
        if run.ended_at is not None and run.end is not None:
            reason = f": {run.reason}" if run.reason else ""
            yield _step(run.ended_at, LogEvent.RUN_ENDED, f"run {number} {run.end.value.lower()}{reason}")


def _parent_steps(record: PlanRecord, parent: ParentOrder) -> Iterator[Step]:
    facts = [f"plan: {parent.side.value} ${dollars(abs(parent.planned_amount))}"]
    if parent.target_amount is not None:
        facts.append(f"to the target: ${dollars(abs(parent.target_amount))}")
    if parent.arrival is not None:
        quote = parent.arrival
        facts.append(f"arrival quote {price(quote.bid)} / {price(quote.ask)}, mid {price(quote.mid)}")
    if parent.qty:
        of = f" of {_shares(parent.requested)} requested" if _shares(parent.requested) != _shares(parent.qty) else ""
        facts.append(f"quantity frozen at {_shares(parent.qty)} shares{of}")
    yield _step(record.plan.started_at, LogEvent.PLAN_STARTED, "; ".join(facts))
    for child in parent.children:
        yield from _child_steps(parent, child)
    if parent.outcome is not None and parent.settled_at is not None:
        reason = f": {parent.message}" if parent.message else ""
        event = f"item.{parent.outcome.value.lower()}"
        yield _step(parent.settled_at, event, f"outcome {_outcome(parent)}{reason}{_cost(parent)}")


def _cost(parent: ParentOrder) -> str:
    shortfall = of_parent(parent)
    if shortfall is None or not parent.filled_qty:
        return ""
    word = "better" if shortfall.total < 0 else "worse"
    total, parts = cents(shortfall.total), parts_in_cents(shortfall.parts)
    shown = ", ".join(f"{name} {dollars(amount)}" for name, amount in parts.items() if amount or name == "spread")
    return f"; ${dollars(abs(total))} {word} than arrival mid ({shown})"


def _child_steps(parent: ParentOrder, child: ChildOrder) -> Iterator[Step]:
    name = f"attempt {child.attempt}"
    order = f"limit {price(child.limit_price)}" if child.limit_price is not None else "market order"
    text = f"{name}: {order} for {_shares(child.qty)} shares{_pricing(child)}"
    yield _step(child.intended_at, LogEvent.ORDER_INTENDED, text)
    if child.submitted_at is not None:
        text = f"{name}: accepted by the broker as order {child.order_id}"
        yield _step(child.submitted_at, LogEvent.ORDER_SUBMITTED, text)
    if child.cancel_requested_at is not None:
        text = f"{name}: cancel requested{_after_cancel(parent, child)}"
        yield _step(child.cancel_requested_at, LogEvent.ORDER_CANCEL_REQUESTED, text)
    if child.closed_at is not None:
        yield _closed_step(child, name)


def _closed_step(child: ChildOrder, name: str) -> Step:
    status = child.status or child.state.value.lower()
    fills = f"{_shares(child.filled_qty)} of {_shares(child.qty)} shares filled"
    if status == "filled" and child.filled_qty == child.qty:
        fills = f"{_shares(child.filled_qty)} shares"
    at = f" at {price(child.filled_avg_price)}" if child.filled_avg_price is not None else ""
    reason = f": {child.error_message}" if child.error_message else ""
    return _step(child.closed_at or child.latest_send, f"order.{status}", f"{name}: {status}, {fills}{at}{reason}")


def _pricing(child: ChildOrder) -> str:
    text = ""
    if child.bid is not None and child.ask is not None:
        text = f"; quote {price(child.bid)} / {price(child.ask)}"
    if child.is_for_auction:
        text += f", for the {'opening' if child.time_in_force is TimeInForce.OPG else 'closing'} auction"
    if child.spread_fraction is not None:
        places = {Decimal(0): "at the near touch", Decimal(1): "at the far touch"}
        text += f", priced {places.get(child.spread_fraction, f'{percent(child.spread_fraction)} into the spread')}"
    return text


def _after_cancel(parent: ParentOrder, child: ChildOrder) -> str:
    if parent.children[-1].attempt > child.attempt:
        return f"; attempt {child.attempt + 1} follows at a new price"
    return "; no further attempt" if parent.outcome is not None else ""


def _fills(parent: ParentOrder) -> str:
    return f"{_shares(parent.filled_qty)} of {_shares(parent.requested)} shares"


def _shares(quantity: Decimal) -> str:
    return shares(quantity, _SHARE_DECIMALS)


# --- log lines -------------------------------------------------------------------------------------------


def _log_steps(plan_id: str, symbol: str, records: Iterable[Mapping[str, Any]]) -> Iterator[Step]:
    for record in records:
        event = _EVENTS.get(str(record.get("message")))
        if event is None or record.get("plan_id") != plan_id:
            continue
        is_of_order = record.get("symbol") == symbol and event in _LOG_TEXTS
        is_of_plan = "symbol" not in record and event.severity is not Severity.INFO
        if is_of_order or is_of_plan:
            at = datetime.fromisoformat(str(record["timestamp"]))
            yield Step(at=at, source="log", event=event.value, text=_log_text(event, record))


def _log_text(event: LogEvent, record: Mapping[str, Any]) -> str:
    if event in _LOG_TEXTS:
        return _LOG_TEXTS[event].format_map(_Fields(record))
    reasons = [str(record[name]) for name in ("code", "reason") if record.get(name)]
    return ": ".join([event.value, *reasons])


class _Fields(dict[str, Any]):
    """Fields of a log line as text: times to the second, and "unknown" for a missing field."""

    def __missing__(self, name: str) -> str:
        return "unknown"

    def __getitem__(self, name: str) -> str:
        text = str(super().__getitem__(name))
        return format_clock(datetime.fromisoformat(text)) if name.endswith("_at") and text != "unknown" else text
