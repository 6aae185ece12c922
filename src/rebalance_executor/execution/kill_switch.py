"""The kill switch as a run sees it: never older than was asked for, and tripped by the program itself."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from rebalance_executor.domain.controls import Denial, switch_denial
from rebalance_executor.domain.errors import InvalidInput, JournalUnavailable
from rebalance_executor.domain.market import Side
from rebalance_executor.domain.risk_state import PROGRAM, KillSwitchRecord, TradingState
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import Ports, RiskStore

BEFORE_SENDING = timedelta(seconds=1)
"""How old the switch may be when an order is sent."""
WHILE_RESTING = timedelta(seconds=5)
"""How old it may be while orders only rest."""


class KillSwitch:
    """Reads and trips the kill switch of one account, for one run."""

    def __init__(self, ports: Ports, account: str) -> None:
        self._account = account
        self._book = ports.risk_store
        self._clock = ports.clock
        self._log = ports.log
        self._known: KillSwitchRecord | None = None
        self._read_at: datetime | None = None

    def prime(self, switch: KillSwitchRecord, read_at: datetime) -> None:
        """Take a switch that was read at that time, so that it is not read twice."""
        self._known, self._read_at = switch, read_at

    def denial(self, max_age: timedelta, side: Side | None = None) -> Denial | None:
        """What the switch forbids, read again where what is known is older than ``at_most``.

        Raises:
            JournalUnavailable: it cannot be read: nothing may be sent.
        """
        if self._known is None or not self.is_fresh(max_age):
            now = self._clock.now()
            self._known, self._read_at = self._book.kill_switch(self._account), now
        return switch_denial(self._known, side)

    def is_fresh(self, max_age: timedelta) -> bool:
        """Whether what is known was asked for at most so long ago; reading it may have taken longer than that."""
        return self._read_at is not None and self._clock.now() - self._read_at <= max_age

    def trip(self, reason: str) -> None:
        """Halt the account until a named person resumes it. Where that cannot be written, the log tells."""
        now = self._clock.now()
        switch = KillSwitchRecord(TradingState.HALTED, by=PROGRAM, reason=reason, at=now)
        self._log.emit(LogEvent.KILL_SWITCH_TRIPPED, reason=reason)
        try:
            self._book.set_kill_switch(self._account, switch)
        except JournalUnavailable as error:
            self._log.emit(LogEvent.KILL_SWITCH_TRIP_FAILED, reason=str(error))
        self.prime(switch, now)


def set_by_operator(book: RiskStore, account: str, switch: KillSwitchRecord) -> KillSwitchRecord:
    """Set an account's kill switch by hand: halt it, let it only reduce, or resume it.

    Args:
        book: where it is kept.
        account: the account's name.
        switch: what holds from now on, with the person's name and the reason: both stand in every refusal that
            follows.

    Raises:
        InvalidInput: name or reason is missing.
        JournalUnavailable: whether it was set may be unknown; set it again.
    """
    switch = replace(switch, by=switch.by.strip(), reason=switch.reason.strip())
    for field, text in (("by", switch.by), ("reason", switch.reason)):
        if not text:
            raise InvalidInput(field, "is missing: the kill switch is set by a named person with a reason")
    book.set_kill_switch(account, switch)
    return switch
