"""Powertools' idempotency records in memory: the behaviour of its DynamoDB layer, on simulated time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NoReturn

from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyItemAlreadyExistsError,
    IdempotencyItemNotFoundError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import STATUS_CONSTANTS, DataRecord
from requests.exceptions import ReadTimeout

from rebalance_executor.idempotency import EXPIRES_AFTER_SECONDS
from rebalance_simulation.calls import CallHook, with_timeouts
from rebalance_simulation.clock import SimulatedClock
from rebalance_simulation.faults import Fault
from rebalance_simulation.violation import Violation

_IN_PROGRESS = STATUS_CONSTANTS["INPROGRESS"]
_NEVER = datetime.max.replace(tzinfo=UTC)
_FAR_FUTURE = 32_503_680_000
"""Year 3000, in seconds since the epoch. Powertools compares expiries with real time; this store has its own expiry."""
_TIMEOUT = timedelta(seconds=3)
"""Duration of a call that gets no answer."""


@dataclass(slots=True)
class StoredRecord:
    """One record with its expiry."""

    record: DataRecord
    claimed_until: datetime
    """End of the claim, while the record is in progress."""
    expires_at: datetime


class RecordTable:
    """The records of all processes."""

    def __init__(self) -> None:
        self.stored: dict[str, StoredRecord] = {}

    def keep_claims(self) -> None:
        """Make every claim last forever, as if its run had just started: no plan may wait for the end of a claim."""
        for stored in self.stored.values():
            stored.claimed_until = _NEVER


class SimulatedRecords(BasePersistenceLayer):
    """Powertools' persistence layer of one process.

    Args:
        table: records that all processes share.
        call: hook that every request passes.
        clock: the time.
        claim_ends: returns the latest end of the current invocation, at which a claim with an expiry ends.
    """

    def __init__(
        self, table: RecordTable, call: CallHook, clock: SimulatedClock, claim_ends: Callable[[], datetime]
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stored = table.stored
        self._call = call
        self._clock = clock
        self._claim_ends = claim_ends

    def _get_expiry_timestamp(self) -> int:
        return _FAR_FUTURE

    def _get_record(self, idempotency_key: str) -> DataRecord:
        def read() -> DataRecord:
            try:
                return self._stored[idempotency_key].record
            except KeyError:
                raise IdempotencyItemNotFoundError from None

        return self._request("get", read)

    def _put_record(self, data_record: DataRecord) -> None:
        """Claim the record with one conditional put: it is absent, expired, or its claim has ended."""

        def claim() -> None:
            existing = self._stored.get(data_record.idempotency_key)
            if existing is not None and not self._is_free(existing):
                self._validate_payload(data_record, existing.record)
                raise IdempotencyItemAlreadyExistsError(old_data_record=existing.record)
            if data_record.in_progress_expiry_timestamp is None:
                raise Violation("a claim has no end: if its run is killed, its record never completes")
            self._store(data_record, self._claim_ends())

        self._request("claim", claim)

    def _update_record(self, data_record: DataRecord) -> None:
        self._request("complete", lambda: self._store(data_record, self._clock.now()))

    def _delete_record(self, data_record: DataRecord) -> None:
        def delete() -> None:
            self._stored.pop(data_record.idempotency_key, None)

        self._request("delete", delete)

    def _request[T](self, operation: str, effect: Callable[[], T]) -> T:
        """Pass a request through the hook. If its acknowledgement is lost, boto3 sends it again."""

        def run(fault: Fault | None) -> T:
            answer = with_timeouts(effect, self._time_out)(fault)
            return effect() if fault is Fault.REPEATED else answer

        return self._call(f"idempotency.{operation}", run)

    def _time_out(self) -> NoReturn:
        self._clock.advance(_TIMEOUT)
        raise ReadTimeout("no answer")

    def _is_free(self, existing: StoredRecord) -> bool:
        now = self._clock.now()
        has_ended = existing.record.status == _IN_PROGRESS and existing.claimed_until < now
        return has_ended or existing.expires_at <= now

    def _store(self, record: DataRecord, claimed_until: datetime) -> None:
        expires_at = self._clock.now() + timedelta(seconds=EXPIRES_AFTER_SECONDS)
        self._stored[record.idempotency_key] = StoredRecord(record, claimed_until, expires_at)
