"""The kill switch of an account: read and tripped by runs, set by operators."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta

from rebalance_executor.domain.controls import Denial, switch_denial
from rebalance_executor.domain.errors import JournalUnavailable
from rebalance_executor.domain.looks import LONGEST_WAIT
from rebalance_executor.domain.market import Side
from rebalance_executor.domain.risk_state import PROGRAM, KillSwitchRecord, TradingState, operator_and_reason
from rebalance_executor.execution.events import LogEvent
from rebalance_executor.execution.ports import Ports, RiskStore

BEFORE_SENDING = timedelta(seconds=1)
"""Maximum age of the kill switch when an order is sent."""
WHILE_RESTING = LONGEST_WAIT
"""Maximum age of the kill switch at a look while orders are only open: with the wait for the look, it is twice that."""


class KillSwitch:
    """The kill switch of one account in one run, with its latest record cached."""

    def __init__(self, ports: Ports, account: str) -> None:
        self._account = account
        self._risk_store = ports.risk_store
        self._clock = ports.clock
        self._log = ports.log
        self._record: KillSwitchRecord | None = None
        self._read_at: datetime | None = None

    def prime(self, record: KillSwitchRecord, read_at: datetime) -> None:
        """Cache a record that was read at that time, so that it is not read twice."""
        self._record, self._read_at = record, read_at

    def denial(self, max_age: timedelta, side: Side | None = None) -> Denial | None:
        """Return the denial of orders of this side, or None. Read the kill switch if its record is too old.

        Raises:
            JournalUnavailable: the kill switch cannot be read; nothing may be sent.
        """
        if self._record is None or not self.is_fresh(max_age):
            now = self._clock.now()
            self._record, self._read_at = self._risk_store.kill_switch(self._account), now
        return switch_denial(self._record, side)

    def is_fresh(self, max_age: timedelta) -> bool:
        """Return whether the cached record is no older than ``max_age``, counted from the start of the read."""
        return self._read_at is not None and self._clock.now() - self._read_at <= max_age

    def trip(self, reason: str) -> None:
        """Halt the account until an operator resumes it. A failure to store the record is logged, not raised."""
        now = self._clock.now()
        record = KillSwitchRecord(TradingState.HALTED, by=PROGRAM, reason=reason, at=now)
        self._log.emit(LogEvent.KILL_SWITCH_TRIPPED, reason=reason)
        try:
            self._risk_store.set_kill_switch(self._account, record)
        except JournalUnavailable as error:
            self._log.emit(LogEvent.KILL_SWITCH_TRIP_FAILED, reason=str(error))
        self.prime(record, now)


def set_by_operator(risk_store: RiskStore, account: str, record: KillSwitchRecord) -> KillSwitchRecord:
    """Set an account's kill switch: halt the account, let it only reduce, or resume it.

    Args:
        risk_store: where the kill switch is stored.
        account: the account's name.
        record: the new state with the operator's name and the reason; every later denial shows both.

    Raises:
        InvalidInput: the name or the reason is missing.
        JournalUnavailable: the database did not answer; set it again.
    """
    by, reason = operator_and_reason(record.by, record.reason)
    record = replace(record, by=by, reason=reason)
    risk_store.set_kill_switch(account, record)
    return record
