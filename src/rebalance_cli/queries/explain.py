"""Where a plan stands, and the whole story of one of its orders, from what the journal and the log hold. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from rebalance_cli.enum_docs import code_meanings
from rebalance_cli.outputs import (
    Explanation,
    LeaseAnswer,
    OrderLine,
    PlanDetails,
    PlanLine,
    PlanProgress,
    RunLine,
    Step,
)
from rebalance_cli.queries.plans import LeaseHolder, PlanRecord, PlanRow
from rebalance_cli.views.result import dollars, price
from rebalance_executor.domain.market import ZERO
from rebalance_executor.domain.orders import ChildOrder, ParentOrder
from rebalance_executor.domain.shortfall import of_parent
from rebalance_executor.domain.values import format_decimal
from rebalance_executor.execution.events import LogEvent, Severity

_CATALOGUE = {event.value: event for event in LogEvent}
_OF_ORDER = frozenset(
    {
        LogEvent.ORDER_OUTCOME_UNKNOWN,
        LogEvent.ORDER_FOUND,
        LogEvent.ORDER_RESENT,
        LogEvent.ORDER_REJECTED,
        LogEvent.ITEM_SCALED,
        LogEvent.RECONCILIATION_MISMATCH,
    }
)
"""What the log tells of an order beyond the journal."""
_PRICES = ("waits at our own side", "far touch: takes what the other side offers")


def plan_line(line: PlanRow) -> PlanLine:
    """One plan of a list."""
    return PlanLine(
        plan_id=line.plan.plan_id,
        status=line.status,
        phase=line.plan.phase.value,
        started_at=line.plan.started_at,
        finished_at=line.finished_at,
        runs=line.plan.runs,
    )


def lease_answer(holder: LeaseHolder | None) -> LeaseAnswer | None:
    """Who works on the account."""
    return LeaseAnswer(run_id=holder.run_id, epoch=holder.epoch, until=holder.until) if holder is not None else None


def plan_details(entry: PlanRecord) -> PlanDetails:
    """Where the plan stands."""
    plan, result = entry.plan, entry.journal.result
    progress = PlanProgress.RUNNING if entry.is_running else PlanProgress.WAITING
    return PlanDetails(
        plan_id=plan.plan_id,
        account=plan.account,
        progress=PlanProgress.FINISHED if result is not None else progress,
        status=result.status if result is not None else None,
        phase=plan.phase.value,
        content_hash=plan.content_hash,
        started_at=plan.started_at,
        finished_at=result.execution_timestamp if result is not None else None,
        filled_dollars=sum((parent.filled_value for parent in entry.journal.parents.values()), ZERO),
        runs=tuple(
            RunLine(
                run_id=run.run_id,
                epoch=run.epoch,
                started_at=run.started_at,
                ended_at=run.ended_at,
                end=run.end,
                reason=run.reason,
            )
            for run in entry.runs
        ),
        orders=tuple(_order_line(parent) for parent in in_working_order(entry.journal.parents)),
    )


def in_working_order(parents: Mapping[str, ParentOrder]) -> list[ParentOrder]:
    """Sells before buys, by priority: the order in which they are worked."""
    return sorted(parents.values(), key=lambda parent: (parent.side.value != "sell", parent.priority, parent.symbol))


def _order_line(parent: ParentOrder) -> OrderLine:
    stage = "working" if parent.children else "waiting"
    return OrderLine(
        symbol=parent.symbol,
        side=parent.side.value,
        stage=parent.outcome.value.lower() if parent.outcome is not None else stage,
        qty=parent.qty,
        filled_qty=parent.filled_qty,
        attempts=parent.attempts,
        limit_price=parent.open_child.limit_price if parent.open_child is not None else None,
        code=parent.code,
        message=parent.message,
    )


# --- the story of one order ------------------------------------------------------------------------------


def explain_order(entry: PlanRecord, parent: ParentOrder, records: Iterable[Mapping[str, Any]]) -> Explanation:
    """What happened to one order, in the order in which it happened.

    Args:
        entry: its plan.
        parent: the order.
        records: log lines of any plans; those of this one are picked.
    """
    plan = entry.plan
    result = entry.journal.result
    steps = [*_of_plan(entry), *_of_parent(entry, parent), *_of_log(plan.plan_id, parent.symbol, records)]
    return Explanation(
        plan_id=plan.plan_id,
        account=plan.account,
        symbol=parent.symbol,
        verdict=_verdict(parent),
        meaning=code_meanings().get(parent.code) if parent.code is not None else None,
        steps=tuple(sorted(steps, key=lambda step: step.at)),
        order=next((o for o in result.orders if o.symbol == parent.symbol), None) if result is not None else None,
    )


def _verdict(parent: ParentOrder) -> str:
    done = f"{format_decimal(parent.filled_qty)} of {format_decimal(parent.qty)} shares filled"
    if parent.outcome is None:
        return f"not settled yet; {done}"
    code = f" ({parent.code})" if parent.code not in (None, parent.outcome.value) else ""
    return f"{parent.outcome.value}{code}; {done}"


def _step(at: datetime, event: str, text: str) -> Step:
    return Step(at=at, source="journal", event=event, text=text)


def _of_plan(entry: PlanRecord) -> Iterator[Step]:
    for number, run in enumerate(entry.runs, 1):
        again = "" if number == 1 else ": an earlier one left the plan unfinished"
        yield _step(run.started_at, "run.started", f"run {number} begins (epoch {run.epoch}){again}")
        if run.ended_at is not None and run.end is not None:
            why = f": {run.reason}" if run.reason else ""
            yield _step(run.ended_at, "run.ended", f"run {number} ends {run.end.value.lower()}{why}")


def _of_parent(entry: PlanRecord, parent: ParentOrder) -> Iterator[Step]:
    planned = f"the plan asks to {parent.side.value} ${dollars(abs(parent.planned_amount))}"
    arrival = "; no usable quote at arrival"
    if parent.arrival is not None:
        a = parent.arrival
        arrival = f"; quote at arrival {price(a.bid)} / {price(a.ask)}, mid {price(a.mid)}"
    frozen = f"; frozen at {format_decimal(parent.qty)} shares" if parent.qty else ""
    yield _step(entry.plan.started_at, "plan.started", planned + arrival + frozen)
    for child in parent.children:
        yield from _of_child(child, is_last=child is parent.children[-1])
    if parent.outcome is not None and parent.settled_at is not None:
        code = f" {parent.code}" if parent.code not in (None, parent.outcome.value) else ""
        why = f"{code}: {parent.message}" if parent.code is not None else ""
        yield _step(parent.settled_at, "order.settled", f"{parent.outcome.value}{why}{_cost(parent)}")


def _cost(parent: ParentOrder) -> str:
    lost = of_parent(parent)
    if lost is None or not parent.filled_qty:
        return ""
    word = "better" if lost.total < 0 else "worse"
    return (
        f"; ${dollars(abs(lost.total))} {word} than arrival mid "
        f"(delay {dollars(lost.delay)}, spread {dollars(lost.spread)}, residual {dollars(lost.residual)})"
    )


def _of_child(child: ChildOrder, *, is_last: bool) -> Iterator[Step]:
    priced = f"limit {price(child.limit_price)}" if child.limit_price is not None else "market"
    quote = ""
    if child.bid is not None and child.ask is not None:
        quote = f"; quote {price(child.bid)} / {price(child.ask)}"
    rung = ""
    if child.spread_fraction is not None:
        rung = f"; rung {format_decimal(child.spread_fraction)} of the spread" + {
            0: f" ({_PRICES[0]})",
            1: f" ({_PRICES[1]})",
        }.get(int(child.spread_fraction) if child.spread_fraction == int(child.spread_fraction) else -1, "")
    text = f"attempt {child.attempt}: {priced} for {format_decimal(child.qty)} shares{quote}{rung}"
    yield _step(child.intended_at, "order.intended", text)
    if child.submitted_at is not None:
        yield _step(
            child.submitted_at, "order.submitted", f"attempt {child.attempt} is at the broker: order {child.order_id}"
        )
    if child.cancel_requested_at is not None:
        why = "no other follows" if is_last else "the next one is priced anew"
        text = f"attempt {child.attempt}: its cancel is asked for; {why}"
        yield _step(child.cancel_requested_at, "order.cancel_requested", text)
    if child.closed_at is not None:
        filled = f"{format_decimal(child.filled_qty)} of {format_decimal(child.qty)} shares filled"
        at = f" at {price(child.filled_avg_price)}" if child.filled_avg_price is not None else ""
        why = f": {child.error_message}" if child.error_message else ""
        text = f"attempt {child.attempt} is {child.status or child.state.value.lower()}: {filled}{at}{why}"
        yield _step(child.closed_at, f"order.{child.status or child.state.value.lower()}", text)


def _of_log(plan_id: str, symbol: str, records: Iterable[Mapping[str, Any]]) -> Iterator[Step]:
    for record in records:
        event = _CATALOGUE.get(str(record.get("message")))
        if event is None or record.get("plan_id") != plan_id:
            continue
        of_order = record.get("symbol") == symbol and event in _OF_ORDER
        of_plan = "symbol" not in record and event.severity is not Severity.INFO
        if of_order or of_plan:
            at = datetime.fromisoformat(str(record["timestamp"]))
            reason = record.get("reason")
            yield Step(at=at, source="log", event=event.value, text=event.meaning + (f" {reason}" if reason else ""))
