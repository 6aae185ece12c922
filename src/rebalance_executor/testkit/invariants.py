"""What must hold whatever happens, checked while it happens."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rebalance_executor.domain.book import SwitchState
from rebalance_executor.domain.journal import Phase, PlanState
from rebalance_executor.domain.market import ZERO, OrderRequest, Side
from rebalance_executor.domain.orders import Outcome, ParentOrder
from rebalance_executor.domain.result import ExecutionResult

if TYPE_CHECKING:
    from rebalance_executor.testkit.world import World

LIVE = frozenset({"new", "accepted", "pending_new", "partially_filled", "pending_cancel", "held", "done_for_day"})
_PREFIX = "rb1-"
_SWITCH_AGE = timedelta(seconds=1.5)
"""A switch may be a second old when an order is sent, and the call itself takes time."""


class Violation(AssertionError):
    """A promise was broken."""


class Watch:
    """Looks at the world from outside, with what the journal was told and what reached the exchange."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._intents: dict[str, tuple[PlanState, ParentOrder]] = {}
        self._parents: dict[tuple[str, str, str], ParentOrder] = {}
        self._sent: dict[str, OrderRequest] = {}
        self.results: dict[tuple[str, str], str] = {}
        self.others_trade = False
        """Whether somebody else moves cash or shares, so that sums of cash prove nothing."""

    # --- what the journal is told ------------------------------------------------------------------------

    def journalled(self, state: PlanState, parents: Sequence[ParentOrder]) -> None:
        """Intents are known from here on; what is frozen, appended or settled stays.

        Batches of a plan whose own row was never written do not count: the plan does not exist yet.
        """
        journal = self._world.journal.peek(state.account, state.plan_id)
        if journal is None:
            return
        del parents
        for parent in journal.parents.values():
            key = (state.account, state.plan_id, parent.symbol)
            before = self._parents.get(key)
            if before is not None:
                self._check_history(before, parent)
            self._parents[key] = parent
            for child in parent.children:
                self._intents[child.client_order_id] = (state, parent)

    def _check_history(self, before: ParentOrder, after: ParentOrder) -> None:
        scaled = not before.children and before.outcome is None
        if after.qty != before.qty and not scaled:
            raise Violation(f"{after.symbol}: the frozen quantity changed from {before.qty} to {after.qty}")
        if before.outcome is not None and after.outcome not in (before.outcome, Outcome.UNRESOLVED):
            raise Violation(f"{after.symbol}: the outcome changed from {before.outcome} to {after.outcome}")
        if len(after.children) < len(before.children):
            raise Violation(f"{after.symbol}: a child order disappeared")
        for old, new in zip(before.children, after.children, strict=False):
            if not old.is_open and replace(new, error_message=old.error_message) != old:
                raise Violation(f"{after.symbol}: child {old.attempt} was settled and changed: {old} to {new}")
            if (old.client_order_id, old.qty, old.limit_price) != (new.client_order_id, new.qty, new.limit_price):
                raise Violation(f"{after.symbol}: child {old.attempt} is another order now")

    # --- what is sent ------------------------------------------------------------------------------------

    def submitted(self, request: OrderRequest) -> None:
        """A submission leaves the program: journalled, by the holder of the lease, after the gate, not when halted."""
        known = self._intents.get(request.client_order_id)
        if known is None:
            raise Violation(f"{request.client_order_id} is sent and no intent of it is in the journal")
        state, parent = known
        former = self._sent.setdefault(request.client_order_id, request)
        if former != request:
            raise Violation(f"{request.client_order_id} is sent again with other content: {former} then {request}")
        running = self._world.stack[-1]
        holder = self._world.journal.holder(state.account)
        if holder is None or holder.run_id != running.run_id:
            raise Violation(f"{request.client_order_id} is sent by {running.run_id}, which does not hold the lease")
        journal = self._world.journal.peek(state.account, state.plan_id)
        if request.side is Side.BUY and (journal is None or journal.plan.phase is not Phase.BUYS):
            raise Violation(f"{request.client_order_id} buys before the gate")
        settings = self._world.journal.book.settings.get(state.account)
        last = settings[-1] if settings else None
        if last is None or last.at is None or last.state is not SwitchState.HALTED:
            return
        if self._world.clock.now() - last.at > _SWITCH_AGE:
            raise Violation(f"{request.client_order_id} is sent though {parent.symbol}'s account is halted")

    def look(self) -> None:
        """At the exchange: no parent beyond its quantity, at most one live order each."""
        live: dict[tuple[str, str, str], int] = defaultdict(int)
        exposed: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
        for order in self.orders():
            known = self._intents.get(order["client_order_id"])
            if known is None:
                raise Violation(f"{order['client_order_id']} is at the broker and not in the journal")
            key = (known[0].account, known[0].plan_id, known[1].symbol)
            is_live = order["status"] in LIVE
            live[key] += is_live
            exposed[key] += Decimal(order["qty"] if is_live else order["filled_qty"])
        for key, qty in exposed.items():
            if qty > self._parents[key].qty:
                raise Violation(f"{key}: {qty} shares filled or live, the parent order is for {self._parents[key].qty}")
            if live[key] > 1:
                raise Violation(f"{key}: {live[key]} live orders at once")

    def orders(self) -> list[dict[str, Any]]:
        """This program's orders at the exchange."""
        told = self._world.exchange.list_orders(status="all", limit=500, direction="asc")
        return [order for order in told if order["client_order_id"].startswith(_PREFIX)]

    # --- what is answered --------------------------------------------------------------------------------

    def answered(self, result: ExecutionResult) -> None:
        """The same answer for ever, and the broker's truth."""
        key, told = (result.account, result.plan_id), result.model_dump_json()
        if self.results.setdefault(key, told) != told:
            raise Violation(f"the stored answer of {key} changed")
        self._check_truth(result)

    def _check_truth(self, result: ExecutionResult) -> None:
        filled: dict[str, Decimal] = defaultdict(Decimal)
        live: dict[str, int] = defaultdict(int)
        spent, brought = ZERO, ZERO
        for order in self.orders():
            state, parent = self._intents[order["client_order_id"]]
            if (state.account, state.plan_id) != (result.account, result.plan_id):
                continue
            qty = Decimal(order["filled_qty"])
            filled[parent.symbol] += qty
            live[parent.symbol] += order["status"] in LIVE
            value = qty * Decimal(order["filled_avg_price"] or 0)
            spent, brought = (spent + value, brought) if parent.side is Side.BUY else (spent, brought + value)
        for told in result.orders:
            if told.outcome is Outcome.UNRESOLVED:
                continue
            if told.shares != filled[told.symbol]:
                raise Violation(f"{told.symbol}: {told.shares} are told, {filled[told.symbol]} were filled")
            if live[told.symbol]:
                raise Violation(f"{told.symbol} is settled as {told.outcome} and an order of it is still live")
        self._check_cash(result, spent, brought)

    def _check_cash(self, result: ExecutionResult, spent: Decimal, brought: Decimal) -> None:
        journal = self._world.journal.peek(result.account, result.plan_id)
        if journal is None or self.others_trade:
            return
        if spent > max(journal.plan.starting_funds, ZERO) + brought:
            raise Violation(f"buys of {spent} with {journal.plan.starting_funds} and proceeds of {brought}")
