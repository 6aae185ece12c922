"""Powertools' record store in memory: what its DynamoDB layer promises, on simulated time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from aws_lambda_powertools.utilities.idempotency.exceptions import (
    IdempotencyItemAlreadyExistsError,
    IdempotencyItemNotFoundError,
)
from aws_lambda_powertools.utilities.idempotency.persistence.base import BasePersistenceLayer
from aws_lambda_powertools.utilities.idempotency.persistence.datarecord import STATUS_CONSTANTS, DataRecord

from rebalance_executor.idempotency import EXPIRES_AFTER_SECONDS

_IN_PROGRESS = STATUS_CONSTANTS["INPROGRESS"]
_NEVER = datetime.max.replace(tzinfo=UTC)
_FAR_AWAY = 32_503_680_000
"""Seconds since the epoch, in the year 3000: Powertools compares expiries with real time, this store with its own."""


class CallHook(Protocol):
    """How an effect comes about."""

    def __call__[T](self, name: str, effect: Callable[[], T], /) -> T:
        """What ``effect`` gives, or what went wrong on the way, before or after it."""
        ...


@dataclass(slots=True)
class Stored:
    """One record."""

    record: DataRecord
    claimed_until: datetime
    """While in progress: until when nobody else may claim it."""
    expires_at: datetime


class RecordTable:
    """The table: the records of all processes."""

    def __init__(self) -> None:
        self.stored: dict[str, Stored] = {}


class SimulatedRecords(BasePersistenceLayer):
    """Powertools' layer of one process.

    Args:
        table: what all processes share.
        way: how effects come about.
        now: the time.
        claim_ends: when the invocation under way ends at the latest; a claim that has an end ends with it.
    """

    def __init__(
        self, table: RecordTable, way: CallHook, now: Callable[[], datetime], claim_ends: Callable[[], datetime]
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._stored = table.stored
        self._way = way
        self._now = now
        self._claim_ends = claim_ends

    def _get_expiry_timestamp(self) -> int:
        return _FAR_AWAY

    def _get_record(self, idempotency_key: str) -> DataRecord:
        def read() -> DataRecord:
            try:
                return self._stored[idempotency_key].record
            except KeyError:
                raise IdempotencyItemNotFoundError from None

        return self._way("records.get", read)

    def _put_record(self, data_record: DataRecord) -> None:
        """One conditional put: absent, expired, or in progress beyond the end of its invocation."""

        def claim() -> None:
            known = self._stored.get(data_record.idempotency_key)
            if known is not None and not self._is_free(known):
                self._validate_payload(data_record, known.record)
                raise IdempotencyItemAlreadyExistsError(old_data_record=known.record)
            ends = self._claim_ends() if data_record.in_progress_expiry_timestamp is not None else _NEVER
            self._keep(data_record, ends)

        self._way("records.claim", claim)

    def _update_record(self, data_record: DataRecord) -> None:
        self._way("records.complete", lambda: self._keep(data_record, self._now()))

    def _delete_record(self, data_record: DataRecord) -> None:
        def delete() -> None:
            self._stored.pop(data_record.idempotency_key, None)

        self._way("records.delete", delete)

    def _is_free(self, known: Stored) -> bool:
        is_over = known.record.status == _IN_PROGRESS and known.claimed_until < self._now()
        return is_over or known.expires_at <= self._now()

    def _keep(self, record: DataRecord, claimed_until: datetime) -> None:
        expires_at = self._now() + timedelta(seconds=EXPIRES_AFTER_SECONDS)
        self._stored[record.idempotency_key] = Stored(record, claimed_until, expires_at)
