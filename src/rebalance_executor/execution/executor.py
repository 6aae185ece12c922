"""The executor: one synchronous loop per wave — look, decide, journal, send.

A wave is all parents of one side, worked together. Every order is journalled before it is sent, every decision uses
the broker's latest report, and the effect of a submission without an answer is queried at the broker. The
decisions are in ``domain.strategy``.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta

from rebalance_executor.domain.cash import Allowance, allowances, child_cost, committed
from rebalance_executor.domain.errors import PlanYielded, RateLimited, Redeliver
from rebalance_executor.domain.market import ZERO, BrokerOrder, OrderType, Side
from rebalance_executor.domain.orders import (
    ORDER_LOOKBACK,
    ChildOrder,
    ChildPhase,
    ChildState,
    ParentOrder,
    child_order_id,
)
from rebalance_executor.domain.pricing import collar, far_touch, is_inside
from rebalance_executor.domain.strategy import (
    Cancel,
    DecisionContext,
    Place,
    RunMode,
    Settle,
    Working,
    Yielding,
    decide,
    needs_quote,
)
from rebalance_executor.domain.values import seconds
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.holdings import NOTHING, Limit
from rebalance_executor.execution.kill_switch import WHILE_RESTING
from rebalance_executor.execution.order_events import child_fields, log_closed, log_outcome
from rebalance_executor.execution.reconciliation import count_late_fills
from rebalance_executor.execution.run import Run
from rebalance_executor.execution.sender import Sender, TickActions

_ROUND_TRIP = timedelta(seconds=1)
"""Time that an order may take to the broker, in addition to the age of its quote and of its reading."""
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
        self._looked_at = self._clock.now()
        """Start of the latest look: what it did not show may have happened since."""
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

    def work(self, side: Side) -> None:
        """Work every unsettled parent of ``side`` until it has an outcome.

        Raises:
            PlanYielded: the run had to stop first; open orders were canceled as far as time allowed.
            BrokerUnavailable: a read failed after its retries.
            CredentialsRejected, Fenced, JournalUnavailable: no further order was sent.
            OverfillGuard: a submission would have exceeded its parent; it was not sent.
        """
        was_yielding = False
        while self._run.unsettled(side):
            absent = self._look(side)
            mode = self._mode(side)
            if isinstance(mode, Yielding) and not was_yielding:
                was_yielding = True
                self._log.emit(LogEvent.RUN_YIELDING, give_up_at=mode.give_up_at, reason=mode.reason)
            self._handle_absent(absent, mode)
            actions = self._decide(side, mode)
            if not self._run.unsettled(side):
                return  # nothing is left to send; the next write journals what the broker reported
            # Before anything is sent: no order may exist at the broker that the journal does not know.
            self.save()
            if isinstance(mode, Yielding) and (self._is_withdrawn(side) or self._clock.now() >= mode.give_up_at):
                raise PlanYielded(f"{mode.reason}; the next delivery continues with the {side.lower()}s")
            if not self._sender.send(actions) and self._run.unsettled(side):
                self._sleep()

    def withdraw(self) -> None:
        """Journal and send a cancel for every working order, as long as journal and broker answer.

        A run that an error ends uses it first. The next run waits for the confirmations and sends the
        cancels that this run could not send.
        """
        withdrawn: list[str] = []
        for parent in list(self._run.parents.values()):
            child = parent.open_child
            if parent.outcome is None and child is not None and child.phase is ChildPhase.WORKING:
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

    # --- look --------------------------------------------------------------------------------------------

    def _look(self, side: Side) -> dict[str, datetime]:
        """Apply the broker's reports to the open children of this side.

        This takes one list request, and one more for each child that the list does not contain, or whose row
        contradicts what was sent or reported before: a list can be late or wrong.

        Returns:
            The symbols whose child the broker does not know, with the time of that answer.
        """
        run, absent = self._run, dict[str, datetime]()
        self._looked_at = self._clock.now()
        pairs = [(p, c) for p in run.unsettled(side) if (c := p.open_child) and not run.outbox.holds(c)]
        waiting = self._waiting(side)
        if not pairs and not waiting:
            return absent
        # A child without an answer may have been sent at any time since the plan started.
        sent = [c.latest_send if c.state is ChildState.LIVE else run.state.started_at for _, c in pairs]
        sent += [run.state.started_at for _ in waiting]
        symbols = [parent.symbol for parent in (*(parent for parent, _ in pairs), *waiting)]
        listed = self._broker.orders(symbols, min(sent) - ORDER_LOOKBACK)
        by_client_id = {order.client_order_id: order for order in listed}
        for parent in waiting:
            if count_late_fills(run, self._access, parent.symbol, by_client_id):
                run.outbox.withdraw_overfilled(run.work, parent.symbol)
        for before, child in pairs:
            count_late_fills(run, self._access, before.symbol, by_client_id)  # of earlier orders of the parent
            parent = run.parents[before.symbol]
            order = by_client_id.get(child.client_order_id)
            if order is None or self._is_doubtful(parent, child, order):
                order = self._broker.order_by_client_id(child.client_order_id) or order
            if order is not None:
                self._report(parent, child, order)
            elif child.state is not ChildState.LIVE:
                absent[parent.symbol] = self._clock.now()
        return absent

    def _waiting(self, side: Side) -> list[ParentOrder]:
        """Return the parents whose next order is not sent yet: a fill may follow the end of their last one."""
        if self._sender.is_paused:
            return []
        return [
            parent
            for parent in self._run.unsettled(side)
            if parent.remaining > 0
            and (parent.open_child is None or self._run.outbox.holds(parent.open_child))
            and any(child.order_id is not None for child in parent.children)
        ]

    def _is_doubtful(self, parent: ParentOrder, child: ChildOrder, listed: BrokerOrder) -> bool:
        """Return whether a row of the list must be confirmed by ID.

        It contradicts what was sent or reported before, or it is the second reading of an order that ended without
        all of its fills: a list that is late by more than a tick would confirm itself.
        """
        was_refused = self._run.outbox.take_refused_cancel(child)
        wait, since = seconds(self._config.cancel_wait_seconds), child.cancel_requested_at
        is_overdue = since is not None and self._clock.now() - since >= wait  # an operator would have to look
        if child.closed_since is not None or listed.filled_qty < child.filled_qty:
            return True
        if not listed.is_for(parent.symbol, parent.side, child.qty):
            return True
        return (was_refused or is_overdue) and not listed.is_terminal

    def _report(self, parent: ParentOrder, child: ChildOrder, order: BrokerOrder) -> None:
        """Apply the broker's report to the child."""
        if not order.is_for(parent.symbol, parent.side, child.qty):
            self._run.work.update_child(parent.symbol, child.with_other_content(order, self._clock.now()))
            return
        after = child.with_report(order, self._clock.now(), seconds(self._config.tick_seconds))
        if child.order_id is None:
            self._log.emit(LogEvent.ORDER_FOUND, symbol=parent.symbol, **child_fields(after))
        if after != child:
            self._run.work.update_child(parent.symbol, after)
        if not after.is_open:
            log_closed(self._log, parent.symbol, after)
        if after.status == "rejected":
            self._sender.count_reject(child)

    def _handle_absent(self, absent: dict[str, datetime], mode: RunMode) -> None:
        """Handle children that the broker does not know: send them again, or wait until they can no longer arrive."""
        work = self._run.work
        if absent and isinstance(mode, Working):
            self._read_holdings([self._run.parents[symbol] for symbol in absent])
        for symbol, answered_at in absent.items():
            child = self._run.parents[symbol].open_child
            if child is None:
                continue
            may_still_arrive = answered_at - child.latest_send < seconds(self._config.arrival_horizon_seconds)
            if child.phase is ChildPhase.RESEND_REJECTED:
                if not may_still_arrive:
                    work.update_child(symbol, replace(child, state=ChildState.REJECTED, closed_at=answered_at))
            elif isinstance(mode, Working) and self._is_covered(self._run.parents[symbol], child):
                work.update_child(symbol, child.to_resend(answered_at))
                self._run.outbox.unsent[child.client_order_id] = self._covered_until(self._run.parents[symbol])
                self._log.emit(LogEvent.ORDER_RESENT, symbol=symbol, client_order_id=child.client_order_id)
            elif not isinstance(mode, Yielding) and not may_still_arrive:
                work.update_child(symbol, replace(child, state=ChildState.NOT_SENT))

    def _read_holdings(self, lost: list[ParentOrder]) -> None:
        """Read cash or positions before orders are sent again unchanged: their own checks were made long ago."""
        if lost[0].side is Side.SELL:
            self._holdings.read_positions([parent.symbol for parent in lost], lost)
        else:
            self._holdings.read_account(self._run.parents.values())

    def _is_inside_collar(self, parent: ParentOrder) -> bool:
        """Return whether the market is inside the parent's collar now, by a usable quote."""
        self._quotes.refresh([parent.symbol])
        quote = self._quotes.latest.get(parent.symbol)
        if quote is None or parent.arrival is None or self._quotes.problem(parent.symbol) is not None:
            return False
        worst = collar(parent.side, parent.arrival, self._config.for_symbol(parent.symbol).price_collar)
        return is_inside(parent.side, far_touch(parent.side, quote), worst)

    def _is_covered(self, parent: ParentOrder, child: ChildOrder) -> bool:
        """Return whether the account still has the cash or the shares for a child that must be sent again unchanged."""
        if parent.exposure > parent.qty:  # after a late fill
            return False
        if child.type is OrderType.MARKET and not self._is_inside_collar(parent):
            return False  # nothing else bounds its price
        if parent.side is Side.SELL:
            return self._holdings.shares(parent).amount >= child.qty
        return self._holdings.covers(self._run.parents.values())

    def _is_withdrawn(self, side: Side) -> bool:
        return not any(parent.open_child for parent in self._run.unsettled(side))

    # --- decide ------------------------------------------------------------------------------------------

    def _mode(self, side: Side) -> RunMode:
        """Check for a stop request and check the kill switch, then return the mode of this tick."""
        run = self._run
        run.check_stop_requested(self._ports)
        if run.denial is None and not run.is_stopping(self._clock.now()):
            self._sender.check_kill_switch(side, WHILE_RESTING)
        return run.mode_at(self._clock.now())

    def _decide(self, side: Side, mode: RunMode) -> TickActions:
        run, actions = self._run, TickActions()
        if isinstance(mode, Working):
            if run.outbox.mark_unsent_not_sent(run.work, late_at=self._clock.now()):
                self._sender.count_late_tick()
        else:
            run.outbox.mark_unsent_not_sent(run.work)
        wave = run.unsettled(side)
        if isinstance(mode, Working):
            self._prepare(side, wave)
        context = DecisionContext(now=self._clock.now(), mode=mode, schedule=run.wave_schedule(side))
        cancel_wait = seconds(self._config.cancel_wait_seconds)
        for parent in wave:
            if run.outbox.take_cancel_retry(run.work, parent.symbol, self._clock.now(), cancel_wait):
                actions.cancels.append(parent.symbol)
            else:
                self._carry_out(parent, self._for_parent(context, parent), actions)
        actions.submits += [p.symbol for p in wave if run.outbox.holds(run.parents[p.symbol].open_child)]
        return actions

    def _prepare(self, side: Side, wave: list[ParentOrder]) -> None:
        """Wait for the rate limit first, then read cash or positions, and quotes last: they age fastest."""
        ready = [parent for parent in wave if parent.open_child is None]
        self._places, self._cash, self._allowances = 0, NOTHING, {}
        if ready and not self._sender.is_paused:
            requests = min(len(ready), self._sender.orders_per_tick) + 1  # one for the account or the positions
            try:
                self._places = self._broker.wait_for_rate_limit(self._run.deadline.stop_at, requests) - 1
            except RateLimited as error:
                self._sender.pause(error)
        if self._places and side is Side.SELL:
            self._holdings.refresh_positions(ready)
        elif self._places:
            self._holdings.refresh_account(self._run.parents.values())
            self._cash = self._read_cash()
        self._quotes.refresh([p.symbol for p in wave if needs_quote(p, self._config)])
        if self._places and side is Side.BUY:
            self._allowances = allowances(wave, self._quotes.latest, self._cash.amount, self._config)

    def _for_parent(self, context: DecisionContext, parent: ParentOrder) -> DecisionContext:
        """Return the context with this parent's quote, and the cash or the shares that it may use, as of now.

        An order at the broker is judged at the time of the look: waits since then show nothing about it.
        """
        problem = self._quotes.problem(parent.symbol)
        context = replace(
            context,
            now=self._clock.now() if parent.open_child is None else self._looked_at,
            quote=self._quotes.latest.get(parent.symbol) if problem is None else None,
            quote_problem=problem,
            quote_missing_since=self._quotes.missing_since(parent.symbol),
        )
        if parent.open_child is not None or not isinstance(context.mode, Working):
            return context
        if parent.side is Side.SELL:
            held = self._holdings.shares(parent)
            return replace(context, held=held.amount, is_shortage_confirmed=held.is_confirmed)
        allowance = self._allowances.get(parent.symbol, Allowance(ZERO))
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
                cost = child_cost(parent, decision.qty, decision.limit_price, self._config.widest_collar)
                self._cash = replace(self._cash, amount=self._cash.amount - cost)
                self._intend(parent, decision)
            case Settle():
                self._settle(parent, decision)
            case Cancel() if parent.open_child is not None:
                child = replace(parent.open_child, cancel_requested_at=self._clock.now())
                self._run.work.update_child(parent.symbol, child)
                actions.cancels.append(parent.symbol)

    def _read_cash(self) -> Limit:
        """Return the dollars that the buys may still commit: by the gate's funds and the latest reading of the cash."""
        state, parents = self._run.state, self._run.parents.values()
        used = committed(parents, self._config.widest_collar)
        left, budget_left = (state.buy_funds or ZERO) - used, (state.buy_budget or ZERO) - used
        cash = self._holdings.cash(parents, left)
        if cash.amount >= left:
            return Limit(left)
        # The buffer covers small differences, such as fees.
        if cash.amount < budget_left and cash.is_confirmed and not self._is_short_of_cash:
            self._is_short_of_cash = True
            self._log.emit(LogEvent.GATE_BUDGET_REDUCED, budget_left=budget_left, cash_left=cash.amount)
        return cash

    def _intend(self, parent: ParentOrder, place: Place) -> None:
        """Prepare a new child: it is journalled with the next write and sent after it."""
        run, now = self._run, self._clock.now()
        attempt, quote = len(parent.children) + 1, self._quotes.latest.get(parent.symbol)
        child = ChildOrder(
            attempt=attempt,
            client_order_id=child_order_id(run.state.account, run.state.plan_id, parent.symbol, attempt),
            type=place.type,
            qty=place.qty,
            limit_price=place.limit_price,
            intended_at=now,
            spread_fraction=place.spread_fraction,
            bid=quote.bid if quote is not None else None,
            ask=quote.ask if quote is not None else None,
            extended_hours=run.is_before_open(now),
        )
        run.work.update_child(parent.symbol, child)
        quoted_at = self._quotes.read_at(parent.symbol) or now
        priced_until = quoted_at + seconds(self._config.quote_refresh_seconds) + _ROUND_TRIP
        run.outbox.unsent[child.client_order_id] = min(priced_until, self._covered_until(parent))
        self._log.emit(LogEvent.ORDER_INTENDED, symbol=parent.symbol, side=parent.side, **child_fields(child))
        if quote is not None and quote.is_trade:
            self._log.emit(
                LogEvent.ORDER_PRICED_FROM_LAST_TRADE,
                symbol=parent.symbol,
                last_trade=quote.ask,
                traded_at=quote.at,
            )

    def _covered_until(self, parent: ParentOrder) -> datetime:
        """Return the time after which the reading of cash or position is too old for an order of this parent."""
        read_at = self._holdings.read_at(parent) or self._clock.now()
        return read_at + seconds(self._config.account_refresh_seconds) + _ROUND_TRIP

    def _settle(self, parent: ParentOrder, settle: Settle) -> None:
        self._run.work.update_parent(parent.settled(settle.outcome, settle.code, settle.message, self._clock.now()))
        log_outcome(self._log, self._run.parents[parent.symbol])

    def _sleep(self) -> None:
        """Wait for the next tick, or until sending is allowed again, but never past the time to stop."""
        run, now = self._run, self._clock.now()
        mode = run.mode_at(now)  # evaluated again, because the run may have started to yield while it was sending
        if isinstance(mode, Yielding):
            self._clock.sleep(min(_STOPPING_TICK, mode.give_up_at - now))
            return
        wait = seconds(self._config.tick_seconds)
        if self._sender.paused_until is not None:
            wait = max(wait, self._sender.paused_until - now)
        self._clock.sleep(min(wait, run.deadline.stop_at - now))
