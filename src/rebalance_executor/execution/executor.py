"""The executor: one synchronous loop — look, pass the cash gate, decide, journal, send.

All parents of a plan are worked together in one wave: sells, and buys as far as cash and the proceeds so far allow.
Every order is journalled before it is sent, every decision uses the broker's latest report, and the effect of a
submission without an answer is queried at the broker. The decisions are in ``domain.strategy``.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from rebalance_executor.domain.auction import is_bound, is_cancelable, is_resting, resumes_at, send_by
from rebalance_executor.domain.cash import Allowance, allowances, child_cost, committed, early_funds, proceeds
from rebalance_executor.domain.decisions import Cancel, DecisionContext, Place, RunMode, Settle, Working, Yielding
from rebalance_executor.domain.errors import AuctionPending, PlanYielded, RateLimited, Redeliver
from rebalance_executor.domain.journal import PlanPhase
from rebalance_executor.domain.looks import next_look
from rebalance_executor.domain.market import ZERO, BrokerOrder, Side, TimeInForce
from rebalance_executor.domain.order_ids import child_order_id
from rebalance_executor.domain.orders import ChildOrder, ChildPhase, ParentOrder
from rebalance_executor.domain.strategy import decide, may_start, needs_quote, settled_at_broker
from rebalance_executor.domain.values import seconds
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.cash_gate import pass_gate
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.holdings import NOTHING, ROUND_TRIP, Limit
from rebalance_executor.execution.kill_switch import WHILE_RESTING
from rebalance_executor.execution.lost_orders import LostOrders
from rebalance_executor.execution.order_events import child_fields, log_outcome
from rebalance_executor.execution.order_reader import OrderReader
from rebalance_executor.execution.run import Run
from rebalance_executor.execution.sender import Sender, TickActions

_STOPPING_TICK = timedelta(milliseconds=200)
"""Time between looks while the run yields: its whole margin may be little more than a second."""


class Executor:
    """The loop that works the parent orders of one run until they are settled."""

    def __init__(self, run: Run, access: AccountAccess) -> None:
        self._run = run
        self._access = access
        self._ports = access.ports
        self._broker = access.broker
        self._quotes = access.quotes
        self._holdings = access.holdings
        self._clock = access.clock
        self._log = access.log
        self._config = access.config
        self._sender = Sender(run, access)
        self._reader = OrderReader(run, access, self._sender)
        self._lost_orders = LostOrders(run, access)
        self._places = 0
        """New orders that this tick may still place."""
        self._cash = NOTHING
        """Dollars that the buys of this tick may still commit."""
        self._allowances: dict[str, Allowance] = {}
        """The share of each buy in these dollars."""
        self._is_short_of_cash = False
        """True once a shortage of cash was logged."""
        # Of the wait in ``strategy``, which is two ticks longer than that for a cancel, three ticks are left.
        wait = seconds(self._config.cancel_wait_seconds - self._config.tick_seconds)
        run.work.extend_confirmations(self._clock.now(), max(wait, timedelta()))

    def work(self) -> None:
        """Work every unsettled parent until it has an outcome.

        Raises:
            PlanYielded: the run had to stop first; open orders were canceled as far as time allowed.
            AuctionPending: every open order waits for its auction.
            BrokerUnavailable: a read failed after its retries.
            CredentialsRejected, Fenced, JournalUnavailable: no further order was sent.
            OverfillGuard: a submission would have exceeded its parent; it was not sent.
        """
        run, was_yielding = self._run, False
        while run.unsettled():
            absent = self._reader.read()
            mode = self._mode()
            if isinstance(mode, Yielding) and not was_yielding:
                was_yielding = True
                self._log.emit(LogEvent.RUN_YIELDING, give_up_at=mode.give_up_at, reason=mode.reason)
            modes = run.modes_of_sides(mode)
            self._lost_orders.handle(absent, modes)
            self._settle_finished()
            if isinstance(mode, Working):
                pass_gate(run, self._access)
            actions = self._decide(modes)
            if not run.unsettled():
                return  # nothing is left to send; the next write journals what the broker reported
            # Before anything is sent: no order may exist at the broker that the journal does not know.
            self.save()
            if isinstance(mode, Yielding) and (self._is_withdrawn() or self._clock.now() >= mode.give_up_at):
                raise PlanYielded(f"{mode.reason}; the next delivery continues with the open items")
            if not actions.submits and not actions.cancels:
                self._end_before_auction()
            if not self._sender.send(actions) and run.unsettled():
                self._sleep(has_sent=bool(actions.submits or actions.cancels))

    @property
    def latest_look(self) -> Mapping[str, BrokerOrder]:
        """The orders that the latest look listed, by client order ID."""
        return self._reader.latest

    def withdraw(self) -> None:
        """Journal and send a cancel for every working order, as long as journal and broker answer.

        A run that an error ends uses it first. The next run waits for the confirmations and sends the
        cancels that this run could not send.
        """
        withdrawn: list[str] = []
        for parent in list(self._run.parents.values()):
            child = parent.open_child
            is_live = child is not None and child.phase is ChildPhase.WORKING and not is_resting(parent)
            if parent.outcome is None and child is not None and is_live:
                self._run.work.update_child(parent.symbol, replace(child, cancel_requested_at=self._clock.now()))
                withdrawn.append(parent.symbol)
        with suppress(Redeliver):  # an error is already being raised
            self.save()
            for symbol in withdrawn:
                if not self._sender.cancel(symbol):
                    break

    def save(self) -> None:
        """Journal everything that changed since the last write, in one call.

        Raises:
            Fenced: another run took the account over.
            JournalUnavailable: the database did not answer; the changes stay pending.
        """
        if not self._run.work.is_written:
            self._run.work.write_to(self._ports.journal, self._run.lease)

    def _is_withdrawn(self) -> bool:
        return not any(parent.open_child and not is_resting(parent) for parent in self._run.unsettled())

    def _end_before_auction(self) -> None:
        """End the run if nothing needs it before an auction: its orders rest at the broker."""
        at = resumes_at(self._run.parents.values(), self._clock.now())
        if at is not None:
            raise AuctionPending.at(at)

    # --- decide ------------------------------------------------------------------------------------------

    def _mode(self) -> RunMode:
        """Check for a stop request and check the kill switch, then return the mode of this tick."""
        run = self._run
        run.check_stop_requested(self._ports)
        for side in (side for side in Side if run.unsettled(side)):
            if run.denial is None and not run.is_stopping(self._clock.now()):
                self._sender.check_kill_switch(side, WHILE_RESTING)
        return run.mode_at(self._clock.now())

    def _settle_finished(self) -> None:
        """Settle the parents that the broker's reports finish, so that the gate can follow the last sell at once."""
        for parent in self._run.unsettled():
            settle = settled_at_broker(parent, self._config) if parent.open_child is None else None
            if settle is not None:
                self._settle(parent, settle)

    def _decide(self, modes: Mapping[Side, RunMode]) -> TickActions:
        run, actions = self._run, TickActions()
        is_working = isinstance(modes[Side.SELL], Working)
        if not is_working:
            run.outbox.mark_unsent_not_sent(run.work)
        elif run.outbox.mark_unsent_not_sent(run.work, late_at=self._clock.now()):
            self._sender.count_late_tick()
        if not isinstance(modes[Side.BUY], Working):
            run.outbox.mark_buys_not_sent(run.work)
        parents = run.unsettled()
        if is_working:
            self._prepare([parent for parent in parents if isinstance(modes[parent.side], Working)])
        cancel_wait = seconds(self._config.cancel_wait_seconds)
        contexts = {side: self._context(side, mode) for side, mode in modes.items()}
        for parent in sorted(parents, key=_has_no_open_child):  # cancels first: they use the rate limit as well
            may_cancel = is_cancelable(parent, self._clock.now())
            if may_cancel and run.outbox.take_cancel_retry(run.work, parent.symbol, self._clock.now(), cancel_wait):
                self._add_cancel(actions, parent)
            else:
                self._carry_out(parent, self._for_parent(contexts[parent.side], parent), actions)
        actions.submits += [p.symbol for p in parents if run.outbox.holds(run.parents[p.symbol].open_child)]
        return actions

    def _prepare(self, parents: list[ParentOrder]) -> None:
        """Wait for the rate limit first, then read cash and positions, and quotes last: they age fastest."""
        run = self._run
        self._places, self._cash, self._allowances = 0, NOTHING, {}
        waiting = self._waiting_for_funds() | run.between_slices(self._clock.now(), self._config)
        parents = [parent for parent in parents if parent.symbol not in waiting]
        ready = [parent for parent in parents if parent.open_child is None]
        sells = [parent for parent in ready if parent.side is Side.SELL]
        if ready and not self._sender.is_paused:
            readings = bool(sells) + (len(sells) < len(ready))  # positions and cash
            requests = min(len(ready), self._sender.orders_per_tick) + readings
            try:
                self._places = max(0, self._broker.wait_for_rate_limit(run.deadline.stop_at, requests) - readings)
            except RateLimited as error:
                self._sender.pause(error)
        if self._places and sells:
            self._holdings.refresh_positions(sells)
        has_buys = self._places > 0 and len(sells) < len(ready)
        if has_buys:
            self._holdings.refresh_account(run.parents.values())
            self._cash = self._read_cash()
        contexts = {side: self._context(side, Working()) for side in Side}
        self._quotes.refresh([p.symbol for p in parents if needs_quote(p, contexts[p.side], self._config)])
        if has_buys:
            shares = self._divide(self._cash.amount)
            self._allowances = {symbol: share for symbol, share in shares.items() if symbol not in waiting}

    def _context(self, side: Side, mode: RunMode) -> DecisionContext:
        return DecisionContext(self._clock.now(), mode=mode, schedule=self._run.wave_schedule(side, self._config))

    def _for_parent(self, context: DecisionContext, parent: ParentOrder) -> DecisionContext:
        """Return the context with this parent's quote, and the cash or the shares that it may use, as of now.

        An order at the broker is judged at the time of the look: waits since then show nothing about it.
        """
        problem = self._quotes.problem(parent.symbol)
        now = self._clock.now()
        context = replace(
            context,
            mode=self._run.mode_of(parent, context.mode, now),
            is_before_open=self._run.is_before_open(now),
            now=self._clock.now() if parent.open_child is None else self._reader.started_at,
            quote=self._quotes.latest.get(parent.symbol) if problem is None else None,
            quote_problem=problem,
            quote_missing_since=self._quotes.missing_since(parent.symbol),
        )
        if parent.open_child is not None or not isinstance(context.mode, Working):
            return context
        if parent.side is Side.SELL:
            held = self._holdings.shares(parent)
            return replace(context, held=held.amount, is_shortage_confirmed=held.is_confirmed)
        allowance = self._allowances.get(parent.symbol, Allowance(ZERO, is_final=False))
        if is_bound(parent, now) and parent.symbol in self._allowances:
            allowance = replace(allowance, is_final=not self._run.awaits_more_funds(parent, now))
        return replace(
            context,
            funds=min(allowance.amount, self._cash.amount),
            are_funds_final=allowance.is_final,
            is_shortage_confirmed=self._cash.is_confirmed,
        )

    def _carry_out(self, parent: ParentOrder, context: DecisionContext, actions: TickActions) -> None:
        """Carry out the decision on one parent."""
        decision = decide(parent, context, self._config)
        match decision:
            case Place() if self._places:
                self._places -= 1
                if parent.side is Side.BUY:
                    cost = child_cost(parent, decision.qty, decision.limit_price, self._config.widest_collar)
                    self._cash = replace(self._cash, amount=self._cash.amount - cost)
                self._intend(parent, decision)
            case Settle():
                self._settle(parent, decision)
            case Cancel() if parent.open_child is not None:
                child = replace(parent.open_child, cancel_requested_at=self._clock.now())
                self._run.work.update_child(parent.symbol, child)
                self._add_cancel(actions, parent)

    def _add_cancel(self, actions: TickActions, parent: ParentOrder) -> None:
        actions.cancels.append(parent.symbol)
        self._places = max(0, self._places - 1)

    def _waiting_for_funds(self) -> set[str]:
        """Return the buys whose dollars do not suffice for an order yet: they need no request and no quote."""
        run = self._run
        left = self._funds() - committed(run.parents.values(), self._config.widest_collar)
        shares, context = self._divide(left), self._context(Side.BUY, Working())
        return {
            symbol
            for symbol, share in shares.items()
            if not share.is_final
            and self._awaits_funds(run.parents[symbol])
            and not may_start(run.parents[symbol], share.amount, context, self._config.for_symbol(symbol))
        }

    def _awaits_funds(self, parent: ParentOrder) -> bool:
        now = self._clock.now()
        return not is_bound(parent, now) or self._run.awaits_more_funds(parent, now)

    def _divide(self, left: Decimal) -> dict[str, Allowance]:
        """Return the share of each buy in ``left`` dollars."""
        run = self._run
        may_grow = run.state.phase is PlanPhase.SELLS
        return allowances(run.unsettled(Side.BUY), self._quotes.latest, left, self._config, may_grow=may_grow)

    def _funds(self) -> Decimal:
        """Return the dollars that the buys may cost in total: fixed at the cash gate, and what there is before it."""
        state = self._run.state
        if state.phase is PlanPhase.SELLS:
            return early_funds(state.starting_funds, proceeds(self._run.parents.values()), self._config)
        return state.buy_funds or ZERO

    def _read_cash(self) -> Limit:
        """Return the dollars that the buys may still commit: by ``_funds`` and the latest reading of the cash."""
        parents = self._run.parents.values()
        used = committed(parents, self._config.widest_collar)
        left = self._funds() - used
        cash = self._holdings.cash(parents, left)
        if cash.amount >= left:
            return Limit(left)
        if self._run.state.phase is PlanPhase.SELLS:
            return Limit(cash.amount)  # proceeds are on their way: it ends no item, and needs no second reading
        # The buffer covers small differences, such as fees.
        budget = self._run.state.buy_budget
        if budget is not None and cash.amount < budget - used and cash.is_confirmed and not self._is_short_of_cash:
            self._is_short_of_cash = True
            self._log.emit(LogEvent.GATE_BUDGET_REDUCED, budget_left=budget - used, cash_left=cash.amount)
        return cash

    def _order_id(self, symbol: str, attempt: int) -> str:
        state = self._run.state
        return child_order_id(state.account, state.plan_id, symbol, attempt, self._ports.deployment)

    def _intend(self, parent: ParentOrder, place: Place) -> None:
        """Prepare a new child: it is journalled with the next write and sent after it."""
        run, now = self._run, self._clock.now()
        attempt, quote = len(parent.children) + 1, self._quotes.latest.get(parent.symbol)
        child = ChildOrder(
            attempt=attempt,
            client_order_id=self._order_id(parent.symbol, attempt),
            type=place.type,
            qty=place.qty,
            limit_price=place.limit_price,
            intended_at=now,
            spread_fraction=place.spread_fraction,
            bid=quote.bid if quote is not None else None,
            ask=quote.ask if quote is not None else None,
            extended_hours=run.is_extended_hours(now) and place.time_in_force is TimeInForce.DAY,
            display=self._config.for_symbol(parent.symbol).display_of(place.qty, place.limit_price),
            time_in_force=place.time_in_force,
        )
        run.work.update_child(parent.symbol, child)
        if place.note is not None and parent.code is None:
            run.work.update_parent(replace(run.parents[parent.symbol], code=place.note))
        quoted_at = self._quotes.read_at(parent.symbol) or now
        priced_until = quoted_at + seconds(self._config.quote_refresh_seconds) + ROUND_TRIP
        covered_until = min(priced_until, self._holdings.covers_until(parent))
        run.outbox.unsent[child.client_order_id] = send_by(parent, child, covered_until)
        self._log.emit(LogEvent.ORDER_INTENDED, symbol=parent.symbol, side=parent.side, **child_fields(child))
        if quote is not None and quote.is_trade:
            self._log.emit(
                LogEvent.ORDER_PRICED_FROM_LAST_TRADE,
                symbol=parent.symbol,
                last_trade=quote.ask,
                traded_at=quote.at,
            )

    def _settle(self, parent: ParentOrder, settle: Settle) -> None:
        self._run.work.update_parent(parent.settled(settle.outcome, settle.code, settle.message, self._clock.now()))
        log_outcome(self._log, self._run.parents[parent.symbol])

    def _sleep(self, *, has_sent: bool) -> None:
        """Wait for the next look, or until sending is allowed again, but never past a time at which the mode changes.

        What was sent, or should have been, is looked at in the next tick.
        """
        run, now = self._run, self._clock.now()
        mode = run.mode_at(now)  # evaluated again, because the run may have started to yield while it was sending
        if isinstance(mode, Yielding):
            self._clock.sleep(min(_STOPPING_TICK, mode.give_up_at - now))
            return
        tick = seconds(self._config.tick_seconds)
        wait = tick if has_sent else self._next_look(mode) - now
        if self._sender.paused_until is not None:
            wait = max(wait, tick, self._sender.paused_until - now)
        self._clock.sleep(min(wait, run.deadline.stop_at - now))

    def _next_look(self, mode: RunMode) -> datetime:
        """Return the time of the next look: at most a tick after the end of the session or of the plan."""
        run, now, tick = self._run, self._clock.now(), seconds(self._config.tick_seconds)
        contexts = {side: replace(self._context(side, mode), now=self._reader.started_at) for side in Side}
        at = next_look(run.unsettled(), contexts, now, self._config)
        ends = (end for end in (run.plan_ends_at, run.closes_at) if end is not None)
        return min(at, max(now + tick, min(ends)))


def _has_no_open_child(parent: ParentOrder) -> bool:
    return parent.open_child is None
