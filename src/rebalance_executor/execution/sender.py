"""The sender: the last line before the broker. What is journalled goes out here, or is refused by a control."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rebalance_executor.domain import controls
from rebalance_executor.domain.config import ExecutionConfig
from rebalance_executor.domain.errors import (
    BrokerUnavailable,
    CircuitOpen,
    CredentialsRejected,
    DuplicateClientOrderId,
    JournalUnavailable,
    OrderRejected,
    OutcomeUnknown,
    OverfillGuard,
    RateLimited,
)
from rebalance_executor.domain.market import BrokerOrder, Side
from rebalance_executor.domain.orders import ChildOrder, ChildState, ParentOrder
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.kill_switch import BEFORE_SENDING, KillSwitch
from rebalance_executor.execution.order_events import child_fields, log_closed, log_outcome
from rebalance_executor.execution.ports import Broker, Ports
from rebalance_executor.execution.run import Run

_PAUSE = timedelta(seconds=5)
"""How long sending pauses after a 429 that does not say until when, and after an order that was lost again."""

_MINUTE = timedelta(minutes=1)


@dataclass(slots=True)
class TickActions:
    """What one tick decided to send, by symbol."""

    submits: list[str] = field(default_factory=list)
    cancels: list[str] = field(default_factory=list)


class Sender:
    """Sends what a run decided, through one broker account."""

    def __init__(self, ports: Ports, broker: Broker, switch: KillSwitch, config: ExecutionConfig) -> None:
        self._broker = broker
        self._clock = ports.clock
        self._log = ports.log
        self._config = config
        self._switch = switch
        self._sent_at: deque[datetime] = deque()
        self._rejects = 0
        self._messages = 0
        """Submissions and cancels of the plan so far, those included that are journalled to be sent."""
        self.paused_until: datetime | None = None
        """Until when nothing is submitted: the broker's rate limit is reached, or orders go on being lost."""

    def send(self, run: Run, orders: TickActions) -> bool:
        """Send what was decided and journalled; returns whether the next look is worth taking at once.

        Raises:
            OverfillGuard: a submission would have exceeded its parent; nothing more was sent.
            CredentialsRejected: as it says; nothing more was sent.
        """
        for symbol in orders.cancels:
            self.cancel(run, symbol)
        answered = bool(orders.submits)
        self._messages = controls.messages(run.parents.values())
        for symbol in orders.submits:
            now = self._clock.now()
            if run.is_over(now) or (self.paused_until is not None and now < self.paused_until):
                return False
            if run.conclude is not None:
                return True
            answered = self._submit(run, run.parents[symbol]) and answered
        return answered

    def check_kill_switch(self, run: Run, side: Side, max_age: timedelta) -> bool:
        """Whether the kill switch, at most so old, lets orders of this side out.

        If it does not, the run concludes; if it cannot be read, the run yields: without its word nothing is sent.
        """
        try:
            refusal = self._switch.denial(max_age, side)
        except JournalUnavailable as error:
            run.break_off(f"the kill switch cannot be read: {error}", self._clock.now())
            return False
        if refusal is not None:
            run.stop(refusal, self._log)
        return refusal is None

    def count_late_reject(self, run: Run) -> None:
        """Count an order that the broker accepted first and rejected then."""
        self._count_reject(run)

    def cancel(self, run: Run, symbol: str) -> bool:
        """Ask for the cancel of what rests for this symbol; whether the broker answered.

        Raises:
            CredentialsRejected: as it says.
        """
        child = run.parents[symbol].open_child
        if child is None or child.order_id is None:
            return True
        self._sent_at.append(self._clock.now())
        try:
            is_taken = self._broker.cancel(child.order_id)
        except BrokerUnavailable:
            run.update_child(symbol, replace(child, cancel_requested_at=None))  # asked again at the next tick
            return False
        if not is_taken:  # it ended meanwhile, or the broker does not know it well enough yet
            run.cancels_not_accepted[child.client_order_id] = self._clock.now()
        self._log.emit(LogEvent.ORDER_CANCEL_REQUESTED, symbol=symbol, **child_fields(child))
        return True

    def _submit(self, run: Run, parent: ParentOrder) -> bool:
        """Send the parent's open child once; returns whether the broker gave a definite answer."""
        child = parent.open_child
        if child is None:
            return True
        self._guard(parent)
        try:
            self._broker.wait_for_rate_limit(
                run.deadline.stop_at
            )  # before the last looks: nothing is waited for after them
        except RateLimited as error:
            self._deferred(run, parent, error)
            return False
        if not self._may_send(run, parent, child):
            return True
        if run.is_over(self._clock.now()) or not self._switch.is_fresh(BEFORE_SENDING):
            return False  # looking took so long that others may have taken over, or a person may have halted
        run.unsent.discard(child.client_order_id)  # from here on it may exist, whatever stops us
        now = self._clock.now()
        child = replace(child, sent_at=now)
        self._sent_at.append(now)
        try:
            order = self._broker.submit(child.request(parent.symbol, parent.side))
        except (RateLimited, CircuitOpen, CredentialsRejected) as error:  # certainly not accepted
            run.unsent.add(child.client_order_id)
            self._deferred(run, parent, error)
            return False
        except OrderRejected as error:
            self._rejected(run, parent, child, error)
            return True
        except (OutcomeUnknown, DuplicateClientOrderId) as error:
            run.update_child(parent.symbol, child.as_unknown(self._clock.now()))
            self._log.emit(
                LogEvent.ORDER_OUTCOME_UNKNOWN, symbol=parent.symbol, reason=str(error), **child_fields(child)
            )
            if child.resent and isinstance(error, OutcomeUnknown):
                self.paused_until = self._clock.now() + _PAUSE  # at every tick it would use up the rate limit
            return False
        self._accepted(run, parent, child, order)
        return True

    # --- the last line -----------------------------------------------------------------------------------

    def _guard(self, parent: ParentOrder) -> None:
        problem = controls.overfill(parent)
        if problem is not None:
            raise OverfillGuard(problem, symbol=parent.symbol, exposure=parent.exposure, qty=parent.qty)

    def _may_send(self, run: Run, parent: ParentOrder, child: ChildOrder) -> bool:
        """Whether the controls let this child out. What they refuse is settled, or concludes the run."""
        if not self.check_kill_switch(run, parent.side, BEFORE_SENDING):
            return False
        stop = controls.message_denial(self._messages, self._in_last_minute() + 1, self._config)
        if stop is not None:
            run.stop(stop, self._log)
            return False
        if child.resent:
            return True  # judged when it was sent first: its repetition must be the very same order
        config = self._config.for_symbol(parent.symbol)
        refusal = controls.child_denial(parent, child, config, config.price_collar)
        if refusal is None:
            return True
        run.unsent.discard(child.client_order_id)
        run.update_child(parent.symbol, replace(child, state=ChildState.NOT_SENT))
        run.update_parent(run.parents[parent.symbol].denied(refusal.code, refusal.message, self._clock.now()))
        log_outcome(self._log, run.parents[parent.symbol])
        return False

    def _in_last_minute(self) -> int:
        since = self._clock.now() - _MINUTE
        while self._sent_at and self._sent_at[0] <= since:
            self._sent_at.popleft()
        return len(self._sent_at)

    # --- answers -----------------------------------------------------------------------------------------

    def _accepted(self, run: Run, parent: ParentOrder, child: ChildOrder, order: BrokerOrder) -> None:
        self._rejects = 0
        after = child.with_report(order, self._clock.now())
        run.update_child(parent.symbol, after)
        self._log.emit(LogEvent.ORDER_SUBMITTED, symbol=parent.symbol, side=parent.side, **child_fields(after))
        if not after.is_open:
            log_closed(self._log, parent.symbol, after)

    def _deferred(self, run: Run, parent: ParentOrder, error: RateLimited | CircuitOpen | CredentialsRejected) -> None:
        if isinstance(error, RateLimited):  # the same order goes out later
            self.paused_until = error.retry_at or self._clock.now() + _PAUSE
            self._log.emit(LogEvent.BROKER_RATE_LIMITED, symbol=parent.symbol, retry_at=self.paused_until)
        elif isinstance(error, CircuitOpen):
            run.break_off(str(error), self._clock.now())
            self._log.emit(LogEvent.CIRCUIT_OPENED, reason=str(error))
        else:
            raise error

    def _rejected(self, run: Run, parent: ParentOrder, child: ChildOrder, error: OrderRejected) -> None:
        """A definite no. Where the same order was sent before, that submission may have come through, or may yet."""
        text = f"{error.reason} (HTTP {error.http_status}, code {error.broker_code})"
        refused = replace(child, error_code=str(error.broker_code or error.http_status), error_message=text)
        if child.resent:
            run.update_child(parent.symbol, replace(refused, state=ChildState.UNKNOWN))
        else:
            rejected = replace(refused, state=ChildState.REJECTED, status="rejected", closed_at=self._clock.now())
            run.update_child(parent.symbol, rejected)
        self._log.emit(
            LogEvent.ORDER_REJECTED, symbol=parent.symbol, reason=text, in_answer=True, **child_fields(refused)
        )
        self._count_reject(run)

    def _count_reject(self, run: Run) -> None:
        self._rejects += 1
        refusal = controls.consecutive_rejects_denial(self._rejects, self._config)
        if refusal is not None and run.conclude is None:
            self._switch.trip(refusal.message)
            run.stop(refusal, self._log)
