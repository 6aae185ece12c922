"""Invariants of every history. They are checked after each external call of the program, not only at the end.

``docs/evidence/reliability.md`` lists the guarantees that they check.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from paper_broker.orders import Order
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.journal import PlanPhase, PlanState
from rebalance_executor.domain.market import ZERO
from rebalance_executor.domain.orders import Outcome, ParentOrder
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.domain.risk_state import RiskState
from rebalance_simulation.api import SECRET
from rebalance_simulation.calls import Submission
from rebalance_simulation.faults import CANCEL, OF_THE_PROCESS
from rebalance_simulation.invariants_account import PREFIX, AccountInvariants, PlanKey
from rebalance_simulation.invariants_auctions import AuctionInvariants
from rebalance_simulation.invariants_close import check_market_data
from rebalance_simulation.invariants_evidence import EvidenceInvariants
from rebalance_simulation.invariants_journal import check_gate, check_listed, check_transition, exposure
from rebalance_simulation.invariants_leases import LeaseInvariants
from rebalance_simulation.invariants_requests import RequestInvariants
from rebalance_simulation.invariants_targets import TargetInvariants
from rebalance_simulation.invariants_working import WorkingInvariants, check_explained
from rebalance_simulation.invocation import Invocation
from rebalance_simulation.violation import Violation
from rebalance_simulation.world_view import WorldView

_MINUTE = timedelta(minutes=1)
_USUAL_RATE = 200
"""A rate limit that leaves requests for cancels."""
_CANCELS = 2
"""Cancels without effect after which an order may keep working."""
_MARKET_ORDER_TOLERANCE, _ROUNDED_PRICE = Decimal("1.06"), Decimal("0.0001")
"""Factor by which market orders may exceed the buy funds, and dollars by which a rounded average price may."""
_LIMIT_TOLERANCE = Decimal("1.3")
"""Factor by which fills may exceed a dollar limit: limits are counted at arrival mid, and markets move."""


class InvariantChecker:
    """Checks of a world's journal, exchange and answers.

    Args:
        world: the world to check. Every check raises ``Violation`` if an invariant is broken.
    """

    def __init__(self, world: WorldView) -> None:
        self._world = world
        self._plans: dict[PlanKey, PlanState] = {}
        self._parents: dict[PlanKey, dict[str, ParentOrder]] = {}
        self._intents: dict[str, tuple[PlanKey, str]] = {}
        """Client order ID → plan and symbol."""
        self._arrived: set[str] = set()
        """Client order IDs of this program that reached the exchange."""
        self._changes = -1
        self._publishers: dict[PlanKey, Invocation] = {}
        """The invocation that published each result last."""
        self._attempted: set[PlanKey] = set()
        """Plans whose result was sent to its channel, with or without an answer."""
        self.results: dict[PlanKey, ExecutionResult] = {}
        """The stored results."""
        self.made_at: dict[str, datetime] = {}
        """Time at which a plan was made, by plan ID; by default at the start of the history."""
        self.requests = RequestInvariants(world)
        self._account = AccountInvariants(world, lambda order_id: self._intents.get(order_id, (None, ""))[0])
        self._evidence = EvidenceInvariants(world)
        self._targets = TargetInvariants(world.config)
        self._working = WorkingInvariants(world)
        self._auctions = AuctionInvariants(world)
        self._leases = LeaseInvariants()

    # --- journal: intents do not change, settled orders stay settled ---------------------------------------

    def check_journal(self, pk: str) -> None:
        """Check a plan's partition after a write. Batches are ignored until the plan's own item exists."""
        journal = self._world.ledger.plan(pk)
        if journal is None:
            return
        key = (journal.plan.account, journal.plan.plan_id)
        document = None
        if key not in self._plans:
            self._check_age(journal.plan)
            document = self._world.ledger.document(pk)
            self._working.note_plan(key, document)
        last = self._plans.get(key, journal.plan)
        check_gate(last, journal.plan)
        # One write can pass the gate and scale the buys, and it can be stored in parts.
        may_scale = PlanPhase.SELLS in (last.phase, journal.plan.phase)
        self._plans[key] = journal.plan
        parents = self._parents.setdefault(key, {})
        for symbol, parent in journal.parents.items():
            before = parents.get(symbol)
            if before is parent:
                continue
            if document is not None:
                self._targets.check(journal.plan, document, parent)
            if before is not None:
                check_transition(before, parent, may_scale=may_scale, is_finished=key in self.results)
                self._working.check_end(journal.plan, before, parent, self._orders_of(key, symbol))
                if before.outcome is None and parent.outcome is not None:
                    self._auctions.check_end(parent, self._orders_of(key, symbol))
            parents[symbol] = parent
            for child in parent.children:
                self._intents.setdefault(child.client_order_id, (key, symbol))
            self._check_parent(parent)
            self._evidence.check_denial(parent)
            check_market_data(self._world, parent)
        self._check_money(key)
        self._check_result(key, journal.result)
        listed = self._world.ledger.unfinished(journal.plan.account)
        check_listed(journal, listed, is_attempted=key in self._attempted)

    def check_account(self, account: str) -> None:
        """Check kill switch and lease after a write: each lease has a higher epoch than all before it."""
        self._evidence.check_kill_switch(self._world.ledger.kill_switch(account), self.orders())
        self._check_unpublished(account)
        lease = self._world.ledger.lease(account)
        if lease is not None:
            self._leases.check(account, lease)

    def _check_age(self, state: PlanState) -> None:
        """Check the plan's age at its start."""
        limit = timedelta(minutes=float(self._world.config.max_plan_age_minutes)) + _MINUTE
        age = state.started_at - self.made_at.get(state.plan_id, self._world.start)
        if age > limit:
            raise Violation(f"{state.plan_id} started {age} after it was made")

    def _check_parent(self, parent: ParentOrder) -> None:
        """Check that filled + live + unknown ≤ quantity, that one child is open, that settled items have none."""
        orders = {order.client_order_id: order for order in self.orders()}
        if sum(child.is_open for child in parent.children) > 1:
            raise Violation(f"{parent.symbol} has more than one open child order in the journal")
        self._evidence.check_rejects(parent, orders)
        exposed = sum((exposure(child, orders.get(child.client_order_id)) for child in parent.children), ZERO)
        if exposed > parent.qty:
            raise Violation(f"{parent.symbol}: {exposed} shares filled, live or unknown exceed {parent.qty} ordered")
        if parent.code == Code.CANCEL_UNCONFIRMED and parent.open_child is not None:
            order = orders.get(parent.open_child.client_order_id)
            if order is not None and self._lacks_cancels(order):
                count = self._world.broker.record.cancels.get(order.id, 0)
                raise Violation(
                    f"{parent.symbol} waited for a cancel: the order is {order.status} after {count} of them"
                )
        if parent.outcome in (None, Outcome.UNRESOLVED):
            return
        if any(child.is_open for child in parent.children):
            raise Violation(f"{parent.symbol} is {parent.outcome} with an open child order")
        if parent.outcome is Outcome.FILLED and parent.filled_qty != parent.qty:
            raise Violation(f"{parent.symbol} is FILLED with {parent.filled_qty} of {parent.qty} shares")

    def _check_money(self, key: PlanKey) -> None:
        """Check that buys, filled or live, ≤ buy funds ≤ cash + real proceeds, and that the gate keeps the buffer.

        Before the gate they are within the permitted part of the cash and the proceeds so far.
        """
        state, config = self._plans[key], self._world.config
        proceeds, spent = ZERO, ZERO
        for order in self.orders():
            plan, _ = self._intents.get(order.client_order_id, (None, ""))
            if plan != key:
                continue
            if order.side == "sell":
                proceeds += order.filled_value
            else:
                spent += order.filled_value + (order.held_cash if order.is_open and order.limit_price else ZERO)
        available = max(ZERO, state.starting_funds + proceeds)
        if state.buy_budget is None or state.buy_funds is None:
            idle = state.starting_funds * (config.early_cash_fraction if state.starting_funds > 0 else 1)
            funds = max(ZERO, (idle + proceeds) * (1 - config.cash_buffer))
        else:
            funds = state.buy_funds
            if funds > available:
                raise Violation(f"{key}: the buy funds {funds} exceed cash + proceeds, {available}")
            if state.buy_budget > funds * (1 - config.cash_buffer):
                raise Violation(f"{key}: the buy budget {state.buy_budget} leaves no buffer of {funds}")
        own = (order for order in self.orders() if self._intents.get(order.client_order_id, (None, ""))[0] == key)
        is_bounded = all(order.type == "limit" for order in own)
        if spent > funds * (1 if is_bounded else _MARKET_ORDER_TOLERANCE) + _ROUNDED_PRICE:
            raise Violation(f"{key}: buys of {spent} exceed the buy funds {funds}")

    # --- requests: within the rate limit, submissions only with permission --------------------------------

    def check_request(self, name: str, order: Submission | None) -> None:
        """Check a request to the broker before it is sent; ``order`` is its body if it submits an order."""
        self.requests.check_rate_limit(name)
        if name == CANCEL:
            own = (order for order in self.orders() if self._intents[order.client_order_id][0] not in self.results)
            self._auctions.check_cancels(own)
        if order is None:
            return
        key, symbol = self._intents.get(order["client_order_id"], (None, ""))
        if key is None:
            raise Violation(f"{order['client_order_id']} is sent without an intent in the journal")
        self.requests.check_permission(key, order)
        self._account.check_commitment(order)
        parent = self._parents[key][symbol]
        child = next(child for child in parent.children if child.client_order_id == order["client_order_id"])
        self._evidence.check_submission((self._world.current.run_id, key), parent, child)
        self._working.check_submission(self._plans[key], parent, child, order, self._orders_of(key, symbol))
        self._auctions.check_submission(parent, order, self._orders_of(key, symbol))

    # --- exchange ----------------------------------------------------------------------------------------

    def orders(self) -> Iterable[Order]:
        """Return this program's orders at the exchange."""
        orders = self._world.exchange._orders  # noqa: SLF001 - read only
        return [order for order in orders.by_id.values() if order.client_order_id.startswith(PREFIX)]

    def check_exchange(self) -> None:
        """Check the orders at the exchange if anything changed there."""
        self._world.exchange.advance()
        if self._world.exchange.changes == self._changes:
            return
        self._changes = self._world.exchange.changes
        live: set[tuple[PlanKey, str]] = set()
        for order in self.orders():
            if order.client_order_id not in self._arrived:
                self._arrived.add(order.client_order_id)
                self._check_arrival(order)
            key, symbol = self._intents[order.client_order_id]  # checked on arrival
            if order.is_open:
                if (key, symbol) in live:
                    raise Violation(f"{symbol} has two live orders at once")
                live.add((key, symbol))
        for key, symbol in live:
            self._check_parent(self._parents[key][symbol])
        for key in {key for key, _ in live}:
            self._check_money(key)
        self._account.check_balances()

    def _check_arrival(self, order: Order) -> None:
        """Check that a new order at the broker equals its earlier intent."""
        intent = self._intents.get(order.client_order_id)
        if intent is None:
            raise Violation(f"{order.client_order_id} reached the broker without an intent in the journal")
        key, symbol = intent
        self._account.check_arrival(key[0])
        parent = self._parents[key][symbol]
        child = next(child for child in parent.children if child.client_order_id == order.client_order_id)
        sent = (order.symbol, order.side, order.qty, order.limit_price, order.type, order.time_in_force)
        if sent != (symbol, parent.side, child.qty, child.limit_price, child.type, child.time_in_force):
            raise Violation(f"{order.client_order_id} reached the broker as {sent}, the journal has {child}")
        self._working.check_limits(order, parent, child)
        if parent.outcome is not None and parent.outcome is not Outcome.UNRESOLVED:
            raise Violation(f"{order.client_order_id} reached the broker after its item ended as {parent.outcome}")

    # --- results -----------------------------------------------------------------------------------------

    def _check_result(self, key: PlanKey, result: ExecutionResult | None) -> None:
        """Check that the stored result does not change and agrees with the journal's parent orders."""
        if result is None:
            return
        self._leases.note_result(key)
        first = self.results.setdefault(key, result)
        if first != result:
            raise Violation(f"the stored result of {key} changed")
        for item in result.orders:
            check_explained(item)
            parent = self._parents[key].get(item.symbol)
            if parent is not None and (parent.outcome, parent.filled_qty) != (item.outcome, item.shares):
                raise Violation(f"result: {item.symbol} {item.outcome}, {item.shares} shares; journal: {parent}")
        self._check_fills(key, result)

    def check_answer(self, answer: dict[str, Any]) -> None:
        """Check that a direct answer equals the stored result."""
        stored = self.results.get((answer["account"], answer["plan_id"]))
        if stored is None or stored.model_dump(mode="json") != answer:
            raise Violation(f"{answer['plan_id']} was answered with {answer}, the stored result is {stored}")

    def check_pending(self, answer: dict[str, Any], run_id: str) -> None:
        """Check the answer that a plan waits for its auction: it is started, and was not finished before this run."""
        key = (answer["account"], answer["plan_id"])
        if key not in self._plans:
            raise Violation(f"{answer['plan_id']} was answered with {answer}")
        self._leases.check_pending(key, run_id)

    def check_publish(self, result: ExecutionResult) -> None:
        """Check that a result is published again only after a fault."""
        key, invocation = (result.account, result.plan_id), self._world.current
        before = self._publishers.get(key)
        if before is not None and not (before.is_disturbed or invocation.is_disturbed):
            raise Violation(f"{key} is published again without any fault")
        self._publishers[key] = invocation

    def note_attempt(self, result: ExecutionResult) -> None:
        """Note that a result was sent to its channel."""
        self._attempted.add((result.account, result.plan_id))

    def _check_unpublished(self, account: str) -> None:
        """Check that the account's lease names the plan whose result was not sent to its channel yet."""
        listed = self._world.ledger.unfinished(account)
        for key in self.results.keys() - self._attempted:
            if key[0] == account and (listed is None or listed.plan_id != key[1]):
                raise Violation(f"the result of {key} is not published, and no later run learns of it")

    def _check_fills(self, key: PlanKey, result: ExecutionResult) -> None:
        """Check shares and dollars of a result against the broker; an unresolved item needs a reason."""
        for item in result.orders:
            if item.outcome is Outcome.UNRESOLVED:
                if not item.error_code or not item.error_message:
                    raise Violation(f"{item.symbol} is UNRESOLVED without a reason")
                orders = self._orders_of(key, item.symbol)
                fills = self._account.fills_beside(key, lambda k, s: self._parents[k][s].outcome is Outcome.UNRESOLVED)
                self._evidence.check_unresolved(self._plans[key], item.symbol, item.error_code, orders, fills)
                continue
            orders = self._orders_of(key, item.symbol)
            if any(order.is_open for order in orders):
                raise Violation(f"{item.symbol} is {item.outcome} and has a live order")
            filled = sum((order.filled_qty for order in orders), ZERO)
            value = sum((order.filled_value for order in orders), ZERO)
            if item.shares != filled:
                raise Violation(f"{item.symbol}: the result has {item.shares} shares, the broker filled {filled}")
            if abs(abs(item.trade_amount) - value) > filled * Decimal("0.000001"):
                raise Violation(f"{item.symbol}: the result has {item.trade_amount} dollars, the broker {value}")

    def _orders_of(self, key: PlanKey, symbol: str) -> list[Order]:
        return [order for order in self.orders() if self._intents[order.client_order_id] == (key, symbol)]

    def check_finished(self) -> None:
        """Check that every started plan has its result, and that no order works after the end."""
        for key in self._plans:
            if key not in self.results:
                raise Violation(f"{key} was started and never finished")
        self._world.clock.advance(_MINUTE)
        self.check_exchange()
        for order in self.orders():
            if self._lacks_cancels(order):
                raise Violation(f"{order.client_order_id} is still {order.status} after the end")

    def check_withdrawn(self, invocation: Invocation) -> None:
        """Check that an ended invocation leaves no order at work, if all its trading and journal requests succeeded."""
        lease = self._leases.latest(invocation.account)
        if lease is None or lease.run_id != invocation.run_id or not invocation.has_asked_broker:
            return  # it did not hold the lease, or not last, or the plan was invalid
        config = self._world.config
        if config.rate_limit_per_minute < _USUAL_RATE or any("/stocks" not in name for name, _ in invocation.faults):
            return
        if any(fault in OF_THE_PROCESS for _, fault in invocation.faults):
            return
        for order in self.orders():
            is_own = self._intents[order.client_order_id][0][0] == invocation.account
            is_working = is_own and order.is_open and order.status != "pending_cancel" and order.time_in_force == "day"
            if is_working and not self._world.broker.record.cancels.get(order.id):
                raise Violation(f"invocation {invocation.number} ended and left {order.client_order_id} {order.status}")

    def _lacks_cancels(self, order: Order) -> bool:
        """Return whether the order works although few cancels were tried: the broker may ignore one."""
        is_working = order.is_open and order.status != "pending_cancel"
        is_working = is_working and order.time_in_force == "day"  # after a cut-off the broker rejects cancels
        return is_working and self._world.broker.record.cancels.get(order.id, 0) < _CANCELS

    def check_end(self, *, runs_follow: bool = False) -> None:
        """Check results, limits, log and published results; a run that follows publishes what a killed one did not."""
        for key, result in self.results.items():
            self._check_fills(key, result)
        self._check_reservations()
        for line in self._world.log.containing(SECRET):
            raise Violation(f"a log line contains a secret: {line}")
        for key in () if runs_follow else self.results.keys() - self._attempted:
            raise Violation(f"the result of {key} was never published")
        for published in self._world.published:
            if published != self.results.get((published.account, published.plan_id)):
                raise Violation(f"the published result of {published.plan_id} differs from the stored one")

    def _check_reservations(self) -> None:
        """Check that all trades were reserved, and are within the limits of plan and day."""
        config, traded, sent = self._world.config, dict[PlanKey, Decimal](), Counter[PlanKey]()
        for order in self.orders():
            key, _ = self._intents[order.client_order_id]
            traded[key] = traded.get(key, ZERO) + order.filled_value
            sent[key] += 1
        for key, value in traded.items():
            days = [state for state in self._world.ledger.risk_states(key[0]) if key[1] in _plan_ids(state)]
            if not days:
                raise Violation(f"{key} traded {value} dollars without a reservation")
            _check_dollars(f"{key}", value, config.max_plan_gross_dollars)
            for state in days:
                day_value = sum((traded.get((key[0], plan_id), ZERO) for plan_id in _plan_ids(state)), ZERO)
                _check_dollars(f"{state.usage.on}", day_value, config.max_day_gross_dollars)
            if sent[key] > config.max_plan_messages:
                raise Violation(f"{key} sent {sent[key]} orders, the limit is {config.max_plan_messages}")


def _plan_ids(state: RiskState) -> set[str]:
    return {plan.plan_id for plan in state.plans}


def _check_dollars(subject: str, dollars: Decimal, limit: Decimal | None) -> None:
    if limit is not None and dollars > limit * _LIMIT_TOLERANCE:
        raise Violation(f"{subject}: {dollars} dollars traded exceed the limit {limit}")
