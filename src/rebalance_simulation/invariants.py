"""What must hold whatever happens. Looked at after every call of the program to the outside, not only at the end."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from paper_broker.orders import Order
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import OrderStyle
from rebalance_executor.domain.journal import PlanPhase, PlanState
from rebalance_executor.domain.market import ZERO, Side
from rebalance_executor.domain.orders import ChildOrder, Outcome, ParentOrder
from rebalance_executor.domain.pricing import collar, is_inside
from rebalance_executor.domain.result import ExecutionResult
from rebalance_executor.domain.risk_state import RiskState, TradingState
from rebalance_executor.execution.ports import Lease
from rebalance_simulation.api import SECRET, Body

if TYPE_CHECKING:
    from rebalance_simulation.world import Invocation, World

_PREFIX = "rb1-"
_SWITCH_AGE = timedelta(seconds=2)
"""A switch may be a second old when an order is sent, and the calls themselves take time."""
_MINUTE = timedelta(minutes=1)
_MARKET_SLIP = Decimal("1.06")
"""What a market order may cost more than was reserved: nothing bounds its price but the broker's own collar."""

_MOVED = Decimal("1.3")
"""By how much a fill may differ from what was reserved: limits are counted at arrival mid, and markets move."""

PlanKey = tuple[str, str]


class Violation(AssertionError):
    """A promise was broken."""


