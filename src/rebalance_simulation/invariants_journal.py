"""Invariants of the journal: what may follow, what an order may still fill, and which plan is listed as unfinished."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

from paper_broker.orders import Order
from rebalance_executor.domain.journal import PlanJournal, PlanPhase, PlanState, UnfinishedPlan
from rebalance_executor.domain.market import ZERO, Side
from rebalance_executor.domain.orders import ChildOrder, Outcome, ParentOrder
from rebalance_simulation.violation import Violation


def exposure(child: ChildOrder, order: Order | None) -> Decimal:
    """Return the shares that a child has filled or may still fill: the larger of journal and broker."""
    if order is None:
        return child.exposure
    at_broker = (order.qty or ZERO) if order.is_open else order.filled_qty
    if child.is_open and order.is_open:
        return max(at_broker, child.exposure)
    return at_broker if child.is_open else max(at_broker, child.filled_qty)


def check_gate(before: PlanState, after: PlanState) -> None:
    """Check that a plan passes the cash gate once: its phase does not return, and the dollars of its buys stay."""
    has_returned = before.phase is not PlanPhase.SELLS and after.phase is PlanPhase.SELLS
    dollars = (before.buy_budget, before.buy_funds)
    if has_returned or (before.buy_funds is not None and dollars != (after.buy_budget, after.buy_funds)):
        raise Violation(f"{after.plan_id} passed the cash gate again: {before} was followed by {after}")


def check_transition(before: ParentOrder, after: ParentOrder, *, may_scale: bool, is_finished: bool) -> None:
    """Check that quantities are frozen, children are only added, and closed children and outcomes do not change.

    The only exception is a late fill before the result: more shares of a closed child, and the outcome that follows.

    Args:
        before: the parent as it was journalled before.
        after: the parent as it is journalled now.
        may_scale: True until the cash gate is passed: it may reduce buys.
        is_finished: True once the plan has its result.
    """
    may_scale = may_scale and before.outcome is None and before.side is Side.BUY
    if after.qty != before.qty and not (may_scale and after.qty < before.qty):
        raise Violation(f"{after.symbol}: the frozen quantity changed from {before.qty} to {after.qty}")
    has_late_fill = not is_finished and after.filled_qty > before.filled_qty
    changed = (Outcome.FILLED, Outcome.PARTIALLY_FILLED) if has_late_fill else ()
    if before.outcome is not None and after.outcome not in (before.outcome, Outcome.UNRESOLVED, *changed):
        raise Violation(f"{after.symbol}: the outcome changed from {before.outcome} to {after.outcome}")
    if len(after.children) < len(before.children):
        raise Violation(f"{after.symbol}: a child order disappeared")
    for old, new in zip(before.children, after.children, strict=False):
        if (old.client_order_id, old.qty, old.limit_price) != (new.client_order_id, new.qty, new.limit_price):
            raise Violation(f"{after.symbol}: child order {old.attempt} changed its ID, quantity or limit")
        if old.is_open:
            continue
        is_late = not is_finished and not new.is_open and new.filled_qty > old.filled_qty
        expected = _with_fills_of(new, old) if is_late else old
        if replace(new, error_message=old.error_message) != expected:
            raise Violation(f"{after.symbol}: closed child order {old.attempt} changed from {old} to {new}")


def _with_fills_of(new: ChildOrder, old: ChildOrder) -> ChildOrder:
    """Return the closed child as a late fill may change it: its fills and how it ended."""
    return replace(
        old,
        state=new.state,
        status=new.status,
        filled_qty=new.filled_qty,
        filled_avg_price=new.filled_avg_price,
        filled_at=new.filled_at,
        fill_seen_at=new.fill_seen_at,
        closed_at=new.closed_at,
    )


def check_listed(journal: PlanJournal, listed: UnfinishedPlan | None, *, is_attempted: bool) -> None:
    """Check that a plan is listed as unfinished from its first write until its result is published.

    Args:
        journal: the plan.
        listed: the plan that is listed for the account.
        is_attempted: its publication was attempted, so that no later run needs to publish it.

    Raises:
        Violation: it is not listed, or still listed.
    """
    plan = journal.plan
    is_listed = listed is not None and (listed.plan_id, listed.started_at) == (plan.plan_id, plan.started_at)
    is_done = journal.result is not None and is_attempted
    if (journal.published and is_listed) or not (is_done or is_listed):
        raise Violation(f"{plan.plan_id} in phase {plan.phase} is listed as unfinished: {is_listed}")
