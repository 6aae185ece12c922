"""The sender: the last checks before the broker. It sends a journalled order, or a control denies it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import partial
from itertools import batched
from typing import NoReturn

from rebalance_executor.domain import controls
from rebalance_executor.domain.auction import is_cancelable
from rebalance_executor.domain.codes import Code
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
    RebalanceError,
)
from rebalance_executor.domain.ladder import FAR
from rebalance_executor.domain.market import BrokerOrder, OrderRequest, Side
from rebalance_executor.domain.orders import ChildOrder, ChildState, ParentOrder
from rebalance_executor.domain.values import seconds
from rebalance_executor.execution.account_access import AccountAccess
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.kill_switch import BEFORE_SENDING
from rebalance_executor.execution.order_events import child_fields, log_closed, log_outcome
from rebalance_executor.execution.run import Run

_TICKS_PER_MINUTE = 4
"""Ticks in which the rate limit of a minute may be used up by new orders. By Alpaca's limit these are 50 per tick: at
40 milliseconds each, the last one leaves while its quote is recent."""
_MAX_LATE_TICKS = 5
"""Ticks in a row whose orders are too old before they can be sent; then another run, on another machine, continues."""
_PAUSE = timedelta(seconds=5)
"""Pause after a 429 without a time, and after a second submission of the same order without an answer."""

_MINUTE = timedelta(minutes=1)

_WORDS_OF_FLAGS = ("asset", "tradable", "fractionable")
"""Words of Alpaca's rejections that contradict an asset's flags: *not fractionable*, *not active*, *not found*.