class InvariantChecker:
    """Looks at the world from outside, with what the journal was told and what is at the exchange."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._plans: dict[PlanKey, PlanState] = {}
        self._parents: dict[PlanKey, dict[str, ParentOrder]] = {}
        self._intents: dict[str, tuple[PlanKey, str]] = {}
        """Client order id → plan and symbol."""
        self._arrived: set[str] = set()
        """Own orders that were seen at the exchange."""
        self._changes = -1
        self._asked: dict[tuple[int, str], deque[datetime]] = {}
        """When each process asked each endpoint."""
        self._sent: dict[str, deque[datetime]] = {}
        """When each run sent an order."""
        self._lease: Lease | None = None
        """The last one that was taken."""
        self._publishers: dict[PlanKey, Invocation] = {}
        """Who published each result last."""
        self.results: dict[PlanKey, ExecutionResult] = {}

    # --- what is journalled: an intent is never changed, what is settled stays -----------------------------

    def journalled(self, pk: str) -> None:
        """A plan's partition was written. Batches of a plan whose own row is not there yet do not count."""
        journal = self._world.ledger.plan(pk)
        if journal is None:
            return
        key = (journal.plan.account, journal.plan.plan_id)
        if key not in self._plans:
            self._check_age(journal.plan)
        self._plans[key] = journal.plan
        known = self._parents.setdefault(key, {})
        for symbol, parent in journal.parents.items():
            before = known.get(symbol)
            if before is parent:
                continue
            if before is not None:
                _check_history(before, parent)
            known[symbol] = parent
            for child in parent.children:
                self._intents.setdefault(child.client_order_id, (key, symbol))
            self._check_parent(parent)
        self._check_money(key)
        self._keep_result(key, journal.result)

    def leased(self) -> None:
        """The account's rows were written. Each run's lease has a higher epoch than all before."""
        holder, known = self._world.ledger.holder("default"), self._lease
        if holder is None:
            return
        if known is not None and holder.run_id != known.run_id and holder.epoch <= known.epoch:
            raise Violation(f"{holder.run_id} took the lease with epoch {holder.epoch}, {known.epoch} was given before")
        self._lease = holder

    def _check_age(self, state: PlanState) -> None:
        """A plan is begun while it is young enough; plans are made when the history begins."""
        oldest = timedelta(minutes=float(self._world.config.max_plan_age_minutes)) + _MINUTE
        if state.started_at - self._world.begin > oldest:
            raise Violation(f"{state.plan_id} is begun {state.started_at - self._world.begin} after it was made")

    def _check_parent(self, parent: ParentOrder) -> None:
        """Filled + live + unknown ≤ quantity; one open order; settled means settled at the broker, too."""
        orders = {order.client_order_id: order for order in self.orders()}
        if sum(child.is_open for child in parent.children) > 1:
            raise Violation(f"{parent.symbol}: more than one open child in the journal")
        exposed = sum((_exposure(child, orders.get(child.client_order_id)) for child in parent.children), ZERO)
        if exposed > parent.qty:
            raise Violation(f"{parent.symbol}: {exposed} shares filled, live or unknown, {parent.qty} wanted")
        if parent.code == Code.CANCEL_UNCONFIRMED and parent.open_child is not None:
            order = orders.get(parent.open_child.client_order_id)
            if order is not None and order.is_open and order.status != "pending_cancel":
                raise Violation(f"{parent.symbol} waited for a cancel that nobody asked for: it is {order.status}")
        if parent.outcome in (None, Outcome.UNRESOLVED):
            return
        if any(child.is_open for child in parent.children):
            raise Violation(f"{parent.symbol} is {parent.outcome} with an open child")
        if parent.outcome is Outcome.FILLED and parent.filled_qty != parent.qty:
            raise Violation(f"{parent.symbol} is FILLED with {parent.filled_qty} of {parent.qty}")

    def _check_money(self, key: PlanKey) -> None:
        """Σ buys ≤ cash + real proceeds − buffer: what is spent or may be, and what the budget was made of."""
        state, config = self._plans[key], self._world.config
        if state.buy_budget is None:
            return
        brought, spent = ZERO, ZERO
        for order in self.orders():
            plan, _ = self._intents.get(order.client_order_id, (None, ""))
            if plan != key:
                continue
            if order.side == "sell":
                brought += order.filled_value
            else:
                spent += order.filled_value + (order.held_cash if order.is_open and order.limit_price else ZERO)
        most = max(ZERO, (state.starting_funds + brought) * (1 - config.cash_buffer))
        if state.buy_budget > most:
            raise Violation(f"{key}: a budget of {state.buy_budget}, cash + proceeds − buffer is {most}")
        is_bounded = config.order_style is not OrderStyle.MARKET and not config.last_rung_market
        if spent > state.buy_budget * (1 if is_bounded else _MARKET_SLIP):
            raise Violation(f"{key}: buys of {spent}, the budget is {state.buy_budget}")

    # --- what is asked: within the rate limit, and nothing is sent without the right to -------------------

    def requested(self, name: str, order: Body | None) -> None:
        """A request leaves for the broker; ``order`` is what it submits."""
        running, now = self._world.stack[-1], self._world.clock.world()
        asked = self._asked.setdefault((running.process, "data" if "/stocks" in name else "trading"), deque())
        while asked and asked[0] <= now - _MINUTE:
            asked.popleft()
        asked.append(now)
        if len(asked) > self._world.config.rate_limit_per_minute:
            raise Violation(f"{len(asked)} requests in a minute")
        if order is not None:
            self._check_right(order)
            self._check_pace(running.run_id, now)

    def _check_pace(self, run_id: str, now: datetime) -> None:
        """A run sends no more orders in a minute than the controls allow."""
        sent = self._sent.setdefault(run_id, deque())
        sent.append(now)
        while sent[0] <= now - _MINUTE:
            sent.popleft()
        if len(sent) > self._world.config.max_messages_per_minute:
            raise Violation(f"{run_id} sends {len(sent)} orders in a minute")

    def forget_requests(self, process: int) -> None:
        """A process begins anew with its connections, and with its pacing."""
        for endpoint in ("data", "trading"):
            self._asked.pop((process, endpoint), None)

    def timed_out(self, running: Invocation) -> None:
        """An invocation ends by itself before its time-out, if nothing goes wrong."""
        if not running.is_disturbed:
            raise Violation(f"invocation {running.number} ran into its time-out, and nothing had gone wrong")

    def _check_right(self, order: Body) -> None:
        """Only the holder of the lease sends, and not what the kill switch forbids."""
        running, ledger = self._world.stack[-1], self._world.ledger
        is_early = order.get("extended_hours") and self._world.config.extended_hours
        if not is_early and self._world.is_closed():
            raise Violation(f"{running.run_id} sends while the market is closed")
        holder = ledger.holder("default")
        if holder is None or holder.run_id != running.run_id:
            raise Violation(f"{running.run_id} sends, the lease is held by {holder and holder.run_id}")
        last = ledger.switch("default")
        if last.at is None or last.state is TradingState.ACTIVE:
            return
        if last.state is TradingState.REDUCING and order["side"] == Side.SELL:
            return
        if self._world.clock.now() - last.at > _SWITCH_AGE:
            raise Violation(f"{running.run_id} sends a {order['side']}, the account is {last.state} since {last.at}")

    # --- what is at the exchange -------------------------------------------------------------------------

    def orders(self) -> Iterable[Order]:
        """This program's orders at the exchange."""
        book = self._world.exchange._book  # noqa: SLF001 - looked at, never changed
        return [order for order in book.orders.values() if order.client_order_id.startswith(_PREFIX)]

    def look(self) -> None:
        """At the exchange, if anything changed there."""
        self._world.exchange.advance()
        if self._world.exchange.changes == self._changes:
            return
        self._changes = self._world.exchange.changes
        live: set[tuple[PlanKey, str]] = set()
        for order in self.orders():
            if order.client_order_id not in self._arrived:
                self._arrived.add(order.client_order_id)
                self._check_arrival(order)
            key, symbol = self._intents[order.client_order_id]  # it was checked on arrival
            if order.is_open:
                if (key, symbol) in live:
                    raise Violation(f"{symbol}: two live orders at once")
                live.add((key, symbol))
        for key, symbol in live:
            self._check_parent(self._parents[key][symbol])
        for key in {key for key, _ in live}:
            self._check_money(key)

    def _check_arrival(self, order: Order) -> None:
        """An order at the broker was journalled before, just like that; buys only after the gate."""
        known = self._intents.get(order.client_order_id)
        if known is None:
            raise Violation(f"{order.client_order_id} is at the broker, no intent of it is in the journal")
        key, symbol = known
        parent = self._parents[key][symbol]
        child = next(child for child in parent.children if child.client_order_id == order.client_order_id)
        sent = (order.symbol, order.side, order.qty, order.limit_price, order.type)
        if sent != (symbol, parent.side, child.qty, child.limit_price, child.type):
            raise Violation(f"{order.client_order_id} is at the broker as {sent}, the journal says {child}")
        self._check_limits(order, parent, child)
        if parent.outcome is not None and parent.outcome is not Outcome.UNRESOLVED:
            raise Violation(f"{order.client_order_id} appears at the broker, its parent is {parent.outcome} already")
        if parent.side is Side.BUY and self._plans[key].phase is PlanPhase.SELLS:
            raise Violation(f"{order.client_order_id} buys before the gate")

    def _check_limits(self, order: Order, parent: ParentOrder, child: ChildOrder) -> None:
        """An order at the broker is one that the configuration allows."""
        config = self._world.config.for_symbol(order.symbol)
        if order.limit_price is not None and parent.arrival is not None:
            worst = collar(parent.side, parent.arrival, config.price_collar)
            if not is_inside(parent.side, order.limit_price, worst):
                raise Violation(f"{order.client_order_id} is at {order.limit_price}, the worst allowed is {worst}")
        is_listed = config.allowed_symbols is None or order.symbol in config.allowed_symbols
        if not is_listed or order.symbol in config.restricted_symbols:
            raise Violation(f"{order.symbol} may not be traded, and is")
        dollars = child.qty * (order.limit_price or child.mid or ZERO)
        if config.max_order_dollars is not None and dollars > config.max_order_dollars:
            raise Violation(f"{order.client_order_id} is for {dollars} dollars, {config.max_order_dollars} are allowed")

    # --- what is answered --------------------------------------------------------------------------------

    def _keep_result(self, key: PlanKey, result: ExecutionResult | None) -> None:
        if result is None:
            return
        known = self.results.setdefault(key, result)
        if known != result:
            raise Violation(f"the stored result of {key} changed")
        for told in result.orders:
            parent = self._parents[key].get(told.symbol)
            if parent is not None and (parent.outcome, parent.filled_qty) != (told.outcome, told.shares):
                raise Violation(f"{told.symbol} {told.outcome}, {told.shares} shares is told, journalled is {parent}")
        self._check_truth(key, result)

    def answered(self, answer: dict[str, Any]) -> None:
        """A direct answer is the stored result, for ever."""
        stored = self.results.get((answer["account"], answer["plan_id"]))
        if stored is None or stored.model_dump(mode="json") != answer:
            raise Violation(f"{answer['plan_id']} was answered with {answer}, stored is {stored}")

    def publishing(self, result: ExecutionResult) -> None:
        """A result is published; again only if something went wrong where that would have been noted."""
        key, running = (result.account, result.plan_id), self._world.stack[-1]
        before = self._publishers.get(key)
        if before is not None and not (before.is_disturbed or running.is_disturbed):
            raise Violation(f"{key} is published again, and nothing had gone wrong")
        self._publishers[key] = running

    def _check_truth(self, key: PlanKey, result: ExecutionResult) -> None:
        """What the result says is what the broker did. What cannot be known is said with its reason."""
        for told in result.orders:
            if told.outcome is Outcome.UNRESOLVED:
                if not told.error_code or not told.error_message:
                    raise Violation(f"{told.symbol} is UNRESOLVED without a reason")
                continue
            orders = [o for o in self.orders() if self._intents[o.client_order_id] == (key, told.symbol)]
            if any(order.is_open for order in orders):
                raise Violation(f"{told.symbol} is {told.outcome} and an order of it is live")
            filled = sum((order.filled_qty for order in orders), ZERO)
            value = sum((order.filled_value for order in orders), ZERO)
            if told.shares != filled:
                raise Violation(f"{told.symbol}: {told.shares} shares are told, {filled} were filled")
            if abs(abs(told.trade_amount) - value) > filled * Decimal("0.000001"):
                raise Violation(f"{told.symbol}: {told.trade_amount} dollars are told, it were {value}")

    def end(self) -> None:
        """Once more when everything is over: results still hold, no secret was told, what was published is true."""
        for key, result in self.results.items():
            self._check_truth(key, result)
        self._check_traded()
        for line in self._world.log.holding(SECRET):
            raise Violation(f"a secret stands in the log: {line}")
        for told in self._world.published:
            if told != self.results.get((told.account, told.plan_id)):
                raise Violation(f"{told.plan_id} was published with another result than is stored")

    def _check_traded(self) -> None:
        """What was traded was reserved before, and stays within the limits of plan and day."""
        config, traded, sent = self._world.config, dict[PlanKey, Decimal](), Counter[PlanKey]()
        for order in self.orders():
            key, _ = self._intents[order.client_order_id]
            traded[key] = traded.get(key, ZERO) + order.filled_value
            sent[key] += 1
        for key, value in traded.items():
            days = [book for book in self._world.ledger.reserved(key[0]) if key[1] in _ids(book)]
            if not days:
                raise Violation(f"{key} traded {value} dollars, and had reserved nothing")
            _check_most(f"{key} in all", value, config.max_plan_gross_dollars)
            for book in days:
                of_day = sum((traded.get((key[0], plan_id), ZERO) for plan_id in _ids(book)), ZERO)
                _check_most(f"{book.usage.on}", of_day, config.max_day_gross_dollars)
            if sent[key] > config.max_plan_messages:
                raise Violation(f"{key} has {sent[key]} orders, {config.max_plan_messages} messages are allowed")


