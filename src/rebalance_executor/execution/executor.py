"""The executor: one synchronous loop a wave — look, decide, journal, send.

A wave is all parents of one side, worked together. Whatever is sent was journalled before; whatever is decided
was looked at before; and what a submission did is never guessed. The decisions themselves are in
``domain.strategy``.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

from rebalance_executor.domain.cash import committed
from rebalance_executor.domain.codes import Code
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.controls import quote_problem
from rebalance_executor.domain.errors import Redeliver
from rebalance_executor.domain.market import ZERO, BrokerOrder, Quote, Side
from rebalance_executor.domain.orders import ChildOrder, ChildState, Outcome, ParentOrder, child_order_id
from rebalance_executor.domain.pricing import collar
from rebalance_executor.domain.strategy import Cancel, DecisionContext, Mode, Place, Settle, decide, needs_quote
from rebalance_executor.domain.values import seconds
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.kill_switch import WHILE_RESTING, KillSwitch
from rebalance_executor.execution.order_events import child_fields, log_closed, log_outcome
from rebalance_executor.execution.ports import Broker, Ports
from rebalance_executor.execution.quotes import last_trades
from rebalance_executor.execution.run import Run
from rebalance_executor.execution.sender import Sender, TickActions

_CLOCK_DIFFERENCE = timedelta(minutes=10)
"""How far the broker's clock may be behind ours; orders are listed by the broker's submission time."""

_STOPPING_TICK = timedelta(milliseconds=200)
"""Seconds between looks while the run stops: its whole margin may be little more than a second."""


class Executor:
    """Works the parents of a run to their outcomes through one broker account."""

    def __init__(self, ports: Ports, broker: Broker, switch: KillSwitch, config: ExecutionConfig) -> None:
        self._ports = ports
        self._broker = broker
        self._journal = ports.journal
        self._clock = ports.clock
        self._log = ports.log
        self._config = config
        self._sender = Sender(ports, broker, switch, config)
        self._quotes: dict[str, Quote] = {}
        self._quoted_at: dict[str, datetime] = {}
        """By symbol: the sells' are read while the buys wait."""
        self._missing_since: dict[str, datetime] = {}

    def prime_quotes(self, quotes: dict[str, Quote]) -> None:
        """Take quotes that were read just now, so that they are not read twice."""
        self._quotes, self._quoted_at = dict(quotes), dict.fromkeys(quotes, self._clock.now())

    def work(self, run: Run, side: Side) -> bool:
        """Work every unsettled parent of ``side``.

        Returns:
            True when all are settled; False when the deadline came first and the plan must be yielded.

        Raises:
            BrokerUnavailable: a read failed after its retries.
            CredentialsRejected, Fenced, JournalUnavailable: as they say; nothing more was sent.
            OverfillGuard: a submission would have exceeded its parent; nothing more was sent.
        """
        stopping = False
        while run.unsettled(side):
            self._look(run, side)
            run.check_stop_requested(self._ports)
            if run.conclude is None and self._clock.now() < run.deadline.stop_at:
                self._sender.check_kill_switch(run, side, WHILE_RESTING)
            mode, reason = self._mode(run)
            if mode is Mode.YIELD and not stopping:
                stopping = True
                self._log.emit(
                    LogEvent.RUN_YIELDING, give_up_at=run.deadline.give_up_at, reason=run.broken_off or "deadline"
                )
            orders = self._decide(run, side, mode, reason)
            if not run.unsettled(side):
                return True  # nothing is to be sent: what was seen is journalled with the next write
            self.save(run)
            waves_open = any(parent.open_child for parent in run.unsettled(side))
            if mode is Mode.YIELD and (not waves_open or self._clock.now() >= run.deadline.give_up_at):
                return False
            if not self._sender.send(run, orders) and run.unsettled(side):
                self._sleep(run)
        return True

    def withdraw(self, run: Run) -> None:
        """Ask for the cancel of everything that rests, as far as the broker and the journal answer.

        For a run that ends because it can no longer look: the next one confirms, and asks for what this one could not.
        """
        asked: list[str] = []
        for parent in list(run.parents.values()):
            child = parent.open_child
            if parent.outcome is not None or child is None or child.state is not ChildState.LIVE:
                continue
            if child.cancel_requested_at is None and child.incomplete_since is None:
                run.update_child(parent.symbol, replace(child, cancel_requested_at=self._clock.now()))
                asked.append(parent.symbol)
        with suppress(Redeliver):  # one is under way
            self.save(run)
            all(self._sender.cancel(run, symbol) for symbol in asked)  # until the first that gets no answer

    def save(self, run: Run) -> None:
        """Journal what changed since the last time, in one write."""
        if not run.dirty and not run.unsaved:
            return
        run.write_to(self._journal)

    # --- look --------------------------------------------------------------------------------------------

    def _look(self, run: Run, side: Side) -> None:
        """Bring every open child up to date with one request, plus one for each that it does not show."""
        watched = [p for p in run.unsettled(side) if (c := p.open_child) and c.client_order_id not in run.unsent]
        if not watched:
            return
        children = [child for parent in watched if (child := parent.open_child)]
        # One without an answer may have been sent at any time since the plan was begun.
        sent = [child.latest_send if child.state is ChildState.LIVE else run.state.started_at for child in children]
        listed = self._broker.orders([parent.symbol for parent in watched], min(sent) - _CLOCK_DIFFERENCE)
        by_client_id = {order.client_order_id: order for order in listed}
        for parent in watched:
            child = parent.open_child
            if child is None:
                continue
            order = by_client_id.get(child.client_order_id)
            if order is None:
                order = self._broker.order_by_client_id(child.client_order_id)
            if order is not None:
                self._saw(run, parent, child, order)
            elif child.state is not ChildState.LIVE:
                self._absent(run, parent, child)

    def _saw(self, run: Run, parent: ParentOrder, child: ChildOrder, order: BrokerOrder) -> None:
        now = self._clock.now()
        if (order.symbol, order.side, order.qty) != (parent.symbol, parent.side, child.qty):
            text = f"{order.client_order_id} is order {order.id} at the broker, and not ours: {order.description}"
            self._settle(run, parent, Settle(Outcome.UNRESOLVED, Code.CLIENT_ORDER_ID_MISMATCH, text))
            return
        after = child.with_report(order, now)
        if child.order_id is None:
            self._log.emit(LogEvent.ORDER_FOUND, symbol=parent.symbol, **child_fields(after))
        if after != child:
            run.update_child(parent.symbol, after)
        if not after.is_open:
            log_closed(self._log, parent.symbol, after)
        if after.state is ChildState.REJECTED:
            self._sender.count_late_reject(run)

    def _absent(self, run: Run, parent: ParentOrder, child: ChildOrder) -> None:
        """The broker answered that it does not know this submission — yet."""
        now = self._clock.now()
        mode, _ = self._mode(run)
        may_still_appear = now - child.latest_send < seconds(self._config.arrival_horizon_seconds)
        if child.error_code is not None:  # its repetition was refused: settled once the first can no longer appear
            if not may_still_appear:
                run.update_child(parent.symbol, replace(child, state=ChildState.REJECTED, closed_at=now))
        elif mode is Mode.WORK:
            run.update_child(parent.symbol, child.to_resend(now))
            run.unsent.add(child.client_order_id)  # the very same order, sent once more after it is journalled
            self._log.emit(LogEvent.ORDER_RESENT, symbol=parent.symbol, client_order_id=child.client_order_id)
        elif mode is Mode.CONCLUDE and not may_still_appear:
            run.update_child(parent.symbol, replace(child, state=ChildState.NOT_SENT))

    # --- decide ------------------------------------------------------------------------------------------

    def _mode(self, run: Run) -> tuple[Mode, Code]:
        now = self._clock.now()
        if now >= run.deadline.stop_at:
            return Mode.YIELD, Code.TIME_LIMIT
        if run.conclude is not None:
            return Mode.CONCLUDE, run.conclude
        if run.closes_at is not None and now >= run.closes_at:
            return Mode.CONCLUDE, Code.MARKET_CLOSED
        if now - run.state.started_at >= seconds(self._config.plan_time_limit_minutes * 60):
            return Mode.CONCLUDE, Code.TIME_LIMIT
        return Mode.WORK, Code.TIME_LIMIT

    def _decide(self, run: Run, side: Side, mode: Mode, reason: Code) -> TickActions:
        if mode is not Mode.WORK:
            run.mark_unsent_not_sent()
        orders = TickActions()
        wave = run.unsettled(side)
        if mode is Mode.WORK:
            self._refresh_quotes([p.symbol for p in wave if needs_quote(p, self._config)])
        funds = self._funds(run) if side is Side.BUY else None
        pace = run.wave_schedule(side, self._config)
        for parent in wave:
            if run.take_cancel_retry(parent.symbol, self._clock.now(), seconds(self._config.cancel_wait_seconds)):
                orders.cancels.append(parent.symbol)
                continue
            problem = self._problem(parent.symbol)
            view = DecisionContext(
                now=self._clock.now(),
                mode=mode,
                quote=self._quotes.get(parent.symbol) if problem is None else None,
                quote_problem=problem,
                quote_missing_since=self._missing_since.get(parent.symbol),
                funds=funds,
                reason=reason,
                reason_text=run.conclude_text,
                schedule=pace,
            )
            decision = decide(parent, view, self._config)
            if isinstance(decision, Place):
                self._intend(run, parent, decision)
                funds = funds - self._cost(parent, decision) if funds is not None else None
            elif isinstance(decision, Settle):
                self._settle(run, parent, decision)
            elif isinstance(decision, Cancel) and parent.open_child is not None:
                run.update_child(parent.symbol, replace(parent.open_child, cancel_requested_at=view.now))
                orders.cancels.append(parent.symbol)
        for parent in wave:
            child = run.parents[parent.symbol].open_child
            if child is not None and child.client_order_id in run.unsent:
                orders.submits.append(parent.symbol)
        return orders

    def fresh_quotes(self, symbols: list[str]) -> Mapping[str, Quote]:
        """The usable ones of these symbols' quotes, read again unless those at hand are fresh; or their last trades."""
        self._refresh_quotes(symbols)
        unusable = [symbol for symbol in symbols if self._problem(symbol) is not None]
        usable = {symbol: self._quotes[symbol] for symbol in symbols if symbol not in unusable}
        return usable | last_trades(self._broker, unusable, self._config, self._clock.now())

    def _refresh_quotes(self, symbols: list[str]) -> None:
        """Read the quotes of ``symbols`` again unless those at hand are fresh and usable; one request."""
        if not symbols:
            return
        now = self._clock.now()
        since = now - seconds(self._config.quote_refresh_seconds)
        if all(s in self._quoted_at and self._quoted_at[s] > since and self._problem(s) is None for s in symbols):
            return
        others = {symbol: quote for symbol, quote in self._quotes.items() if symbol not in symbols}
        self._quotes = others | dict(self._broker.quotes(symbols))  # what is not told now is not known any more
        self._quoted_at |= dict.fromkeys(symbols, self._clock.now())
        unusable = [symbol for symbol in symbols if self._problem(symbol) is not None]
        missing = {symbol: self._missing_since.get(symbol, now) for symbol in unusable}
        self._missing_since = {s: at for s, at in self._missing_since.items() if s not in symbols} | missing
        wait = seconds(self._config.quote_wait_seconds - self._config.tick_seconds)  # before the strategy gives up
        waited = [symbol for symbol in unusable if self._clock.now() - missing[symbol] >= wait]
        self._quotes |= last_trades(self._broker, waited, self._config, self._clock.now())

    def _problem(self, symbol: str) -> str | None:
        return quote_problem(self._quotes.get(symbol), self._config.for_symbol(symbol), self._clock.now())

    def _funds(self, run: Run) -> Decimal:
        budget = run.state.buy_budget if run.state.buy_budget is not None else ZERO
        return budget - committed(run.parents.values(), self._config.widest_collar)

    def _cost(self, parent: ParentOrder, place: Place) -> Decimal:
        if place.limit_price is not None:
            return place.qty * place.limit_price
        worst = collar(parent.side, parent.arrival, self._config.widest_collar) if parent.arrival else ZERO
        return place.qty * worst

    def _intend(self, run: Run, parent: ParentOrder, place: Place) -> None:
        attempt, quote = len(parent.children) + 1, self._quotes.get(parent.symbol)
        child = ChildOrder(
            attempt=attempt,
            client_order_id=child_order_id(run.state.account, run.state.plan_id, parent.symbol, attempt),
            type=place.type,
            qty=place.qty,
            limit_price=place.limit_price,
            intended_at=self._clock.now(),
            spread_fraction=place.spread_fraction,
            bid=quote.bid if quote is not None else None,
            ask=quote.ask if quote is not None else None,
            extended_hours=run.is_before_open(self._clock.now()),
        )
        run.update_child(parent.symbol, child)
        run.unsent.add(child.client_order_id)
        self._log.emit(LogEvent.ORDER_INTENDED, symbol=parent.symbol, side=parent.side, **child_fields(child))
        if quote is not None and quote.is_trade:
            self._log.emit(
                LogEvent.ORDER_PRICED_FROM_LAST_TRADE, symbol=parent.symbol, last_trade=quote.ask, traded_at=quote.at
            )

    def _settle(self, run: Run, parent: ParentOrder, settle: Settle) -> None:
        run.update_parent(parent.settled(settle.outcome, settle.code, settle.message, self._clock.now()))
        log_outcome(self._log, run.parents[parent.symbol])

    def _sleep(self, run: Run) -> None:
        """Wait for the next tick, or until sending may go on, but never past the point of stopping."""
        now = self._clock.now()
        if now >= run.deadline.stop_at:
            self._clock.sleep(min(_STOPPING_TICK, run.deadline.give_up_at - now))
            return
        wait = seconds(self._config.tick_seconds)
        if self._sender.paused_until is not None:
            wait = max(wait, self._sender.paused_until - now)
        self._clock.sleep(min(wait, run.deadline.stop_at - now))