Its numeric codes are too coarse to tell. A rejection that is taken for one by mistake costs one more request.
"""


@dataclass(slots=True)
class TickActions:
    """Submissions and cancels that one tick decided to send, by symbol."""

    submits: list[str] = field(default_factory=list)
    cancels: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Submission:
    """A child that passed the last checks, with the time at which it is sent."""

    parent: ParentOrder
    child: ChildOrder


class Sender:
    """The sender of one run's orders and cancels, with the counts that the controls need."""

    def __init__(self, run: Run, access: AccountAccess) -> None:
        self._run = run
        self._broker = access.broker
        self._clock = access.clock
        self._log = access.log
        self._config = access.config
        self._kill_switch = access.kill_switch
        self._assets = access.ports.assets
        self._sent_at = access.sent_at
        self._rejects = 0
        """Consecutive rejects."""
        self._counted: set[str] = set()
        """Client order IDs whose reject is counted: a reject is read more than once before it is final."""
        self._messages = 0
        """Submissions and cancels of the plan so far, including those journalled to be sent."""
        self.orders_per_tick = max(1, access.config.rate_limit_per_minute // _TICKS_PER_MINUTE)
        """New orders per tick: fewer once a tick could not send all of them in time."""
        self._late_ticks = 0
        """Ticks in a row whose orders were too old before they could be sent."""
        self.paused_until: datetime | None = None
        """Time before which no order is submitted: after HTTP 429, or after repeated submissions without an answer."""

    @property
    def is_paused(self) -> bool:
        """True while no order is submitted."""
        return self.paused_until is not None and self._clock.now() < self.paused_until

    def send(self, actions: TickActions) -> bool:
        """Send the actions of a tick, which are journalled; return whether the next look should follow at once.

        Raises:
            OverfillGuard: a submission would have exceeded its parent; it was not sent.
            CredentialsRejected: the broker rejected the keys; that submission is unknown, and no other follows.
        """
        run = self._run
        # Cancels first and without checks: no control may keep an order open.
        for symbol in actions.cancels:
            self.cancel(symbol)
        self._messages = controls.count_messages(run.parents.values())
        sent, has_answers = 0, True
        for window in batched(actions.submits, self._config.submission_window):
            ready: list[_Submission] = []
            for symbol in window:
                if (look_at_once := self._stops_before(symbol, sent + len(ready))) is not None:
                    return self._submit(ready) and has_answers and look_at_once
                prepared = self._prepare(run.parents[symbol])
                if isinstance(prepared, _Submission):
                    ready.append(prepared)
                else:
                    has_answers &= prepared
            sent += len(ready)
            has_answers &= self._submit(ready)
        return has_answers and not all(_rests(run.parents[symbol]) for symbol in actions.submits)

    def _stops_before(self, symbol: str, number: int) -> bool | None:
        """Return None if this order may be the next one, which ``number`` were sent before in this tick.

        Otherwise return whether the next look should follow at once.
        """
        run = self._run
        if run.is_over(self._clock.now()) or self.is_paused:
            return False
        if run.denial is not None:
            return True
        if self._is_stale(run.parents[symbol]):  # the next tick prices it again, with all that follow
            self.orders_per_tick = number or self.orders_per_tick
            return True
        return None

    def pause(self, error: RateLimited) -> None:
        """Submit nothing until the rate limit allows it again."""
        self.paused_until = error.retry_at or self._clock.now() + _PAUSE
        self._log.emit(LogEvent.BROKER_RATE_LIMITED, retry_at=self.paused_until)

    def count_late_tick(self) -> None:
        """Count a tick whose orders were too old before they could be sent. Too many in a row make the run yield.

        Each one adds an order to the journal that was not sent, which must not last for the whole run.
        """
        self._late_ticks += 1
        if self._late_ticks >= _MAX_LATE_TICKS:
            text = f"no order could be sent while its quote was recent, {self._late_ticks} times in a row"
            self._run.yield_early(text, self._clock.now())

    def _is_stale(self, parent: ParentOrder) -> bool:
        """Return whether the quote or the reading behind the parent's unsent order is too old for it."""
        child = parent.open_child
        return child is not None and self._run.outbox.is_too_late(child, self._clock.now())

    def check_kill_switch(self, side: Side, max_age: timedelta) -> bool:
        """Check the kill switch; return whether orders of this side may be sent.

        If not, the run concludes, or only its buys while the account may still sell. If the switch cannot be read, the
        run yields: nothing is sent without it.
        """
        if side is Side.BUY and self._run.buys_denial is not None:
            return False
        try:
            denial = self._kill_switch.denial(max_age, side)
        except JournalUnavailable as error:
            self._run.yield_early(f"the kill switch cannot be read: {error}", self._clock.now())
            return False
        if denial is not None:
            self._run.conclude(denial, self._log, side if denial.code is Code.REDUCING_ONLY else None)
        return denial is None

    def count_reject(self, child: ChildOrder) -> None:
        """Count a reject once, at its first sight. Too many consecutive ones halt the account.

        Those of auctions do not count: an item sends one such order, and an account may lack the permission for them.
        """
        if child.client_order_id in self._counted or child.is_for_auction:
            return
        self._counted.add(child.client_order_id)
        self._rejects += 1
        denial = controls.consecutive_rejects_denial(self._rejects, self._config)
        if denial is not None and self._run.denial is None:
            self._kill_switch.trip(denial.message)
            self._run.conclude(denial, self._log)

    def cancel(self, symbol: str) -> bool:
        """Send a cancel for this symbol's open order; return whether the broker answered.

        An order whose auction's cut-off has passed since the decision keeps resting: nothing is sent.

        Raises:
            CredentialsRejected: the broker rejected the keys.
        """
        run = self._run
        child = run.parents[symbol].open_child
        if child is None or child.order_id is None:
            return True
        if not is_cancelable(run.parents[symbol], self._clock.now()):
            if child.client_order_id not in run.outbox.cancels_answered:
                run.work.update_child(symbol, replace(child, cancel_requested_at=None))
            return True
        self._sent_at.append(self._clock.now())
        try:
            is_accepted = self._broker.cancel(child.order_id)
        except BrokerUnavailable:
            run.work.update_child(symbol, replace(child, cancel_requested_at=None))  # sent again in the next tick
            return False
        run.outbox.cancels_answered.setdefault(child.client_order_id, []).append(self._clock.now())
        if not is_accepted:
            run.outbox.cancels_refused.add(child.client_order_id)
        self._log.emit(LogEvent.ORDER_CANCEL_REQUESTED, symbol=symbol, **child_fields(child))
        return True

    def _prepare(self, parent: ParentOrder) -> _Submission | bool:
        """Check the parent's open child for the last time; return it as it is to be sent, unless a check forbids it.

        Otherwise return whether the next look may follow at once: not if it could only not be sent now.
        """
        run, child = self._run, parent.open_child
        if child is None:
            return True
        self._guard(parent)
        if not self._may_send(parent, child):
            return True
        if run.is_over(self._clock.now()) or not self._kill_switch.is_fresh(BEFORE_SENDING) or self._is_stale(parent):
            return False  # after slow checks another run may hold the lease, or the market may have moved
        child = replace(child, sent_at=self._clock.now())
        self._sent_at.append(child.latest_send)
        return _Submission(parent, child)

    def _submit(self, submissions: Sequence[_Submission]) -> bool:
        """Send these orders, together if there are more than one; return whether each one got an answer.

        Raises:
            CredentialsRejected: as for ``send``, after the answers to all of them are noted.
        """
        # They may exist from here on, even if the run is killed.
        send_by = [self._run.outbox.unsent.pop(submission.child.client_order_id) for submission in submissions]
        requests = [one.child.request(one.parent.symbol, one.parent.side) for one in submissions]
        has_answers, refused = True, None
        for submission, by, answer in zip(submissions, send_by, self._answers(requests), strict=True):
            self._late_ticks = 0
            try:
                has_answers &= self._take(submission, by, answer)
            except CredentialsRejected as error:
                refused = error
        if refused is not None:
            raise refused
        return has_answers

    def _answers(self, requests: Sequence[OrderRequest]) -> Sequence[Callable[[], BrokerOrder]]:
        if len(requests) == 1:
            return [lambda: self._broker.submit(requests[0])]
        try:
            return self._broker.submit_together(requests) if requests else []
        except (RateLimited, CircuitOpen) as error:  # none was sent
            return [partial(_raise, error)] * len(requests)

    def _take(self, submission: _Submission, send_by: datetime, answer: Callable[[], BrokerOrder]) -> bool:
        """Note the broker's answer; return False if the order was not accepted for now, or got no answer."""
        run, parent, child = self._run, submission.parent, submission.child
        try:
            order = answer()
        except (RateLimited, CircuitOpen) as error:  # certainly not accepted
            if child.resent:  # looked up again before the next attempt: its cover was checked for this moment
                run.work.update_child(parent.symbol, replace(child, state=ChildState.UNKNOWN, sent_at=None))
            else:
                run.outbox.unsent[child.client_order_id] = send_by
            self._deferred(error)
            return False
        except OrderRejected as error:
            self._rejected(parent, child, error)
            return True
        except (OutcomeUnknown, DuplicateClientOrderId) as error:
            self._unknown(parent, child, error)
            return False
        except CredentialsRejected as error:  # a gateway may have answered after the effect: the next run looks it up
            self._unknown(parent, child, error)
            raise
        self._accepted(parent, child, order)
        return True

    # --- last checks -------------------------------------------------------------------------------------

    def _guard(self, parent: ParentOrder) -> None:
        problem = controls.overfill(parent)
        if problem is not None:
            raise OverfillGuard(problem, symbol=parent.symbol, exposure=parent.exposure, qty=parent.qty)

    def _may_send(self, parent: ParentOrder, child: ChildOrder) -> bool:
        """Check the controls for this child. A denial settles the parent or concludes the run."""
        run = self._run
        if not self.check_kill_switch(parent.side, BEFORE_SENDING):
            return False
        limit = controls.message_denial(self._messages, self._count_last_minute() + 1, self._config)
        if limit is not None:
            run.conclude(limit, self._log)
            return False
        if child.resent:
            return True  # checked when it was first sent; it must be sent again unchanged
        config = self._config.for_symbol(parent.symbol)
        denial = controls.child_denial(parent, child, config, config.price_collar)
        if denial is None:
            return True
        del run.outbox.unsent[child.client_order_id]
        run.work.update_child(parent.symbol, replace(child, state=ChildState.NOT_SENT))
        denied = run.parents[parent.symbol].denied(denial.code, denial.message, self._clock.now())
        run.work.update_parent(denied)
        log_outcome(self._log, denied)
        return False

    def _count_last_minute(self) -> int:
        since = self._clock.now() - _MINUTE
        while self._sent_at and self._sent_at[0] <= since:
            self._sent_at.popleft()
        return len(self._sent_at)

    # --- answers -----------------------------------------------------------------------------------------

    def _accepted(self, parent: ParentOrder, child: ChildOrder, order: BrokerOrder) -> None:
        after = child.with_report(order, self._clock.now(), seconds(self._config.tick_seconds))
        self._run.work.update_child(parent.symbol, after)
        self._log.emit(LogEvent.ORDER_SUBMITTED, symbol=parent.symbol, side=parent.side, **child_fields(after))
        if not after.is_open:
            log_closed(self._log, parent.symbol, after)
        if after.status == "rejected":  # an answer of 200 can hold a reject
            self.count_reject(child)
        elif not child.is_for_auction:
            self._rejects = 0

    def _deferred(self, error: RateLimited | CircuitOpen) -> None:
        """Handle an order that was certainly not accepted: it stays journalled and unsent."""
        if isinstance(error, RateLimited):
            self.pause(error)
        else:
            self._run.yield_early(str(error), self._clock.now())
            self._log.emit(LogEvent.CIRCUIT_OPENED, reason=str(error))

    def _unknown(
        self,
        parent: ParentOrder,
        child: ChildOrder,
        error: OutcomeUnknown | DuplicateClientOrderId | CredentialsRejected,
    ) -> None:
        self._run.work.update_child(parent.symbol, child.as_unknown(self._clock.now()))
        self._log.emit(LogEvent.ORDER_OUTCOME_UNKNOWN, symbol=parent.symbol, reason=str(error), **child_fields(child))
        if child.resent and isinstance(error, OutcomeUnknown):
            self.paused_until = self._clock.now() + _PAUSE  # once per tick would use up the rate limit

    def _rejected(self, parent: ParentOrder, child: ChildOrder, error: OrderRejected) -> None:
        """Handle a definite reject. If the order was sent before, the earlier submission may still arrive."""
        text = f"{error.reason} (HTTP {error.http_status}, code {error.broker_code})"
        rejected = replace(child, error_code=str(error.broker_code or error.http_status), error_message=text)
        after = (
            replace(rejected, state=ChildState.UNKNOWN)
            if child.resent
            else replace(rejected, state=ChildState.REJECTED, status="rejected", closed_at=self._clock.now())
        )
        self._run.work.update_child(parent.symbol, after)
        self._log.emit(
            LogEvent.ORDER_REJECTED, symbol=parent.symbol, reason=text, on_submission=True, **child_fields(rejected)
        )
        if any(word in error.reason.lower() for word in _WORDS_OF_FLAGS):
            self._drop_flags(parent.symbol)
        if not controls.is_explained_by_plan(error.reason):
            self.count_reject(child)

    def _drop_flags(self, symbol: str) -> None:
        """Drop the cached flags that a rejection contradicts, so that the next plan reads them from the broker."""
        try:
            self._assets.drop(symbol, now=self._clock.now())
        except JournalUnavailable as error:
            self._log.emit(LogEvent.ASSET_CACHE_WRITE_FAILED, symbol=symbol, reason=str(error))


def _rests(parent: ParentOrder) -> bool:
    """Return whether the parent's order is at the broker and does not cross the spread: no fill is expected at once."""
    child = parent.open_child
    return child is not None and child.spread_fraction is not None and child.spread_fraction < FAR


def _raise(error: RebalanceError) -> NoReturn:
    raise error