def _ids(book: RiskState) -> set[str]:
    return {plan.plan_id for plan in book.plans}


def _check_most(what: str, dollars: Decimal, most: Decimal | None) -> None:
    if most is not None and dollars > most * _MOVED:
        raise Violation(f"{what}: {dollars} dollars were traded, {most} are allowed")


def _exposure(child: ChildOrder, order: Order | None) -> Decimal:
    """Shares that this child has filled or may still fill, by the journal or by the broker, whichever is more."""
    if order is None:
        return child.exposure
    at_broker = (order.qty or ZERO) if order.is_open else order.filled_qty
    if child.is_open and order.is_open:
        return max(at_broker, child.exposure)
    return at_broker if child.is_open else max(at_broker, child.filled_qty)


def _check_history(before: ParentOrder, after: ParentOrder) -> None:
    """Quantities are frozen, children only append, and terminal states do not change."""
    is_scaled = not before.children and before.outcome is None
    if after.qty != before.qty and not (is_scaled and after.qty < before.qty):
        raise Violation(f"{after.symbol}: the frozen quantity changed from {before.qty} to {after.qty}")
    if before.outcome is not None and after.outcome not in (before.outcome, Outcome.UNRESOLVED):
        raise Violation(f"{after.symbol}: the outcome changed from {before.outcome} to {after.outcome}")
    if len(after.children) < len(before.children):
        raise Violation(f"{after.symbol}: a child order disappeared")
    for old, new in zip(before.children, after.children, strict=False):
        if (old.client_order_id, old.qty, old.limit_price) != (new.client_order_id, new.qty, new.limit_price):
            raise Violation(f"{after.symbol}: child {old.attempt} is another order now")
        if not old.is_open and replace(new, error_message=old.error_message) != old:
            raise Violation(f"{after.symbol}: child {old.attempt} was settled as {old}, now it is {new}")
